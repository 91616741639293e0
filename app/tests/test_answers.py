"""Cached answers: quick, and never stale, whoever writes; and what happens without Redis."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from conftest import APP, Cluster, redis_server, silent, wait_until
from fastapi.testclient import TestClient
from patient import LONG
from prometheus_client import REGISTRY
from redis import Redis
from sqlalchemy import Connection

from ratemyunit import answers, api, jobs, search, settings, units
from ratemyunit import database as pool
from ratemyunit.guard import rates


def application(cluster: Cluster, database: str, redis_url: str) -> TestClient:
    """Make a client of an application."""
    asked = settings.read({"DATABASE_URL": cluster.url(database), "REDIS_URL": redis_url})
    return TestClient(api.create(asked), raise_server_exceptions=False)


@pytest.fixture
def client(cluster: Cluster, database: str, redis_url: str) -> Iterator[TestClient]:
    """Make a client of an application with one unit."""
    store(cluster, database, "Old title")
    with application(cluster, database, redis_url) as made:
        yield made


def store(cluster: Cluster, database: str, title: str) -> None:
    """Store one unit as a worker does, through a pool of its own."""
    engine = pool.engine(cluster.url(database), application="ratemyunit-worker")
    with engine.begin() as connection:
        units.store(connection, "North", [units.Found("COMP1010", title, "")])
    engine.dispose()


def titles(client: TestClient) -> list[str]:
    """Search for the one unit."""
    return [unit["title"] for unit in client.get("/api/units?search=comp1010").json()["units"]]


def hits() -> float:
    """Tell how many answers the cache has given."""
    return REGISTRY.get_sample_value("answers_looked_up_total", {"found": "yes"}) or 0


def test_the_same_question_is_answered_from_the_cache_while_nobody_writes(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, before = titles(client), hits()
    monkeypatch.setattr(search, "find", None)  # who asks the database now fails

    assert titles(client) == first == ["Old title"]
    assert hits() == before + 1


def test_an_answer_is_never_stale_after_a_worker_has_written(
    client: TestClient, cluster: Cluster, database: str
) -> None:
    for n in range(10):
        assert titles(client) == titles(client)
        store(cluster, database, f"Title {n}")
        assert titles(client) == [f"Title {n}"]


def test_an_answer_is_never_stale_after_an_older_release_has_written(
    client: TestClient, cluster: Cluster, database: str
) -> None:
    titles(client)
    with psycopg.connect(cluster.url(database)) as old_release:
        old_release.execute("update units set title = 'Written by hand'")
        assert titles(client) == titles(client) == ["Old title"]  # it is not committed yet

    assert titles(client) == ["Written by hand"]


def test_an_answer_found_before_a_commit_is_not_given_after_it(
    client: TestClient, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, written = threading.Event(), threading.Event()
    find = search.find

    def slowly(*args: object, **named: object) -> object:
        page = find(*args, **named)  # type: ignore[arg-type]
        found.set()
        written.wait(LONG)
        return page

    monkeypatch.setattr(search, "find", slowly)
    reader = threading.Thread(target=titles, args=(client,))
    reader.start()
    assert found.wait(LONG)
    store(cluster, database, "New title")
    written.set()
    reader.join(LONG)

    assert titles(client) == ["New title"]


def test_many_who_write_and_read_at_once_never_see_an_older_title_again(
    client: TestClient, cluster: Cluster, database: str
) -> None:
    done = 0
    over = threading.Event()

    def write() -> None:
        nonlocal done
        with psycopg.connect(cluster.url(database), autocommit=True) as writer:
            for n in range(1, 60):
                writer.execute("update units set title = %s", (str(n),))
                done = n
        over.set()

    store(cluster, database, "0")
    thread = threading.Thread(target=write)
    thread.start()
    while not over.is_set():
        committed = done
        assert int(titles(client)[0]) >= committed
    thread.join()


def test_two_databases_on_one_redis_do_not_answer_for_each_other(
    cluster: Cluster, database: str, client: TestClient, redis_url: str
) -> None:
    cluster.make_migrated("other_of_two")
    with application(cluster, "other_of_two", redis_url) as other:
        assert titles(client) == ["Old title"]
        assert titles(other) == []


def test_search_goes_on_while_redis_hangs_and_waits_for_it_once(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PATIENCE_S", 0.1)
    monkeypatch.setattr(answers, "LEFT_ALONE_S", 3600)
    store(cluster, database, "Found")
    with silent() as (url, callers), application(cluster, database, url) as client:
        assert titles(client) == ["Found"]
        before = callers()
        assert all(titles(client) == ["Found"] for _ in range(50))

        assert callers() == before > 0


def test_a_redis_that_went_away_is_asked_again_after_a_while(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LEFT_ALONE_S", 0.2)
    store(cluster, database, "Found")
    with redis_server() as url:
        client = application(cluster, database, url).__enter__()
        titles(client)
    assert titles(client) == ["Found"]
    port = int(url.rpartition(":")[2].partition("/")[0])
    with redis_server(port):
        before = hits()
        wait_until(lambda: titles(client) == ["Found"] and hits() > before)
    client.__exit__(None, None, None)


def test_answers_leave_redis_by_themselves_and_name_nobodys_words(client: TestClient, redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        redis.flushdb()
        client.get("/api/units?search=my-own-name")

        keys = list(redis.scan_iter("rmu:answer:*"))
        assert keys and all(0 < redis.ttl(key) <= answers.KEPT_S for key in keys)
        assert not [key for key in keys if "name" in key]


@pytest.fixture
def small_redis(tmp_path: Path) -> Iterator[str]:
    """Start a Redis with a host's settings, but with room for hardly anything."""
    of_a_host = APP.parent / "templates/host/files/redis.conf"
    with redis_server(settings=of_a_host, maxmemory="4mb", dir=str(tmp_path)) as url:
        yield url


def cache(cluster: Cluster, redis_url: str) -> answers.Answers:
    """Make a cache of answers."""
    return answers.Answers(settings.read({"DATABASE_URL": cluster.url("postgres"), "REDIS_URL": redis_url}))


def test_more_answers_than_redis_has_room_for_cost_no_offer_and_no_count(cluster: Cluster, small_redis: str) -> None:
    offers = [uuid4(), uuid4()]
    with Redis.from_url(small_redis, decode_responses=True) as redis, connected(cluster) as connection:
        jobs.push(redis, offers[:1])
        kept = cache(cluster, small_redis)
        for n in range(600):
            kept.of(connection, f"question {n}", lambda: "x" * 16_000)
        kept.close()

        jobs.push(redis, offers[1:])
        allowed = asyncio.run(counted(small_redis, {"read": "3/minute"}))

        assert set(redis.zrange(jobs.QUEUE, 0, -1)) == set(map(str, offers))
        assert allowed == [True, True, True, False]
        assert list(redis.scan_iter("rates*")) and list(redis.scan_iter("rmu:answer:*"))


async def counted(redis_url: str, limit: dict[str, str]) -> list[bool]:
    """Count four requests of a client."""
    counters = rates.Counters(redis_url, limit)
    try:
        return [stands.allowed for _ in range(4) if (stands := await counters.hit("read", "203.0.113.7"))]
    finally:
        await counters.close()


@contextmanager
def connected(cluster: Cluster) -> Iterator[Connection]:
    """Connect as the application does."""
    engine = pool.engine(cluster.url("postgres"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("answer", "kept"), [("x" * answers.MOST, 1), ("x" * answers.MOST + "x", 0), ("\u20ac" * 20_000, 0)]
)
def test_an_answer_that_is_large_is_given_and_not_kept(
    cluster: Cluster, redis_url: str, answer: str, kept: int
) -> None:
    with Redis.from_url(redis_url) as redis, connected(cluster) as connection:
        redis.flushdb()
        made = cache(cluster, redis_url)

        assert made.of(connection, "a question", lambda: answer) == answer
        made.close()
        assert redis.dbsize() == kept
