"""The worker beside pages that mean harm and a database that is away: no page ends it, and a stop comes to its end."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sites
from conftest import Role, silent, wait_until
from patient import LONG
from playwright.async_api import Error as BrowserError
from redis import Redis
from sqlalchemy import Engine

from ratemyunit import jobs, logs, repository
from ratemyunit.scraper import adapters, loop
from ratemyunit.scraper.loop import Limits, Scraper
from ratemyunit.scraper.port import Hopeless, Job, Reading, Trouble


class NoBrowsers:
    """A pool of browsers for jobs that need none."""

    open_pages = 0
    browsers: tuple[()] = ()
    has_room = True


class Throws:
    """An adapter that meets a page which chooses what its reader throws."""

    def __init__(self, thrown: Exception) -> None:
        self._thrown = thrown

    async def read(self, job: Job, means: adapters.Means) -> Reading:
        """Throw it."""
        raise self._thrown


def works(rows: Any, until: Callable[[], bool]) -> None:
    """Let the scraper's loop work on a repository until something has come about; that it ends before fails."""

    async def all_of_it() -> None:
        stop = asyncio.Event()
        scraper = Scraper(rows, NoBrowsers(), stop, Limits(LONG, frozenset({"127.0.0.1"})))  # type: ignore[arg-type]
        working = asyncio.create_task(scraper.until_stopped())
        async with asyncio.timeout(LONG):
            while not working.done() and not until():
                await asyncio.sleep(0.02)
        stop.set()
        await working

    asyncio.run(all_of_it())


@pytest.mark.parametrize("kind", [BrowserError, Trouble, Hopeless])
@pytest.mark.parametrize("word", ["half \ud800 a letter", "a \0 in it", "two\u2028lines", "\ud800" * 100_000])
def test_what_a_page_throws_ends_its_job_and_neither_the_worker_nor_the_line_about_it(
    engine: Engine,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[Exception],
    word: str,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(adapters, "named", lambda _: Throws(kind(f"Error: {word}")))
    with sites.served() as site, engine.begin() as connection:
        hostile = jobs.add(connection, f"{site.url}/hostile", "U")
        connection.commit()

        def ended() -> bool:
            with engine.connect() as asking:
                found = jobs.one(asking, hostile)
            return found is not None and found["error"] is not None

        works(repository.Rows(engine, redis, timedelta(0)), ended)

    with engine.connect() as connection:
        found = jobs.one(connection, hostile)
    assert found
    assert found["state"] == ("failed" if kind is Hopeless else "queued")
    assert "Error:" in found["error"]
    (line,) = [logs.JsonLines().format(record) for record in caplog.records if record.message == "scrape"]
    assert line.encode() and '"ok": false' in line


def test_an_end_that_cannot_be_written_ends_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "named", lambda _: Throws(Trouble("the page answered 503")))
    monkeypatch.setattr(loop, "IDLE", 0.02)
    with sites.served() as site:
        asked: list[str] = []

        class Odd:
            """A repository that chokes on each end."""

            def next(self) -> Job | None:
                asked.append("next")
                return Job(jobs.UUID(int=len(asked)), f"{site.url}/", "U", 1)

            def pace(self, site: str, seconds: float) -> None:
                """Note nothing."""

            def put_off(self, job: Job, why: str) -> None:
                raise ValueError("odd")

        works(Odd(), lambda: len(asked) > 3)

    assert len(asked) > 3


@pytest.mark.parametrize("stops", [1, 2])
def test_a_worker_told_to_stop_leaves_in_time_though_its_database_never_answers(
    start: Callable[..., Role], redis_url: str, stops: int
) -> None:
    with silent() as (url, callers):
        database = url.replace("redis://", "postgresql://rmu_app:rmu_app@").replace("/0", "/x")
        worker = start("worker", ("worker.LAST=3",), DATABASE_URL=database, REDIS_URL=redis_url)
        wait_until(lambda: callers() > 0)
        began = time.monotonic()
        for _ in range(stops):
            worker.process.send_signal(signal.SIGTERM)
        code = worker.process.wait(LONG)
        took = time.monotonic() - began

    assert (code, worker.lines()[-1]["message"]) == (0, "stopped, though something in hand never ended")
    assert 3 <= took < 3 + 10  # a busy machine's part, and far from the 300 s that everything else may take
