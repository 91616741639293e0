"""Jobs as rows: run once, survive a lost Redis and a dead worker, come back later and later."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Connection, Engine, text

from ratemyunit import jobs, repository
from ratemyunit.scraper.port import Job


def add(engine: Engine, url: str = "http://127.0.0.1:1/") -> UUID:
    """Put one job down."""
    with engine.begin() as connection:
        return jobs.add(connection, url, "U")


def take(engine: Engine, job: UUID) -> Job | None:
    """Claim a job."""
    with engine.begin() as connection:
        return jobs.claim(connection, job)


def row(engine: Engine, job: UUID) -> dict[str, Any]:
    """Read a job's row."""
    with engine.connect() as connection:
        found = jobs.one(connection, job)
    assert found is not None
    return dict(found)


def change(engine: Engine, what: str) -> None:
    """Change every row, as time would."""
    with engine.begin() as connection:
        connection.execute(text(f"update jobs set {what}"))


def test_a_lost_redis_loses_no_job(engine: Engine, redis: Redis) -> None:
    first, second = add(engine), add(engine, "http://127.0.0.1:2/")
    rows = repository.Rows(engine, redis, timedelta(0))
    redis.flushall()

    found = rows.next()

    assert found and found.id == first
    assert redis.zrange(jobs.QUEUE, 0, -1) == [str(second)]


def test_a_job_is_claimed_once(engine: Engine) -> None:
    job = add(engine)

    assert take(engine, job) is not None
    assert take(engine, job) is None


def test_a_claim_passes_by_a_row_that_another_worker_is_claiming(engine: Engine) -> None:
    job = add(engine)
    with engine.begin() as other:
        assert jobs.claim(other, job) is not None

        assert take(engine, job) is None  # at once: a wait would end in the statement's timeout


def dies(engine: Engine) -> int:
    """Let the lease of whatever runs run out; answer how many tries that ended."""
    change(engine, "lease_until = now() - interval '1 s' where state = 'running'")
    with engine.begin() as connection:
        return jobs.lapse(connection)


def test_a_dead_workers_job_comes_back_when_its_lease_runs_out(engine: Engine) -> None:
    job = add(engine)
    dead = take(engine, job)

    assert dies(engine) == 1

    assert take(engine, job) is None  # not at once
    assert row(engine, job)["error"] == jobs.DIED
    change(engine, "not_before = now()")
    again = take(engine, job)
    assert dead and again
    assert (dead.attempts, again.attempts) == (1, 2)


def test_a_job_in_hand_does_not_lapse(engine: Engine) -> None:
    job = add(engine)
    assert take(engine, job)

    with engine.begin() as connection:
        assert jobs.lapse(connection) == 0

    assert row(engine, job)["state"] == "running"


def test_a_worker_that_lost_its_lease_cannot_write_over_the_next_one(engine: Engine) -> None:
    job = add(engine)
    late = take(engine, job)
    assert dies(engine) == 1
    change(engine, "not_before = now()")
    assert late and take(engine, job)

    with engine.begin() as connection:
        jobs.fail(connection, late, "too late")

    assert (row(engine, job)["state"], row(engine, job)["error"]) == ("running", None)


def worker_dies(connection: Connection, job: Job, why: str) -> None:
    """End a try as a worker does that the page has ended."""
    connection.execute(text("update jobs set lease_until = now() - interval '1 s' where id = :job"), {"job": job.id})
    jobs.lapse(connection)


def pauses_of(engine: Engine, job: UUID, fail: Callable[[Connection, Job, str], None]) -> list[float]:
    """Let a job fail as often as it may be taken, ten times at most; answer the pauses before each next try."""
    pauses = []
    for _ in range(10):
        change(engine, "not_before = now()")
        claimed = take(engine, job)
        if claimed is None:
            return pauses
        with engine.begin() as connection:
            fail(connection, claimed, "the page answered 500")
            now = connection.scalar(text("select now()"))
        pauses.append((row(engine, job)["not_before"] - now).total_seconds())
    return pauses


@pytest.mark.parametrize(("fail", "why"), [(jobs.fail, "the page answered 500"), (worker_dies, jobs.DIED)])
def test_bug_critical_004_a_failed_job_comes_back_later_each_time_and_at_last_no_more(
    engine: Engine, fail: Callable[[Connection, Job, str], None], why: str
) -> None:
    job = add(engine)

    pauses = pauses_of(engine, job, fail)

    assert len(pauses) == jobs.MOST_ATTEMPTS
    assert 2 < pauses[0] <= 5
    assert pauses[0] < pauses[1] < pauses[2] < pauses[3] <= jobs.LONGEST_PAUSE.total_seconds()
    assert row(engine, job)["state"] == "failed"
    assert row(engine, job)["error"] == why
    assert take(engine, job) is None


def test_bug_critical_004_a_page_that_ends_its_worker_each_time_is_given_up(engine: Engine, redis: Redis) -> None:
    job = add(engine)
    rows = repository.Rows(engine, redis, timedelta(0))

    for _ in range(20):
        rows.next()  # takes it, or finds that the worker which had it died
        change(engine, "lease_until = now() - interval '1 s', not_before = now()")

    found = row(engine, job)
    assert (found["attempts"], found["state"], found["error"]) == (jobs.MOST_ATTEMPTS, "failed", jobs.DIED)


def test_bug_critical_004_the_naive_version_never_gives_up_and_waits_as_long_for_all(engine: Engine) -> None:
    pauses = pauses_of(engine, add(engine), naive_fail)

    assert pauses == [5.0] * 10


def naive_fail(connection: Connection, job: Job, why: str) -> None:
    """Put a job off as the first version did: the same pause each time, for ever."""
    put_off = "update jobs set state = 'queued', not_before = now() + interval '5 s', error = :why where id = :job"
    connection.execute(text(put_off), {"why": why, "job": job.id})


def test_bug_critical_004_no_pause_is_longer_than_the_longest_and_no_two_are_alike(engine: Engine) -> None:
    pauses = []
    for number in range(6):
        job = add(engine, f"http://127.0.0.1:{number + 1}/")
        claimed = take(engine, job)
        assert claimed
        with engine.begin() as connection:
            connection.execute(text("update jobs set attempts = 4 where id = :job"), {"job": job})
            jobs.fail(connection, replace(claimed, attempts=4), "the page answered 500")
            now = connection.scalar(text("select now()"))
        pauses.append((row(engine, job)["not_before"] - now).total_seconds())

    assert all(150 <= pause <= jobs.LONGEST_PAUSE.total_seconds() for pause in pauses)
    assert len(set(pauses)) == len(pauses)


def test_a_job_put_off_is_not_offered_before_its_time(engine: Engine, redis: Redis) -> None:
    job = add(engine)
    change(engine, "not_before = now() + interval '1 h'")

    assert repository.Rows(engine, redis, timedelta(0)).next() is None
    assert redis.zcard(jobs.QUEUE) == 0
    assert take(engine, job) is None


def test_a_job_given_back_is_due_at_once_and_lost_no_attempt(engine: Engine) -> None:
    job = add(engine)
    claimed = take(engine, job)
    assert claimed

    with engine.begin() as connection:
        jobs.give_back(connection, claimed)

    again = take(engine, job)
    assert again
    assert again.attempts == 1
