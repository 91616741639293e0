"""The scraper's loop: take a job, read its page, keep what it gave; whatever happens, the job ends or comes back."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import Counter, Gauge

from ratemyunit import logs, slo
from ratemyunit.scraper import adapters
from ratemyunit.scraper.adapters.units import in_one_line
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.fetch import Fetcher
from ratemyunit.scraper.port import Hopeless, Job, Repository, Trouble, Unavailable
from ratemyunit.scraper.robots import Robots

JOB_DEADLINE = 45.0
# After SIGTERM the job in hand may go on for this long; a page that takes longer is given back.
LAST_JOB_GRACE = 8.0
IDLE = 1.0
LONGEST_WHY = 500

JOBS = Counter("scrape_jobs_total", "Scrape jobs by how they ended", ["outcome"])
PAGES = Gauge("scrape_open_pages", "Pages open in the browsers")
BROWSERS = Gauge("scrape_browsers", "Browsers that run")

log = logging.getLogger("ratemyunit.scraper")


@dataclass(frozen=True)
class Limits:
    """How long one page may take, and which hosts are the operator's own."""

    page_seconds: float = 15.0
    named_hosts: frozenset[str] = frozenset()


class Scraper:
    """Works through the repository's jobs; `lanes` run beside each other, each with one job at a time."""

    def __init__(
        self, repository: Repository, browsers: Pool, stop: asyncio.Event, limits: Limits | None = None
    ) -> None:
        self._repository = repository
        self._browsers = browsers
        self._stop = stop
        self._limits = limits or Limits()
        self._robots = Robots()

    async def until_stopped(self, lanes: int = 1) -> None:
        """Take job after job until stop is set."""
        await asyncio.gather(*(self._lane(first=number == 0) for number in range(lanes)))

    async def _lane(self, *, first: bool) -> None:
        while not self._stop.is_set():
            # A further lane works only where there is room for a further browser; the first always does.
            job = await self._next() if first or self._browsers.has_room else None
            if job is not None:
                with logs.about(job=str(job.id)):
                    await self._try(job)
            else:
                await _wait(self._stop, IDLE)

    async def _next(self) -> Job | None:
        try:
            return await asyncio.to_thread(self._repository.next)
        except Unavailable as why:
            log.warning("cannot look for work", extra={"fields": {"kind": str(why)}})
            return None

    async def _try(self, job: Job) -> None:
        began = time.monotonic()
        reading = asyncio.create_task(self._read(job))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({reading, stopping}, timeout=JOB_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set() and not reading.done():
            await asyncio.wait({reading}, timeout=LAST_JOB_GRACE)
        stopping.cancel()
        unfinished = not reading.done()
        if unfinished:
            reading.cancel()
        end = (await asyncio.gather(reading, return_exceptions=True))[0]
        outcome, why, leave = self._judge(job, end, unfinished)
        JOBS.labels(outcome).inc()
        PAGES.set(self._browsers.open_pages)
        BROWSERS.set(len(self._browsers.browsers))
        slo.scrape(_ok(outcome))
        log.info("scrape", extra={"fields": _scrape(job, outcome, why, time.monotonic() - began)})
        await self._leave(leave)

    async def _read(self, job: Job) -> int:
        guard = Guard(self._limits.named_hosts, job.url)
        guard.admit(job.url)
        fetcher = Fetcher(guard, seconds=self._limits.page_seconds)
        delay = await self._robots.admit(job.url, fetcher)
        await asyncio.to_thread(self._repository.pace, job.site, delay or 0.0)
        admit = partial(self._robots.admit, fetcher=fetcher)
        means = adapters.Means(fetcher, self._browsers, guard, self._limits.page_seconds, admit)
        found = await adapters.named(job.kind).read(job, means)
        return await asyncio.to_thread(self._repository.keep, job, found)

    def _judge(self, job: Job, end: object, unfinished: bool) -> tuple[str, str, Callable[[], None] | None]:
        """Say how the job ended, why, and what is to be done about it."""
        if unfinished and self._stop.is_set():
            return "given back", "", lambda: self._repository.give_back(job)
        if unfinished:
            slow = f"no end within {JOB_DEADLINE:g} s"
            return "too slow", slow, lambda: self._repository.put_off(job, slow)
        if not isinstance(end, BaseException):
            return "done", "", None
        why = _why(end)
        if isinstance(end, Hopeless):
            return "failed", why, lambda: self._repository.give_up(job, why)
        return "failed", why, lambda: self._repository.put_off(job, why)

    async def _leave(self, leave: Callable[[], None] | None) -> None:
        if leave is None:
            return
        try:
            await asyncio.to_thread(leave)
        except Exception as why:  # no job's end is this worker's
            said = "the job's end could not be written; its lease will run out and it is due again"
            log.warning(said, extra={"fields": {"kind": type(why).__name__}})


def _why(end: BaseException) -> str:
    """Say in a line why a page could not be read. The words may be the page's, and no database takes all."""
    first = in_one_line((str(end)[:LONGEST_WHY].splitlines() or [""])[0])
    return first if isinstance(end, Trouble) else f"{type(end).__name__}: {first}"


def _ok(outcome: str) -> bool | None:
    """Judge for who counts: a job given back has not succeeded and has not failed."""
    return None if outcome == "given back" else outcome == "done"


def _scrape(job: Job, outcome: str, why: str, seconds: float) -> dict[str, object]:
    told: dict[str, object] = {"event": "scrape", "ok": _ok(outcome), "outcome": outcome, "ms": round(seconds * 1000)}
    told |= {"attempt": job.attempts, "kind": job.kind}
    return {**told, "why": why[:300]} if why else told


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
