"""Scrape jobs: rows in PostgreSQL are the truth, Redis only says which id to look at next.

A lost Redis loses nothing: who finds no offer looks for due rows. A job taken twice from Redis runs once, since only
`claim` decides. A worker that dies lets its lease run out, and `lapse` ends the try. A site has one job at a time
(sites.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from redis import Redis
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from ratemyunit import crawls, pauses, sites
from ratemyunit.schema import jobs
from ratemyunit.scraper import rules
from ratemyunit.scraper.addresses import spelled
from ratemyunit.scraper.port import Job

QUEUE = "rmu:jobs"
LEASE = timedelta(seconds=90)
MOST_ATTEMPTS = 5
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
DIED = "the worker that had it died"
STOPPED = "its crawl was stopped"


@dataclass(frozen=True)
class Counts:
    """How the queue stands. `oldest_s` is how long the oldest waiting job has been due, in seconds."""

    waiting: int
    running: int
    later: int
    failed: int
    oldest_s: float


def add(connection: Connection, url: str, university: str) -> UUID:
    """Put a job down as a row."""
    made = insert(jobs).values(url=spelled(url), university=university).returning(jobs.c.id)
    job: UUID = connection.execute(made).scalar_one()
    return job


def one(connection: Connection, job: UUID) -> RowMapping | None:
    """Find one job by its id."""
    return connection.execute(select(jobs).where(jobs.c.id == job)).mappings().first()


def push(redis: Redis, ids: Iterable[UUID]) -> None:
    """Offer ids to the workers; offering one twice changes nothing."""
    offers = {str(job): rank for rank, job in enumerate(ids)}
    if offers:
        redis.zadd(QUEUE, offers, nx=True)


def due(connection: Connection, *, most: int) -> Sequence[UUID]:
    """List the rows that a worker may take now, oldest first: one of each site that may be asked."""
    open_now = _due() & sites.open_to(sites.OF_JOB)
    first = select(jobs.c.id, jobs.c.not_before).where(open_now).ext(distinct_on(sites.OF_JOB))
    firsts = first.order_by(sites.OF_JOB, jobs.c.not_before).subquery()
    query = select(firsts.c.id).order_by(firsts.c.not_before).limit(most)
    return connection.execute(query).scalars().all()


def counts(connection: Connection) -> Counts:
    """Count jobs: due and not taken, running, put off until later, given up."""
    since = case((jobs.c.state == "running", jobs.c.lease_until), else_=jobs.c.not_before)
    untaken = or_(_due(), _lapsed())
    query = select(
        func.count().filter(untaken),
        func.count().filter(and_(jobs.c.state == "running", jobs.c.lease_until >= func.now())),
        func.count().filter(and_(jobs.c.state == "queued", jobs.c.not_before > func.now())),
        func.count().filter(jobs.c.state == "failed"),
        func.coalesce(func.extract("epoch", func.now() - func.min(since).filter(untaken)), 0.0),
    ).where(jobs.c.state != "done")
    waiting, running, later, failed, oldest = connection.execute(query).one()
    return Counts(waiting, running, later, failed, round(float(oldest), 1))


def claim(connection: Connection, job: UUID, pause: timedelta = timedelta(0)) -> Job | None:
    """Take the row, if it is due, nobody else has it, its site may be asked, and the queue is not paused.

    The site may then be asked again after the pause, or a longer one that it wants. A page that came back after its
    crawl was stopped is given up.
    """
    # The lock lets a second worker pass by at once instead of waiting for the first one's commit.
    wanted = select(sites.OF_JOB).where(jobs.c.id == job, _due(), pauses.running())
    site = connection.execute(wanted.with_for_update(skip_locked=True, of=jobs)).scalar_one_or_none()
    if site is None:
        return None
    page = crawls.of_job(connection, job)
    if page and page["state"] != "running":
        over = update(jobs).where(jobs.c.id == job)
        connection.execute(over.values(state="failed", error=func.coalesce(jobs.c.error, STOPPED)))
        return None
    if not sites.take(connection, site, pause):
        return None
    take = (
        update(jobs)
        .where(jobs.c.id == job)
        .values(state="running", attempts=jobs.c.attempts + 1, lease_until=func.now() + LEASE, error=None)
        .returning(jobs.c.id, jobs.c.url, jobs.c.university, jobs.c.attempts)
    )
    row = dict(connection.execute(take).mappings().one())
    if page is None:
        return Job(**row, site=site)
    return Job(**row, site=site, kind=page["kind"], crawl=page["crawl_id"], rules=rules.read(page["rules"]))


def finish(connection: Connection, job: Job, units_found: int) -> bool:
    """Mark the job done; answer whether it was still ours to end."""
    return _leave(connection, job, state="done", units_found=units_found)


def give_back(connection: Connection, job: Job) -> None:
    """Make the job due again at once and forget this attempt: we were told to stop, it did not fail."""
    _leave(connection, job, state="queued", attempts=jobs.c.attempts - 1, not_before=func.now())


def fail(connection: Connection, job: Job, why: str) -> None:
    """Put the job off, longer each time, or give up after the last attempt."""
    if job.attempts >= MOST_ATTEMPTS:
        give_up(connection, job, why)
        return
    _leave(connection, job, state="queued", error=why[:500], not_before=_later())


def give_up(connection: Connection, job: Job, why: str) -> None:
    """End a job that no other try would help."""
    _leave(connection, job, state="failed", error=why[:500])


def lapse(connection: Connection) -> int:
    """End the tries whose lease ran out, as if they had failed; answer how many.

    A page that ends its worker each time is given up like any other.
    """
    # Whoever holds a row decides on it just now.
    over = select(jobs.c.id).where(_lapsed()).with_for_update(skip_locked=True)
    spent = jobs.c.attempts >= MOST_ATTEMPTS
    ended = update(jobs).where(jobs.c.id.in_(over)).values(error=DIED, lease_until=None)
    ended = ended.values(
        state=case((spent, "failed"), else_="queued"), not_before=case((spent, jobs.c.not_before), else_=_later())
    )
    return connection.execute(ended).rowcount


def _due() -> ColumnElement[bool]:
    return and_(jobs.c.state == "queued", jobs.c.not_before <= func.now())


def _lapsed() -> ColumnElement[bool]:
    return and_(jobs.c.state == "running", jobs.c.lease_until < func.now())


def _later() -> ColumnElement[datetime]:
    """Spell when a job that failed is due again: later with each attempt."""
    tries = func.least(jobs.c.attempts, MOST_ATTEMPTS)  # rows of older code may have any number
    pause = func.least(LONGEST_PAUSE, FIRST_PAUSE * func.power(4, tries - 1))
    # Jitter, so that jobs that failed together do not come back together.
    return func.now() + pause * (0.5 + func.random() / 2)


def _leave(connection: Connection, job: Job, **values: object) -> bool:
    # A worker whose lease ran out must not write over the one that came after it: the attempt tells them apart.
    mine = and_(jobs.c.id == job.id, jobs.c.state == "running", jobs.c.attempts == job.attempts)
    return bool(connection.execute(update(jobs).where(mine).values(lease_until=None, **values)).rowcount)
