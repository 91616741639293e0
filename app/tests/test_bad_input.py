"""Bad input, for every endpoint of the document: what is wrong is refused as a problem, what is only odd is taken as it
is, and whatever is refused has changed nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from conftest import Cluster
from fastapi import FastAPI
from httpx2 import Response
from people import OPERATOR, PASSWORD, Person, admin, browser, first_unit, newcomer, running, student
from sqlalchemy import text

NOBODY = "00000000-0000-4000-8000-000000000000"
A_TIME = "2026-01-01T00:00:00+00:00"
# No field takes these.
WRONG: list[Any] = [None, [], {}, {"$ne": 1}, "a\x00b", "\ud800", "x" * 60_000, 1e308]
# And text fields none of these besides.
NO_TEXT: list[Any] = [7, True, 1.5]
# Odd, and perhaps well meant: never a mistake of ours, whatever else they are.
ODD = [
    "📈👩‍🎓",
    "\u202etxet desrever",
    "مرحبا بالعالم",
    "a\u0007\u001b[31mb",
    "\r\nSet-Cookie: a=b",
    "'; drop table units; --",
]
ODD += ["<script>alert(1)</script>", "%00%0a", "{{7*7}}", "../../etc/passwd", "Ω≈ç√∫˜µ", "\ufeff", " ", "-1", "NaN"]
# Instead of an id in a path.
NO_ID = ["42", "%00", "%F0%9F%93%88", "'%20or%201=1", "..%2f..", "a" * 2000, NOBODY[:-1], "null"]
# Instead of a body.
NO_BODY = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b"[" * 30_000, b'{"a":' * 9_000, b"\x00", b"1e999"]


@dataclass(frozen=True)
class Endpoint:
    """One operation: who may ask for it, and a body that it takes, if it takes one."""

    method: str
    path: str
    who: str = "stranger"
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


BY, NEW = {"by": "root@laptop"}, {"email": "new@uni.example.edu", "password": PASSWORD}
SITE = {"url": "https://catalogue.example.org/", "university": "Somewhere"}
SOURCE = {**SITE, "kind": "sitemap", "span": "", "rules": {"units": "article"}, "most_pages": 10}
ENDPOINTS = [
    Endpoint("GET", "/livez"),
    Endpoint("GET", "/readyz"),
    Endpoint("GET", "/version"),
    Endpoint("GET", "/api/units"),
    Endpoint("GET", "/api/universities"),
    Endpoint("GET", "/api/units/{unit_id}"),
    Endpoint("POST", "/api/units/{unit_id}/ratings", body={"id": str(uuid4()), "stars": 3, "comment": "good"}),
    Endpoint("POST", "/api/auth/sign-up", body=NEW),
    Endpoint("POST", "/api/auth/sign-in", body=NEW),
    Endpoint("POST", "/api/auth/sign-out", "student"),
    Endpoint("GET", "/api/auth/session", "student"),
    Endpoint("GET", "/api/account/ratings", "student"),
    Endpoint("DELETE", "/api/account/ratings/{rating_id}", "student"),
    Endpoint("GET", "/api/admin/users", "admin"),
    Endpoint("POST", "/api/admin/users/{user_id}/role", "admin", {"role": "student"}),
    Endpoint("POST", "/api/admin/users/{user_id}/lock", "admin"),
    Endpoint("POST", "/api/admin/users/{user_id}/unlock", "admin"),
    Endpoint("GET", "/api/admin/reviews", "admin"),
    Endpoint("POST", "/api/admin/reviews/{rating_id}", "admin", {"review": "shown", "created_at": A_TIME}),
    Endpoint("POST", "/api/admin/scrape", "operator", SITE),
    Endpoint("GET", "/api/admin/jobs/{job_id}", "operator"),
    Endpoint("GET", "/api/admin/sources", "operator"),
    Endpoint("POST", "/api/admin/sources", "operator", SOURCE),
    Endpoint("POST", "/api/admin/sources/{source_id}/crawl", "operator"),
    Endpoint("GET", "/api/admin/crawls/{crawl_id}", "operator"),
    Endpoint("POST", "/api/admin/crawls/{crawl_id}/stop", "operator"),
    Endpoint("GET", "/api/admin/queue/status", "operator"),
    Endpoint("POST", "/api/admin/queue/pause", "operator", {**BY, "because": "it is down"}),
    Endpoint("POST", "/api/admin/queue/resume", "operator", BY),
]


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application with two units that lets one try as often as one likes."""
    with running(cluster, redis_url, RATE_ACCOUNT="off") as made:
        yield made


@pytest.fixture(scope="module")
def people(app: FastAPI) -> dict[str, Person]:
    """Gather everybody whom an endpoint may want."""
    operator = Person(browser(app, headers=OPERATOR), "")
    return {"stranger": Person(browser(app), ""), "student": student(app), "admin": admin(app), "operator": operator}


@dataclass
class Asking:
    """Asks an application, and looks what has changed."""

    app: FastAPI
    person: Person
    endpoint: Endpoint

    def with_body(self, body: dict[str, Any]) -> Response:
        """Ask with a JSON body."""
        return self.raw(json.dumps(body).encode())

    def raw(self, content: bytes) -> Response:
        """Ask with any body."""
        return self._checked(self._path(), content=content)

    def at(self, named: str) -> Response:
        """Ask for something else than what the path would name."""
        return self._checked(self._path(named), content=json.dumps(self.endpoint.body or {}))

    def querying(self, name: str, *values: str) -> Response:
        """Ask with a query."""
        return self._checked(self._path(), params=[(name, value) for value in values])

    def _path(self, named: str = "") -> str:
        head, brace, rest = self.endpoint.path.partition("{")
        if not brace:
            return head
        there = named or (first_unit(self.person.browser) if rest.startswith("unit_id") else NOBODY)
        return head + there + rest.partition("}")[2]

    def _checked(self, path: str, **more: Any) -> Response:
        if self.endpoint.who == "stranger":
            self.person.browser.cookies.clear()  # a sign-in may have worked
        before = everything(self.app)
        sent = {"X-CSRF-Token": self.person.csrf, "Content-Type": "application/json"}
        answer: Response = self.person.browser.request(self.endpoint.method, path, headers=sent, **more)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert everything(self.app) == before
            assert len(answer.text) < 2_000
        return answer


def everything(app: FastAPI) -> list[Any]:
    """Sum up every row of every table; files of pages aside, which each release puts there by itself."""
    with app.state.engine.connect() as connection:
        listed = text(
            "select tablename from pg_tables where schemaname = 'public' and tablename <> 'assets' order by 1"
        )
        names = connection.execute(listed).scalars().all()
        sums = ", ".join(f"(select md5(string_agg(t::text, '|' order by t::text)) from {name} t)" for name in names)
        return [*zip(names, connection.exec_driver_sql(f"select {sums}").one(), strict=True)]


def test_a_row_that_only_changes_is_seen(app: FastAPI) -> None:
    ana, operator = newcomer(app), browser(app, headers=OPERATOR)
    account, before = f"/api/admin/users/{ana.id()}", everything(app)

    answers = [operator.post(f"{account}/lock")]
    locked = everything(app)
    answers.append(operator.post(f"{account}/unlock"))

    assert [answer.status_code for answer in answers] == [204, 204]
    assert [now[0] for now, was in zip(locked, before, strict=True) if now != was] == ["users"]
    assert everything(app) == before


def parametrized(*which: Endpoint) -> pytest.MarkDecorator:
    """Run a test for each of some endpoints."""
    return pytest.mark.parametrize("endpoint", which, ids=str)


def test_the_table_holds_every_endpoint_of_the_document(app: FastAPI) -> None:
    documented = {(m.upper(), path) for path, operations in app.openapi()["paths"].items() for m in operations}

    assert {(e.method, e.path) for e in ENDPOINTS} == documented


@parametrized(*[e for e in ENDPOINTS if e.body])
def test_a_field_of_the_wrong_kind_is_refused(app: FastAPI, people: dict[str, Person], endpoint: Endpoint) -> None:
    asking = Asking(app, people[endpoint.who], endpoint)
    for field, good in (endpoint.body or {}).items():
        for value in WRONG + NO_TEXT * isinstance(good, str):
            if isinstance(good, dict) and isinstance(value, dict):
                continue  # what rules there are is known; others are not looked at
            answer = asking.with_body({**(endpoint.body or {}), field: value})
            assert answer.status_code in (404, 422), (field, value, answer.text)


@parametrized(*[e for e in ENDPOINTS if e.body])
def test_a_field_that_is_missing_or_odd_is_no_mistake_of_ours(
    app: FastAPI, people: dict[str, Person], endpoint: Endpoint
) -> None:
    asking = Asking(app, people[endpoint.who], endpoint)
    body = endpoint.body or {}
    assert asking.with_body({}).status_code == 422
    for field, good in body.items():
        asking.with_body({name: value for name, value in body.items() if name != field})
        for odd in ODD * isinstance(good, str):
            answer = asking.with_body({**body, field: odd})
            assert "a=b" not in str(answer.headers)


@parametrized(*[e for e in ENDPOINTS if e.body])
def test_a_body_that_is_none_is_refused(app: FastAPI, people: dict[str, Person], endpoint: Endpoint) -> None:
    asking = Asking(app, people[endpoint.who], endpoint)

    assert {asking.raw(body).status_code for body in NO_BODY} <= {400, 422}


@parametrized(*[e for e in ENDPOINTS if "{" in e.path])
def test_a_path_that_names_nothing_is_refused(app: FastAPI, people: dict[str, Person], endpoint: Endpoint) -> None:
    asking = Asking(app, people[endpoint.who], endpoint)

    assert {asking.at(named).status_code for named in NO_ID} <= {404, 405, 422}
    assert asking.at(NOBODY).status_code == 404


@parametrized(*[e for e in ENDPOINTS if e.method == "GET"])
def test_a_query_is_refused_or_taken_as_words(app: FastAPI, people: dict[str, Person], endpoint: Endpoint) -> None:
    asking = Asking(app, people[endpoint.who], endpoint)
    operation = app.openapi()["paths"][endpoint.path]["get"]
    named = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    for name in [p["name"] for p in named] + ["unheard-of"]:
        for odd in ODD:
            asking.querying(name, odd)
        asking.querying(name, "1", "2", "x" * 100)
        for wrong in ("a\x00b", "x" * 5_000):
            assert asking.querying(name, wrong).status_code == 422 or name == "unheard-of" or "{" in endpoint.path


# An operator's routes want a token, whatever the session.
IN_A_SESSION = [e for e in ENDPOINTS if e.who in ("student", "admin") and e.path != "/api/auth/sign-out"]


@parametrized(*IN_A_SESSION)
@pytest.mark.parametrize("over", ["delete from sessions", "update sessions set ends_at = now()"], ids=["gone", "ended"])
def test_a_session_that_is_over_opens_nothing(app: FastAPI, endpoint: Endpoint, over: str) -> None:
    ana = admin(app)
    asking, whose = Asking(app, ana, endpoint), {"user": ana.id()}
    opened = asking.at(NOBODY)
    with app.state.engine.begin() as connection:
        connection.execute(text(f"{over} where user_id = :user"), whose)

    answer = asking.at(NOBODY)

    assert (opened.status_code in (200, 404), answer.status_code) == (True, 401)


def test_what_is_sent_twice_is_done_once(app: FastAPI) -> None:
    ana, boss = student(app), admin(app)
    rating = {"id": str(uuid4())}
    unit = first_unit(ana.browser)

    first, second = (ana.rate(unit, **rating) for _ in range(2))

    assert [first.status_code, second.status_code] == [201, 200]
    verdict = {"review": "shown", "created_at": first.json()["created_at"]}
    for path, body in ((f"reviews/{rating['id']}", verdict), (f"users/{ana.id()}/lock", {})):
        assert [boss.ask("POST", f"/api/admin/{path}", json=body).status_code for _ in range(2)] == [204, 204]


def test_another_accounts_rating_can_be_neither_sent_again_nor_taken(app: FastAPI) -> None:
    ana, ben = student(app), student(app)
    unit = first_unit(ana.browser)
    rating = ana.rate(unit).json()["id"]

    assert ben.rate(unit, id=rating).status_code == 409
    assert Person(browser(app), "").rate(unit, id=rating).status_code == 409
    assert ben.ask("DELETE", f"/api/account/ratings/{rating}").status_code == 404
    assert [r["id"] for r in ana.browser.get("/api/account/ratings").json()["ratings"]] == [rating]
