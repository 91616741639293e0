"""The connection pool: its share of what the database admits, never more, and statements that take too long."""

import os
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from conftest import APP, Cluster, Role
from patient import LONG
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ratemyunit import database as pool


def admits(cluster: Cluster, database: str) -> int:
    """Ask how many connections the cluster leaves to the application."""
    with psycopg.connect(cluster.url(database)) as connection:
        row = connection.execute(pool.ADMITS).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("limit", "sharers", "share"), [(33, 8, 4), (1000, 8, 10), (9, 8, 2), (40, 4, 10), (40, 8, 5)])
def test_a_pool_takes_its_share_of_what_the_database_admits(
    cluster: Cluster, database: str, limit: int, sharers: int, share: int
) -> None:
    cluster.sql(f"alter database {database} connection limit {limit}")
    engine = pool.engine(cluster.url(database), sharers=sharers)

    with engine.connect():
        assert engine.pool.share == min(share, max(2, admits(cluster, database) // sharers))
    engine.dispose()


def test_the_least_of_the_three_limits_counts(cluster: Cluster, database: str) -> None:
    server = admits(cluster, database)
    cluster.sql(f"alter database {database} connection limit 50")
    assert server > 50 == admits(cluster, database)
    cluster.sql("alter role rmu_app connection limit 20")
    try:
        assert admits(cluster, database) == 20
    finally:
        cluster.sql("alter role rmu_app connection limit -1")


def test_a_pool_that_everybody_uses_never_has_more_connections_than_its_share(cluster: Cluster, database: str) -> None:
    cluster.sql(f"alter database {database} connection limit 24")
    engine = pool.engine(cluster.url(database), sharers=8)
    most = 0

    def use() -> None:
        nonlocal most
        for _ in range(5):
            with engine.connect() as connection:
                seen = connection.scalar(
                    text("select count(*) from pg_stat_activity where datname = current_database()")
                )
                connection.execute(text("select pg_sleep(0.01)"))
                most = max(most, seen)

    threads = [threading.Thread(target=use) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert most == engine.pool.share == 3
    engine.dispose()


def test_who_finds_no_connection_free_is_told_so_and_the_next_one_is_served(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FREE_S", 0.2)
    cluster.sql(f"alter database {database} connection limit 16")
    engine = pool.engine(cluster.url(database), sharers=8)

    with engine.connect(), engine.connect(), pytest.raises(PoolTimeout, match="all 2 connections are in use"):
        engine.connect()

    with engine.connect() as connection:
        assert connection.scalar(text("select 1")) == 1
    engine.dispose()


def test_a_database_that_could_not_be_reached_costs_no_connection_of_the_share(cluster: Cluster, database: str) -> None:
    engine = pool.engine(cluster.url("not_there_yet"), sharers=8)
    for _ in range(3):
        with pytest.raises(OperationalError):
            engine.connect()
    cluster.sql("drop database if exists not_there_yet")
    cluster.sql("create database not_there_yet")
    try:
        with engine.connect() as first, engine.connect() as second:
            assert first.scalar(text("select 1")) == second.scalar(text("select 1")) == 1
    finally:
        engine.dispose()
        cluster.sql("drop database not_there_yet with (force)")


@pytest.mark.parametrize("first", ["select pg_terminate_backend(pg_backend_pid())", "select 1 / 0"])
def test_a_database_that_fails_the_first_question_costs_no_connection_of_the_share(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(pool, "FREE_S", 5)
    engine = pool.engine(cluster.url(database), pool=2)
    with monkeypatch.context() as failing:
        failing.setattr(pool, "ADMITS", first)
        for _ in range(3):
            with pytest.raises(DBAPIError):
                engine.connect()

    with engine.connect() as one, engine.connect() as other:
        assert one.scalar(text("select 1")) == other.scalar(text("select 1")) == 1
    assert engine.pool.share == 2
    engine.dispose()


def test_a_statement_over_its_time_is_cancelled_and_the_connection_goes_on(cluster: Cluster, database: str) -> None:
    # What follows has no more time either, so it is time enough for a busy machine.
    engine = pool.engine(cluster.url(database), patience=timedelta(seconds=5))
    with engine.connect() as connection:
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("select pg_sleep(600)"))
        connection.rollback()
        assert connection.scalar(text("select 1")) == 1
    engine.dispose()


def test_a_database_whose_host_vanished_is_given_up_in_seconds(cluster: Cluster, database: str) -> None:
    engine = pool.engine(cluster.url(database))

    with engine.connect() as connection:
        held = connection.connection.dbapi_connection
        assert isinstance(held, psycopg.Connection)
        with socket.socket(fileno=os.dup(held.fileno())) as wire:
            idle, between, tries, unanswered = (
                wire.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                    socket.TCP_USER_TIMEOUT,
                )
            )
    engine.dispose()

    assert idle + between * tries <= 20
    assert unanswered <= 5000


def test_a_search_that_takes_too_long_is_a_503_that_says_when_to_come_back(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str
) -> None:
    api = start("api", ("api.PATIENCE=5",), DATABASE_URL=cluster.url(database), REDIS_URL=redis_url)
    with psycopg.connect(cluster.url(database, "rmu_migrate")) as blocker:
        blocker.execute("lock table units in access exclusive mode")

        status, headers, body = api.get("/api/units?search=anything")

    assert (status, headers["retry-after"]) == (503, "5")
    assert "timeout" not in body
    assert api.get("/api/units?search=anything")[0] == 200


# Half a second on the machine that this was written on, when nobody else uses it.
ADDITIONS = """
import time
total, began = 0, time.process_time()
for n in range(10_000_000):
    total += n
print(time.process_time() - began)
"""


def test_livez_answers_after_a_second_of_work_at_the_most(
    start: "type[Role]", cluster: Cluster, redis_url: str
) -> None:
    # Other tests share the machine and make it slower: what counts is the work done until then, beside work that is
    # always the same. `make bench-app` looks at a clock.
    api = start("api", DATABASE_URL=cluster.url("none"), REDIS_URL=redis_url)
    assert api.get("/livez")[0] == 200
    fields = Path(f"/proc/{api.process.pid}/stat").read_text().rpartition(")")[2].split()
    worked = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    done = subprocess.run([sys.executable, "-c", ADDITIONS], capture_output=True, text=True, check=True)

    assert worked < 2 * float(done.stdout)


def test_an_api_loads_neither_browser_nor_what_migrates() -> None:
    asks = "import sys, ratemyunit.serve; print([m for m in ('playwright', 'alembic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asks], cwd=APP, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
