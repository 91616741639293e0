"""The scraper's loop on a repository that behaves, without a database; and that the scraper knows none."""

import ast
import asyncio
import logging
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
import sites
from patient import LONG, bounds

import ratemyunit.scraper
from ratemyunit import settings
from ratemyunit.scraper import loop
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.loop import Limits, Scraper
from ratemyunit.scraper.port import Job, Reading, Unavailable

SQL = {"sqlalchemy", "psycopg", "redis", "alembic"}
OURS_WITH_SQL = {"api", "check", "crawls", "database", "health", "jobs", "migrate", "pauses", "repository", "schema"}
OURS_WITH_SQL |= {"sites", "units", "ratings", "search", "accounts", "sessions", "moderation", "web", "guard"}


class FakeRepository:
    """Jobs in a list, and what became of them."""

    def __init__(self, *jobs: Job) -> None:
        self.waiting = list(jobs)
        self.ends: list[tuple[str, str]] = []
        self.kept: list[Reading] = []
        self.paces: dict[str, float] = {}
        self.down = False

    def next(self) -> Job | None:
        """Hand the next one out."""
        if self.down:
            raise Unavailable("OperationalError")
        return self.waiting.pop(0) if self.waiting else None

    def keep(self, job: Job, reading: Reading) -> int:
        """Keep a reading."""
        self.kept.append(reading)
        self.ends.append(("kept", ""))
        return len(reading.units)

    def put_off(self, job: Job, why: str) -> None:
        """Note it."""
        self.ends.append(("put off", why))

    def give_up(self, job: Job, why: str) -> None:
        """Note it."""
        self.ends.append(("given up", why))

    def give_back(self, job: Job) -> None:
        """Note it."""
        self.ends.append(("given back", ""))

    def pace(self, site: str, seconds: float) -> None:
        """Note it."""
        self.paces[site] = seconds


def test_nothing_of_the_scraper_knows_a_database() -> None:
    package = Path(ratemyunit.scraper.__file__).parent
    files = sorted(package.rglob("*.py"))

    wrong = {file.name: found for file in files if (found := imported(file) & (SQL | OURS_WITH_SQL))}

    assert len(files) > 10
    assert wrong == {}


@pytest.mark.parametrize(
    "naive",
    [
        "from ratemyunit import units",
        "from ratemyunit.units import store",
        "import ratemyunit.units as rows",
        "from ratemyunit.api import operations",
        "import sqlalchemy.orm",
        "from psycopg import sql",
        "def late():\n    from ratemyunit import jobs",
    ],
)
@pytest.mark.parametrize("where", ["scraper", "scraper/adapters"])
def test_a_module_that_knows_a_database_is_seen(tmp_path: Path, where: str, naive: str) -> None:
    file = tmp_path / where / "naive.py"
    file.parent.mkdir(parents=True)
    file.write_text(f"{naive}\n")

    assert imported(file) & (SQL | OURS_WITH_SQL)


def test_the_one_module_between_is_the_repository() -> None:
    root = Path(ratemyunit.scraper.__file__).parents[1]
    rows = imported(root / "repository.py")
    loops = "ratemyunit.scraper.loop."
    between = [f.stem for f in root.glob("*.py") if loops in ",".join(spelled_out(f)) or "Rows" in f.read_text()]

    assert rows >= {"sqlalchemy", "redis", "scraper"}
    assert set(between) == {"repository", "worker"}


def imported(file: Path) -> set[str]:
    """Name what a module imports: packages of others, and what lies right below ours."""
    return {whole.removeprefix("ratemyunit.").split(".")[0] for whole in spelled_out(file)}


def spelled_out(file: Path) -> Iterator[str]:
    """Spell the whole name of all that a module imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def job(site: sites.Site, path: str, kind: str = "json") -> Job:
    """Make a job about a page of the site."""
    return Job(uuid4(), site.url + path, "U", 1, kind, "the-site")


def worked(repository: FakeRepository, until: Callable[[], bool]) -> None:
    """Let the scraper work until something has come about."""

    async def all_of_it() -> None:
        stop = asyncio.Event()
        async with Pool(settings.browser(), bounds()) as browsers:
            scraper = Scraper(repository, browsers, stop, Limits(LONG, frozenset({"127.0.0.1"})))
            working = asyncio.create_task(scraper.until_stopped(lanes=2))
            async with asyncio.timeout(LONG):
                while not until():
                    await asyncio.sleep(0.02)
            stop.set()
            await working

    asyncio.run(all_of_it())


def test_each_end_of_a_page_is_told_to_the_repository(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", b"User-agent: *\nDisallow: /private\nCrawl-delay: 3\n")
        site.answers["/good"] = (200, sites.JSON, sites.listing([{"code": "C1", "title": "T"}]))
        site.answers["/busy"] = (503, sites.HTML, b"")
        site.answers["/odd"] = (200, sites.JSON, b"{}")
        repository = FakeRepository(
            *(job(site, path) for path in ("/good", "/gone", "/busy", "/odd", "/private")), job(site, "/x", "telepathy")
        )

        worked(repository, lambda: len(repository.ends) == 6)

    assert sorted(repository.ends) == [
        ("given up", "the page answered 404"),
        ("given up", "the site's robots.txt disallows the page"),
        ("given up", "this release knows no such kind of catalogue"),
        ("kept", ""),
        ("put off", "the answer has no list of units where the rules say"),
        ("put off", "the page answered 503"),
    ]
    assert repository.paces == {"the-site": 3.0}
    told = [record.fields for record in caplog.records if record.message == "scrape"]  # type: ignore[attr-defined]
    assert sorted(str(line["ok"]) for line in told) == ["False"] * 5 + ["True"]


@pytest.mark.parametrize("kind", ["html", "embedded", "json", "sitemap"])
def test_robots_txt_is_asked_about_where_a_redirect_leads(kind: str) -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", b"User-agent: *\nDisallow: /private\n")
        site.redirects |= {"/units": "/moved", "/moved": "/private/units", "/through": "/private/way"}
        site.redirects |= {"/private/way": "/end"}
        site.answers["/private/units"] = site.answers["/end"] = sites.page(sites.cards(2))
        repository = FakeRepository(job(site, "/units", kind), job(site, "/through", kind))

        worked(repository, lambda: len(repository.ends) == 2)

    assert repository.ends == [("given up", "the site's robots.txt disallows the page")] * 2
    if kind in ("json", "sitemap"):
        assert not any(path.startswith("/private") for path in site.paths)


def test_robots_txt_is_asked_about_where_a_page_itself_leads_and_not_about_what_it_calls_itself() -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", b"User-agent: *\nDisallow: /private\n")
        site.answers["/leads"] = sites.page("<script>location.replace('/private/units')</script>")
        site.answers["/private/units"] = sites.page(sites.cards(2))
        site.answers["/renames"] = sites.page(
            f"<script>history.pushState({{}}, '', '/private/x')</script>{sites.cards(1)}"
        )
        repository = FakeRepository(job(site, "/leads", "html"), job(site, "/renames", "html"))

        worked(repository, lambda: len(repository.ends) == 2)

    assert sorted(repository.ends) == [("given up", "the site's robots.txt disallows the page"), ("kept", "")]


def test_a_site_that_says_no_pause_is_known_to_want_none() -> None:
    with sites.served() as site:
        site.answers["/good"] = (200, sites.JSON, sites.listing([{"code": "C1", "title": "T"}]))
        repository = FakeRepository(job(site, "/good"))

        worked(repository, lambda: bool(repository.ends))

    assert repository.paces == {"the-site": 0.0}


def test_a_job_about_the_inside_is_given_up_without_a_word_to_anybody() -> None:
    repository = FakeRepository(Job(uuid4(), "http://169.254.169.254/latest/", "U", 1))

    worked(repository, lambda: bool(repository.ends))

    assert repository.ends == [("given up", "the address is not a public one")]


def test_a_page_that_never_ends_is_put_off_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "JOB_DEADLINE", 0.5)
    with sites.served() as site:
        repository = FakeRepository(job(site, "/hostile/silent"))

        worked(repository, lambda: bool(repository.ends))

    assert repository.ends == [("put off", "no end within 0.5 s")]


def test_a_job_in_hand_is_given_back_when_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LAST_JOB_GRACE", 0.1)
    with sites.served() as site:
        repository = FakeRepository(job(site, "/hostile/silent"))

        worked(repository, lambda: site.paths["/hostile/silent"] > 0)

    assert repository.ends == [("given back", "")]


def test_a_repository_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "IDLE", 0.02)
    with sites.served() as site:
        site.answers["/good"] = (200, sites.JSON, sites.listing([{"code": "C1", "title": "T"}]))
        repository = FakeRepository(job(site, "/good"))
        repository.down = True
        asked = count()

        def comes_back() -> bool:
            repository.down = next(asked) < 5
            return bool(repository.ends)

        worked(repository, comes_back)

    assert repository.ends == [("kept", "")]
