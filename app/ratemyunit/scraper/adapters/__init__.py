"""Adapters: each reads one shape of catalogue page, all behind one small interface."""

from dataclasses import dataclass
from typing import Protocol

from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.fetch import Admit, Fetcher
from ratemyunit.scraper.port import Hopeless, Job, Reading


async def any_page(_: str) -> None:
    """Admit every page, for who reads one of their own."""


@dataclass(frozen=True)
class Means:
    """What an adapter may use to get at a page: a plain fetch, or a browser. Both obey the job's guard.

    `admit` is asked about each place that a page leads to before it is read, as robots.txt wants it.
    """

    fetcher: Fetcher
    browsers: Pool
    guard: Guard
    page_seconds: float
    admit: Admit = any_page


class Adapter(Protocol):
    """Reads one page."""

    async def read(self, job: Job, means: Means) -> Reading:
        """Read all of the page or nothing.

        Raises:
            ratemyunit.scraper.port.Trouble: it cannot be read; the message says why.
        """


def named(kind: str) -> Adapter:
    """Find the adapter of a kind.

    Raises:
        Hopeless: there is none, as where a newer release put the job down.
    """
    from ratemyunit.scraper.adapters import documents, pages, sitemaps

    known: dict[str, Adapter] = {
        "html": pages.Html(),
        "embedded": pages.Embedded(),
        "json": documents.Json(),
        "sitemap": sitemaps.Sitemap(),
    }
    if kind not in known:
        raise Hopeless("this release knows no such kind of catalogue")
    return known[kind]
