"""The scraper's repository on PostgreSQL and Redis: the one module between the scraper and SQL (a test sees to it)."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from redis import Redis, RedisError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ratemyunit import crawls, jobs, pauses, sites, units
from ratemyunit.scraper.port import Job, Reading, Unavailable

log = logging.getLogger("ratemyunit.worker")


class Rows:
    """A `ratemyunit.scraper.port.Repository`. `pause` is what a site is given between two pages, but for named ones."""

    def __init__(
        self, engine: Engine, redis: Redis, pause: timedelta, named_hosts: frozenset[str] = frozenset()
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._pause = pause
        self._named = named_hosts
        self._paused = False

    def next(self) -> Job | None:
        """Claim the next job whose turn it is."""
        if self._is_paused():
            return None
        for look in (self._offered, self._found):
            job = look()
            if job is not None and (claimed := self._claim(job)):
                return claimed
        return None

    def keep(self, job: Job, reading: Reading) -> int:
        """Store units, further pages and the job's end in one transaction: nobody sees one without the others."""
        with self._begun() as connection:
            found = [units.Found(code=u.code, title=u.title, description=u.description) for u in reading.units]
            if not jobs.finish(connection, job, len(found)):
                return 0  # the lease ran out, and who came after us stores what it reads
            stored = units.store(connection, job.university, found)
            if job.crawl and reading.links:
                crawls.add_pages(connection, job.crawl, reading.links, self._pause_of(job.url))
            return stored

    def put_off(self, job: Job, why: str) -> None:
        """Let the job come back later, or give it up after the last attempt."""
        self._write(lambda connection: jobs.fail(connection, job, why))

    def give_up(self, job: Job, why: str) -> None:
        """End a job that no other try would help."""
        self._write(lambda connection: jobs.give_up(connection, job, why))

    def give_back(self, job: Job) -> None:
        """Make the job due again at once."""
        self._write(lambda connection: jobs.give_back(connection, job))

    def pace(self, site: str, seconds: float) -> None:
        """Remember how long the site wants to be left alone."""
        self._write(lambda connection: sites.pace(connection, site, seconds))

    def _offered(self) -> UUID | None:
        """Ask Redis, which answers at once what to look at; without it, jobs are found all the same."""
        try:
            offered = self._redis.zpopmin(jobs.QUEUE)
            return UUID(str(offered[0][0])) if offered else None
        except (RedisError, OSError, ValueError):  # the last: whoever put it there, it is no id
            return None

    def _found(self) -> UUID | None:
        """Look for due rows, and offer all but the first to whoever asks next."""
        with self._begun() as connection:
            if died := jobs.lapse(connection):
                log.warning("jobs whose worker died are put off or given up", extra={"fields": {"jobs": died}})
            due = jobs.due(connection, most=100)
            if not due:
                crawls.end_finished(connection)
                return None
        with suppress(RedisError, OSError):  # they are found again
            jobs.push(self._redis, due[1:])
        return due[0]

    def _claim(self, job: UUID) -> Job | None:
        with self._begun() as connection:
            found = jobs.one(connection, job)
            return jobs.claim(connection, job, self._pause_of(found["url"])) if found else None

    def _is_paused(self) -> bool:
        with self._begun() as connection:
            paused = pauses.current(connection) is not None
        if self._paused != paused:
            self._paused = paused
            log.info("paused" if paused else "working again")
        return paused

    def _pause_of(self, url: str) -> timedelta:
        return timedelta(0) if urlsplit(url).hostname in self._named else self._pause

    def _write(self, act: Callable[[Connection], object]) -> None:
        with self._begun() as connection:
            act(connection)

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as why:
            raise Unavailable(type(why).__name__) from why
