"""The queue as an operator meets it: counted, paused in PostgreSQL, honoured by workers, closed without a token."""

import json
from collections.abc import Callable, Iterator

import pytest
from conftest import TOKEN, Cluster, Role, redis_server, wait_until
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from ratemyunit import api, check, jobs, pauses, settings

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
WISH = {"by": "root@laptop", "because": "the site is down"}
Start = Callable[..., Role]


@pytest.fixture
def client(cluster: Cluster, database: str, redis_url: str) -> Iterator[TestClient]:
    """Make a client of an application."""
    named = {"DATABASE_URL": cluster.url(database), "REDIS_URL": redis_url, "ADMIN_TOKEN": TOKEN}
    with TestClient(api.create(settings.read(named)), raise_server_exceptions=False) as made:
        yield made


def add(engine: Engine, state: str = "queued", **more: str) -> None:
    """Put a job down in a state; `more` are columns and the SQL of their values."""
    columns = {"url": "'http://127.0.0.1:1/'", "university": "'U'", "state": f"'{state}'", **more}
    with engine.begin() as connection:
        connection.execute(text(f"insert into jobs ({', '.join(columns)}) values ({', '.join(columns.values())})"))


def test_an_empty_queue_has_nothing_and_runs(client: TestClient) -> None:
    answer = client.get("/api/admin/queue/status", headers=ADMIN)

    assert answer.json() == {
        **{"waiting": 0, "running": 0, "later": 0, "failed": 0, "oldest_s": 0.0},
        **{"paused": False, "paused_by": None, "paused_at": None, "because": None},
    }
    assert answer.headers["cache-control"] == "no-store"


def test_jobs_are_counted_by_what_becomes_of_them(client: TestClient, engine: Engine) -> None:
    add(engine, not_before="now() - interval '40 s'")
    add(engine, "running", lease_until="now() - interval '90 s'")  # its worker died
    add(engine, "running", lease_until="now() + interval '90 s'", not_before="now() - interval '1 h'")
    add(engine, not_before="now() + interval '5 min'")
    add(engine, "failed")
    add(engine, "done", not_before="now() - interval '1 d'")

    seen = client.get("/api/admin/queue/status", headers=ADMIN).json()

    assert (seen["waiting"], seen["running"], seen["later"], seen["failed"]) == (2, 1, 1, 1)
    assert 90 <= seen["oldest_s"] < 100


def test_a_pause_names_who_and_why_and_the_first_one_stays_named(client: TestClient) -> None:
    paused = client.post("/api/admin/queue/pause", json=WISH, headers=ADMIN).json()
    again = client.post("/api/admin/queue/pause", json={"by": "somebody@else"}, headers=ADMIN).json()
    resumed = client.post("/api/admin/queue/resume", json={"by": "somebody@else"}, headers=ADMIN).json()
    twice = client.post("/api/admin/queue/resume", json={"by": "somebody@else"}, headers=ADMIN)

    assert (paused["paused"], paused["paused_by"], paused["because"]) == (True, WISH["by"], WISH["because"])
    assert again == paused
    assert (resumed["paused"], resumed["paused_by"], resumed["paused_at"]) == (False, None, None)
    assert (twice.status_code, twice.json()) == (200, resumed)


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}], ids=str)
@pytest.mark.parametrize("path", ["status", "pause", "resume"])
def test_the_queue_is_closed_without_the_token(client: TestClient, path: str, given: dict[str, str]) -> None:
    ask = client.get if path == "status" else client.post
    answer = ask(f"/api/admin/queue/{path}", headers=given, **({} if path == "status" else {"json": WISH}))

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/api/admin/queue/status", headers=ADMIN).json()["paused"] is False


@pytest.mark.parametrize("body", [{}, {"by": ""}, {"by": "x" * 201}, {"by": "a\x00b"}, {**WISH, "because": "x" * 501}])
def test_a_pause_that_names_nobody_or_says_too_much_is_refused(client: TestClient, body: dict[str, str]) -> None:
    answer = client.post("/api/admin/queue/pause", json=body, headers=ADMIN)

    assert answer.status_code == 422
    assert client.get("/api/admin/queue/status", headers=ADMIN).json()["paused"] is False


def test_a_paused_queue_gives_no_job_away_even_to_a_worker_that_has_not_heard_of_it(engine: Engine) -> None:
    with engine.begin() as connection:
        job = jobs.add(connection, "http://127.0.0.1:1/", "U")
        pauses.pause(connection, "root@laptop", "")

    with engine.begin() as connection:
        assert jobs.claim(connection, job) is None
        pauses.resume(connection)
    with engine.begin() as connection:
        assert jobs.claim(connection, job) is not None


def test_the_check_of_a_release_works_while_the_queue_is_paused_and_leaves_it_so(
    engine: Engine, cluster: Cluster, database: str
) -> None:
    with engine.begin() as connection:
        pauses.pause(connection, "root@laptop", "kept")

    assert check.check(cluster.url(database))["ok"] is True

    with engine.connect() as connection:
        found = pauses.current(connection)
    assert found is not None and (found["paused_by"], found["because"]) == ("root@laptop", "kept")


def test_a_pause_outlives_worker_and_redis_and_no_job_is_lost(start: Start, cluster: Cluster, database: str) -> None:
    with redis_server() as first:
        door = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=first, FIXTURE_CATALOGUE="1")
        worker = start("worker", DATABASE_URL=cluster.url(database), REDIS_URL=first, FIXTURE_CATALOGUE="1")
        assert _ask(door, "pause", WISH)["paused"] is True
        wish = {"url": f"{door.base}/fixture/catalogue", "university": "Fixture University"}
        door.post("/api/admin/scrape", wish, **ADMIN)
        wait_until(lambda: any(line["message"] == "paused" for line in worker.lines()))
        assert worker.stop() == 0
        assert door.stop() == 0

    with redis_server() as second:
        door = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=second, FIXTURE_CATALOGUE="1")
        worker = start("worker", DATABASE_URL=cluster.url(database), REDIS_URL=second, FIXTURE_CATALOGUE="1")
        wait_until(lambda: any(line["message"] == "paused" for line in worker.lines()))
        seen = _status(door)
        assert (seen["paused"], seen["waiting"], seen["running"]) == (True, 1, 0)

        _ask(door, "resume", {"by": "root@laptop"})

        # The page is no longer there: that it was tried is what counts.
        wait_until(lambda: (_status(door)["waiting"], _status(door)["later"]) == (0, 1))
        assert TOKEN not in door.log.read_text() + worker.log.read_text()


def _ask(door: Role, what: str, body: dict[str, str]) -> dict[str, object]:
    status, _, text_ = door.post(f"/api/admin/queue/{what}", body, **ADMIN)
    assert status == 200, text_
    answer: dict[str, object] = json.loads(text_)
    return answer


def _status(door: Role) -> dict[str, object]:
    answer: dict[str, object] = json.loads(door.get("/api/admin/queue/status", **ADMIN)[2])
    return answer
