"""The routes, in process, on a real database: what is found, and what is answered to wrong input."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from conftest import TOKEN, Cluster
from fastapi.testclient import TestClient

from ratemyunit import api, database, search, settings, units

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
WISH = {"url": "http://127.0.0.1:1/catalogue", "university": "Somewhere"}


def environment(cluster: Cluster, name: str, redis_url: str) -> dict[str, str]:
    """Write the environment of a test's application."""
    return {"DATABASE_URL": cluster.url(name), "REDIS_URL": redis_url, "ADMIN_TOKEN": TOKEN}


@pytest.fixture
def client(cluster: Cluster, database: str, redis_url: str) -> Iterator[TestClient]:
    """Make a client of an application with three units."""
    with TestClient(
        api.create(settings.read(environment(cluster, database, redis_url))), raise_server_exceptions=False
    ) as made:
        store(cluster, database)
        yield made


def store(cluster: Cluster, name: str) -> None:
    """Store three units of two universities."""
    engine = database.engine(cluster.url(name))
    with engine.begin() as connection:
        first = units.Found("COMP1010", "Programming", "Loops and functions")
        second = units.Found("COMP2100", "Systems", "Programming close to the machine")
        units.store(connection, "North", [first, second])
        units.store(connection, "South", [units.Found("ÉCON1", "Économie", "L'offre et la demande 📈")])
    engine.dispose()


def codes(client: TestClient, search: str) -> list[str]:
    """Search; answer the codes found, in order."""
    answer = client.get("/api/units", params={"search": search})
    assert answer.status_code == 200
    return [unit["code"] for unit in answer.json()["units"]]


def test_search_finds_every_word_or_its_beginning_in_code_title_and_text(client: TestClient) -> None:
    assert codes(client, "comp") == ["COMP1010", "COMP2100"]
    assert codes(client, "prog mach") == ["COMP2100"]
    assert codes(client, "économ") == ["ÉCON1"]
    assert codes(client, "nothing-of-the-sort") == []


def test_an_empty_search_lists_and_limits(client: TestClient) -> None:
    assert codes(client, "") == ["COMP1010", "COMP2100", "ÉCON1"]
    assert len(client.get("/api/units?limit=2").json()["units"]) == 2


@pytest.mark.parametrize(
    "search", ["' or 1=1 --", "a & | ! (b", "a:*:b <-> c", "\\", "%", "📈", "\u202etxet", "a\u0007b", " ", "x " * 99]
)
def test_odd_searches_are_words_and_nothing_more(client: TestClient, search: str) -> None:
    answer = client.get("/api/units", params={"search": search})

    assert answer.status_code == 200
    assert isinstance(answer.json()["units"], list)


def test_a_unit_is_shown_by_its_id(client: TestClient) -> None:
    unit = client.get("/api/units?search=systems").json()["units"][0]

    assert client.get(f"/api/units/{unit['id']}").json() == {**unit, "ratings": []}
    assert unit["university"] == "North"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/units?search=" + "a" * 201, 422),
        ("GET", "/api/units?search=a%00b", 422),
        ("GET", "/api/units?limit=0", 422),
        ("GET", "/api/units?limit=101", 422),
        ("GET", "/api/units?limit=many", 422),
        ("GET", "/api/units/42", 422),
        ("GET", f"/api/units/{uuid4()}", 404),
        ("GET", "/nothing/here", 404),
        ("DELETE", "/api/units", 405),
    ],
)
def test_wrong_input_is_a_clear_problem_document(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]
    assert "a" * 201 not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {**WISH, "url": "file:///etc/passwd"},
        {**WISH, "url": "javascript:alert(1)"},
        {**WISH, "url": "http://x/" + "a" * 2000},
        {**WISH, "university": ""},
        {**WISH, "university": "a\x00b"},
        {**WISH, "university": "a" * 201},
        {**WISH, "university": 7},
    ],
)
def test_a_malformed_scrape_is_refused_and_nothing_is_stored(client: TestClient, body: object) -> None:
    answer = client.post("/api/admin/scrape", json=body, headers=ADMIN)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert jobs_stored(client) == 0


def test_a_body_that_is_no_json_is_refused(client: TestClient) -> None:
    headers = {**ADMIN, "Content-Type": "application/json"}

    assert client.post("/api/admin/scrape", content=b'{"url": ', headers=headers).status_code == 422


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}], ids=str)
def test_admin_is_closed_without_the_token(client: TestClient, given: dict[str, str]) -> None:
    answer = client.post("/api/admin/scrape", json=WISH, headers=given)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert jobs_stored(client) == 0


def test_an_unset_admin_token_admits_nobody(cluster: Cluster, database: str, redis_url: str) -> None:
    asked = settings.read({**environment(cluster, database, redis_url), "ADMIN_TOKEN": ""})
    with TestClient(api.create(asked)) as client:
        assert client.post("/api/admin/scrape", json=WISH, headers={"Authorization": "Bearer "}).status_code == 401


def test_a_scrape_is_kept_even_when_redis_is_gone(cluster: Cluster, database: str) -> None:
    asked = settings.read({**environment(cluster, database, "redis://127.0.0.1:1/0"), "SCRAPE_HOSTS": "127.0.0.1"})
    with TestClient(api.create(asked)) as client:
        answer = client.post("/api/admin/scrape", json=WISH, headers=ADMIN)

        assert answer.status_code == 202
        assert client.get(f"/api/admin/jobs/{answer.json()['job']}", headers=ADMIN).json()["state"] == "queued"
        assert client.get(f"/api/admin/jobs/{uuid4()}", headers=ADMIN).status_code == 404


def test_the_fixture_catalogue_is_served_only_where_it_is_switched_on(
    client: TestClient, cluster: Cluster, database: str, redis_url: str
) -> None:
    assert client.get("/fixture/catalogue").status_code == 404

    asked = settings.read({**environment(cluster, database, redis_url), "FIXTURE_CATALOGUE": "1"})
    with TestClient(api.create(asked)) as switched_on:
        assert switched_on.get("/fixture/catalogue").headers["content-type"].startswith("text/html")


def test_metrics_count_routes_and_callers_cannot_invent_labels(client: TestClient) -> None:
    client.get("/api/units/42")
    client.get("/invented/by/a/caller")
    client.request("INVENTED", "/livez")

    shown = client.get("/metrics").text

    assert 'http_requests_total{method="GET",route="/api/units/{unit_id}",status="422"}' in shown
    assert 'route="unmatched",status="404"' in shown
    assert "nvented" not in shown
    assert "INVENTED" not in shown


def test_a_mistake_of_ours_is_a_500_that_tells_nothing_of_our_insides(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("the secret is 42")

    monkeypatch.setattr(search, "find", fail)  # no input reaches this state, or it would be no mistake of ours

    answer = client.get("/api/units")

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"HTTP_PORT": "70000"}, "HTTP_PORT"),
        ({"HTTP_PORT": "x"}, "HTTP_PORT"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(settings.SettingsWrong, match=named):
        settings.read({"DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", **wrong})


def test_a_rating_is_taken_once_and_shown_with_its_unit(client: TestClient) -> None:
    unit = client.get("/api/units?search=systems").json()["units"][0]
    given = {"id": str(uuid4()), "stars": 4, "comment": "hard, but 📈"}
    place = f"/api/units/{unit['id']}/ratings"

    first, again = client.post(place, json=given), client.post(place, json=given)
    shown = client.get(f"/api/units/{unit['id']}").json()

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == {**given, "created_at": first.json()["created_at"]}
    assert shown["ratings"] == [{**first.json(), "comment": ""}]


def test_ratings_are_shown_newest_first(client: TestClient) -> None:
    unit = client.get("/api/units?search=systems").json()["units"][0]["id"]
    for stars in (1, 2, 3):
        client.post(f"/api/units/{unit}/ratings", json={"id": str(uuid4()), "stars": stars})

    assert [r["stars"] for r in client.get(f"/api/units/{unit}").json()["ratings"]] == [3, 2, 1]


@pytest.mark.parametrize("changed", [{"stars": 5}, {"comment": "other"}, {"unit": "another"}], ids=str)
def test_a_known_id_with_another_rating_is_a_conflict_and_changes_nothing(
    client: TestClient, changed: dict[str, object]
) -> None:
    mine, other = (u["id"] for u in client.get("/api/units?search=comp").json()["units"])
    given = {"id": str(uuid4()), "stars": 4, "comment": "mine"}
    client.post(f"/api/units/{mine}/ratings", json=given)

    place = f"/api/units/{other if 'unit' in changed else mine}/ratings"
    answer = client.post(place, json={**given, **{k: v for k, v in changed.items() if k != "unit"}})

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert [r["stars"] for r in client.get(f"/api/units/{mine}").json()["ratings"]] == [4]
    assert client.get(f"/api/units/{other}").json()["ratings"] == []


def test_a_rating_of_an_unknown_unit_is_not_found(client: TestClient) -> None:
    answer = client.post(f"/api/units/{uuid4()}/ratings", json={"id": str(uuid4()), "stars": 3})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "7"},
        {"id": None},
        {"stars": 0},
        {"stars": 6},
        {"stars": "5"},
        {"stars": 4.5},
        {"stars": True},
        {"stars": None},
        {"comment": "a" * 2001},
        {"comment": "a\x00b"},
        {"comment": 7},
    ],
    ids=lambda w: str(w)[:24],
)
def test_a_malformed_rating_is_refused_and_nothing_is_stored(client: TestClient, wrong: dict[str, object]) -> None:
    unit = client.get("/api/units?search=systems").json()["units"][0]["id"]

    answer = client.post(f"/api/units/{unit}/ratings", json={"id": str(uuid4()), "stars": 3, **wrong})

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert client.get(f"/api/units/{unit}").json()["ratings"] == []


def test_the_same_rating_sent_many_times_at_once_is_one(client: TestClient) -> None:
    unit = client.get("/api/units?search=systems").json()["units"][0]["id"]
    given = {"id": str(uuid4()), "stars": 2, "comment": "twice"}

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post(f"/api/units/{unit}/ratings", json=given), range(12)))

    assert sorted(a.status_code for a in answers) == [200] * 11 + [201]
    assert len(client.get(f"/api/units/{unit}").json()["ratings"]) == 1


def jobs_stored(client: TestClient) -> int:
    """Count the job rows."""
    with client.app.state.engine.connect() as connection:
        return int(connection.exec_driver_sql("select count(*) from jobs").scalar_one())
