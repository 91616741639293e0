"""Scrape jobs: rows in PostgreSQL are the truth, Redis only says which id to look at next.

A lost Redis loses nothing: `refill` puts every due row back. A job taken twice from Redis runs once, since only
`claim` decides. A worker that dies lets its lease run out and the row is due again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from redis import Redis
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, func, insert, or_, select, update

from ratemyunit import pauses
from ratemyunit.schema import jobs

QUEUE = "rmu:jobs"
LEASE = timedelta(seconds=90)
MOST_ATTEMPTS = 5
LONGEST_PAUSE = timedelta(minutes=10)


@dataclass(frozen=True)
class Job:
    """A claimed scrape job."""

    id: UUID
    url: str
    university: str
    attempts: int


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
    made = insert(jobs).values(url=url, university=university).returning(jobs.c.id)
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


def refill(connection: Connection, redis: Redis, *, most: int = 100) -> None:
    """Offer every due row again, oldest first."""
    push(redis, due(connection, most=most))


def due(connection: Connection, *, most: int) -> Sequence[UUID]:
    """List the rows that a worker may take now, oldest first."""
    query = select(jobs.c.id).where(_due()).order_by(jobs.c.not_before).limit(most)
    return connection.execute(query).scalars().all()


def counts(connection: Connection) -> Counts:
    """Count jobs: due and not taken, running, put off until later, given up."""
    since = case((jobs.c.state == "running", jobs.c.lease_until), else_=jobs.c.not_before)
    query = select(
        func.count().filter(_due()),
        func.count().filter(and_(jobs.c.state == "running", jobs.c.lease_until >= func.now())),
        func.count().filter(and_(jobs.c.state == "queued", jobs.c.not_before > func.now())),
        func.count().filter(jobs.c.state == "failed"),
        func.coalesce(func.extract("epoch", func.now() - func.min(since).filter(_due())), 0.0),
    ).where(jobs.c.state != "done")
    waiting, running, later, failed, oldest = connection.execute(query).one()
    return Counts(waiting, running, later, failed, round(float(oldest), 1))


def claim(connection: Connection, job: UUID) -> Job | None:
    """Take the row, if it is due, nobody else has it, and the queue is not paused."""
    # The inner lock lets a second worker pass by at once instead of waiting for the first one's commit.
    wanted = select(jobs.c.id).where(jobs.c.id == job, _due(), pauses.running())
    free = wanted.with_for_update(skip_locked=True).scalar_subquery()
    take = (
        update(jobs)
        .where(jobs.c.id == free)
        .values(state="running", attempts=jobs.c.attempts + 1, lease_until=func.now() + LEASE, error=None)
        .returning(jobs.c.id, jobs.c.url, jobs.c.university, jobs.c.attempts)
    )
    row = connection.execute(take).first()
    return Job(*row) if row else None


def finish(connection: Connection, job: Job, units_found: int) -> None:
    """Mark the job done."""
    _leave(connection, job, state="done", units_found=units_found)


def give_back(connection: Connection, job: Job) -> None:
    """Make the job due again at once and forget this attempt: we were told to stop, it did not fail."""
    _leave(connection, job, state="queued", attempts=jobs.c.attempts - 1, not_before=func.now())


def fail(connection: Connection, job: Job, why: str) -> None:
    """Put the job off, longer each time, or give up after the last attempt."""
    if job.attempts >= MOST_ATTEMPTS:
        _leave(connection, job, state="failed", error=why[:500])
        return
    pause = min(LONGEST_PAUSE, timedelta(seconds=5 * 4 ** (job.attempts - 1)))
    # Jitter, so that jobs that failed together do not come back together.
    _leave(connection, job, state="queued", error=why[:500], not_before=func.now() + pause * (0.5 + func.random()))


def _due() -> ColumnElement[bool]:
    return or_(
        and_(jobs.c.state == "queued", jobs.c.not_before <= func.now()),
        and_(jobs.c.state == "running", jobs.c.lease_until < func.now()),
    )


def _leave(connection: Connection, job: Job, **values: object) -> None:
    # A worker whose lease ran out must not write over the one that came after it: the attempt tells them apart.
    mine = and_(jobs.c.id == job.id, jobs.c.state == "running", jobs.c.attempts == job.attempts)
    connection.execute(update(jobs).where(mine).values(lease_until=None, **values))
