"""What the scraper needs of the world that keeps its work, as a Protocol, and the values that pass between the two."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from ratemyunit.scraper.rules import Rules

KINDS = ("html", "embedded", "json", "sitemap")
"""The shapes of pages that an adapter reads."""


class Trouble(Exception):
    """A page could not be read; the message says why, in words that may be kept and shown. Another try may help."""


class Hopeless(Trouble):
    """A page that another try will not help: it may not be asked for, or its address is wrong."""


class Unavailable(Exception):
    """The repository cannot be asked right now."""


@dataclass(frozen=True)
class Job:
    """A claimed scrape job: one page. `site` is who is asked; `crawl` the round it belongs to, if any."""

    id: UUID
    url: str
    university: str
    attempts: int
    kind: str = "html"
    site: str = ""
    crawl: UUID | None = None
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Found:
    """One unit as a catalogue shows it."""

    code: str
    title: str
    description: str = ""


@dataclass(frozen=True)
class Link:
    """A further page of the same catalogue, and the kind of adapter that reads it."""

    url: str
    kind: str


@dataclass(frozen=True)
class Reading:
    """All that one page gave."""

    units: tuple[Found, ...] = ()
    links: tuple[Link, ...] = ()


class Repository(Protocol):
    """Where jobs come from and where readings go. Every call may raise `Unavailable`; none leaves half a thing."""

    def next(self) -> Job | None:
        """Claim the next job that is due and whose site may be asked now; None where there is none."""

    def keep(self, job: Job, reading: Reading) -> int:
        """Store what a page gave, put its links down as jobs, and end the job, or do nothing; answer how many units."""

    def put_off(self, job: Job, why: str) -> None:
        """Let the job come back later, or give it up after the last attempt."""

    def give_up(self, job: Job, why: str) -> None:
        """End a job that no other try would help."""

    def give_back(self, job: Job) -> None:
        """Make the job due again at once: we were told to stop, it did not fail."""

    def pace(self, site: str, seconds: float) -> None:
        """Remember how long the site wants to be left alone between two pages."""
