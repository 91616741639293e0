"""Cached answers: quick, and never stale, whoever writes; and what happens without Redis."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from conftest import Cluster, redis_server, silent, wait_until
from fastapi.testclient import TestClient
from patient import LONG
from prometheus_client import REGISTRY
from redis import Redis

from ratemyunit import answers, api, search, settings, units
from ratemyunit import database as pool


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
