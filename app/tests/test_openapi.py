"""The API's own document, tried out: no answer of a server's mistake, and none that the document does not know."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import schemathesis
import uvicorn
from conftest import TOKEN, Cluster, free_port, listens, wait_until
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from patient import LONG
from people import OPERATOR, PASSWORD, admin, application, browser, running, student
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ratemyunit import api
from ratemyunit.settings import read

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# The same tries each time: what fails here fails for whoever looks at it.
COMMON = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY, FEW = 25, 2


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application that lets one try as often as one likes."""
    with running(cluster, redis_url, RATE_ACCOUNT="off") as made:
        yield made


@dataclass(frozen=True)
class Mighty:
    """Somebody who may do everything; ids of what is there, by the names that paths have for them; and bodies that
    nobody hits upon by chance.
    """

    headers: dict[str, str]
    there: dict[str, str]
    bodies: dict[str, dict[str, str]]


@pytest.fixture
def mighty(app: FastAPI) -> Mighty:
    """Make an admin's session with the operators' token, and one of everything that a path may name."""
    boss = admin(app)
    unit, other = (found["id"] for found in boss.browser.get("/api/units").json()["units"][:2])
    session = {"Cookie": f"session={boss.browser.cookies['session']}", "X-CSRF-Token": boss.csrf}
    site = {"url": f"https://{uuid4().hex}.example.org/", "university": "North"}
    operator = browser(app, headers=OPERATOR)
    source = operator.post("/api/admin/sources", json={**site, "kind": "sitemap"}).json()["source"]
    rating = boss.rate(other).json()
    there = {
        "unit_id": unit,
        "rating_id": rating["id"],
        "user_id": student(app).id(),
        "job_id": operator.post("/api/admin/scrape", json=site).json()["job"],
        "source_id": source,
        "crawl_id": operator.post(f"/api/admin/sources/{source}/crawl").json()["crawl"],
    }
    bodies = {
        "POST /api/auth/sign-in": {"email": boss.email, "password": PASSWORD},
        "POST /api/admin/sources": {**site, "url": f"{site['url']}more", "kind": "sitemap"},
        "POST /api/admin/reviews/{rating_id}": {"review": "hidden", "created_at": rating["created_at"]},
    }
    return Mighty({**session, "Authorization": f"Bearer {TOKEN}"}, there, bodies)


@pytest.fixture(scope="module")
def base(app: FastAPI) -> Iterator[str]:
    """Serve the application."""
    with served(app) as url:
        yield url


@pytest.fixture(scope="module")
def poor(app: FastAPI, cluster: Cluster) -> Iterator[str]:
    """Serve an application that has neither database nor Redis."""
    made = application(cluster, "not_there", f"redis://127.0.0.1:{free_port()}/0", RATE_ACCOUNT="off")
    made.state.portal = app.state.portal
    with served(made) as url:
        yield url


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application that a test client has started."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, ws="none", lifespan="off"))
    thread = threading.Thread(target=lambda: app.state.portal.call(server.serve), daemon=True)
    thread.start()
    wait_until(lambda: listens(port))
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(LONG)


def operations() -> list[APIOperation]:
    """List what the document offers; nothing needs to run for that."""
    app = api.create(read({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}))
    document = schemathesis.openapi.from_dict(app.openapi())
    return [found.ok() for found in document.get_all_operations()]


def tried(
    operation: APIOperation, base: str, who: Mighty, tries: int, checks: list[CheckFunction] = CHECKS
) -> set[int]:
    """Send what fits the document and what does not, and each of it about what is there, too; answer the statuses.

    Each answer has to be one that the document knows.
    """
    statuses: set[int] = set()

    def send(case: Case) -> None:
        answer = case.call_and_validate(base_url=base, headers=who.headers, checks=checks, timeout=LONG)
        statuses.add(answer.status_code)

    for mode in GenerationMode:

        @settings(COMMON, max_examples=tries)
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Case) -> None:
            send(case)
            if case.path_parameters and who.there:
                case.path_parameters = {name: who.there[name] for name in case.path_parameters}
                send(case)

        with suppress(Unsatisfiable):  # some take no input, so none is wrong
            one()
    if body := who.bodies.get(operation.label):
        named = {name: there for name, there in who.there.items() if f"{{{name}}}" in operation.path}
        send(operation.Case(path_parameters=named, body=body, media_type="application/json"))
    return statuses


EACH = pytest.mark.parametrize("operation", operations(), ids=lambda o: o.label)


@EACH
def test_every_answer_to_who_may_do_it_is_one_that_the_document_knows(
    operation: APIOperation, base: str, mighty: Mighty
) -> None:
    statuses = tried(operation, base, mighty, MANY)

    assert {status for status in statuses if status < 300}, f"nothing but refusals: {statuses}"


@EACH
def test_every_answer_to_a_stranger_is_one_that_the_document_knows(operation: APIOperation, base: str) -> None:
    tried(operation, base, Mighty({}, {}, {}), FEW)


@EACH
def test_every_answer_without_database_and_redis_is_one_that_the_document_knows(
    operation: APIOperation, poor: str
) -> None:
    expected = [check for check in CHECKS if check is not not_a_server_error]
    tried(operation, poor, Mighty(OPERATOR, {}, {}), FEW, expected)


def test_no_schema_of_the_document_fits_everything(app: FastAPI) -> None:
    document = app.openapi()
    answers = [
        content["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for content in answer.get("content", {}).values()
    ]

    assert [schema for schema in [*answers, *document["components"]["schemas"].values()] if vague(schema)] == []


def vague(schema: Any) -> bool:
    """Tell whether there is a place in a schema where anything at all would do."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *schema.get("allOf", [])]
    inner += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    says = {"type", "anyOf", "allOf", "enum", "const"} & set(schema)
    open_ = schema.get("type") == "object" and not {"properties", "additionalProperties"} & set(schema)
    return not says or open_ or schema.get("additionalProperties") is True or any(map(vague, inner))


def test_a_mistake_and_an_answer_that_a_document_does_not_know_are_found() -> None:
    naive = FastAPI()

    @naive.get("/there")
    def there(number: int) -> dict[str, int]:
        if number == 1:
            raise HTTPException(409, "taken")
        return {"is": 10 // number}

    document = schemathesis.openapi.from_asgi("/openapi.json", naive)

    for number, found in ((0, "by zero"), (1, "Undocumented status code")):
        with pytest.raises(BaseException, match=found):
            document["/there"]["GET"].Case(query={"number": number}).call_and_validate(checks=CHECKS)


def test_a_slash_too_many_is_nothing_here_and_leads_nowhere(app: FastAPI) -> None:
    client = browser(app, follow_redirects=False, headers={"X-Forwarded-Proto": "https"})

    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            answer = client.request(method, path.replace("{", "").replace("}", "") + "/", json={})
            assert (answer.status_code, answer.headers.get("location")) == (404, None), path
            assert answer.headers["content-type"] == "application/problem+json"


def test_as_the_framework_comes_it_leads_a_password_from_https_to_http() -> None:
    naive = FastAPI()
    naive.post("/sign-in")(lambda: None)

    answer = TestClient(naive, follow_redirects=False).post("/sign-in/", headers={"X-Forwarded-Proto": "https"})

    assert (answer.status_code, answer.headers["location"]) == (307, "http://testserver/sign-in")


def test_what_is_asked_by_get_is_asked_by_head_too_and_comes_without_a_body(app: FastAPI, base: str) -> None:
    document, who = app.openapi(), {**OPERATOR, "Accept": "application/json"}
    paths = [path for path, operations in document["paths"].items() if "get" in operations]

    for path in [*paths, "/metrics", "/openapi.json"]:
        there = base + path.replace("{", "").replace("}", "")
        head, get = (httpx2.request(method, there, headers=who) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers.keys() == get.headers.keys(), path
    assert httpx2.request("HEAD", f"{base}/api/auth/sign-in").status_code == 405
    assert {method for operations in document["paths"].values() for method in operations} == {"get", "post", "delete"}


def test_a_figure_of_head_is_the_routes(app: FastAPI) -> None:
    browser(app).head("/api/units/7")

    assert (
        'http_requests_total{method="HEAD",route="/api/units/{unit_id}",status="422"}'
        in browser(app).get("/metrics").text
    )


OPERATORS, IN_SESSION, NOBODYS = {"operator": []}, {"session": []}, {}
WAYS_IN = {
    "/api/units/{unit_id}/ratings": [IN_SESSION, NOBODYS],
    "/api/auth/sign-out": [IN_SESSION, NOBODYS],
    "/api/auth/session": [IN_SESSION],
    "/api/account/": [IN_SESSION],
    "/api/admin/reviews": [IN_SESSION],
    "/api/admin/users": [IN_SESSION, OPERATORS],
    "/api/admin/": [OPERATORS],
    "/": [],
}


def test_the_document_says_who_may_ask_what_and_how_they_show_it(app: FastAPI) -> None:
    document = app.openapi()

    schemes = document["components"]["securitySchemes"]
    assert (schemes["operator"]["type"], schemes["operator"]["scheme"]) == ("http", "bearer")
    assert [schemes["session"][name] for name in ("type", "in", "name")] == ["apiKey", "cookie", "__Host-session"]
    for path, operations in document["paths"].items():
        expected = next(ways for start, ways in WAYS_IN.items() if path.startswith(start))
        for method, operation in operations.items():
            assert sorted(operation.get("security", []), key=str) == sorted(expected, key=str), (method, path)
            # OpenAPI has its readers ignore parameters of these names.
            assert {p["name"].lower() for p in operation.get("parameters", [])}.isdisjoint({"authorization", "cookie"})


def test_every_refusal_is_documented_as_a_problem(app: FastAPI) -> None:
    document = app.openapi()

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                kinds = list(answer.get("content", {}))
                assert status < "400" or kinds == ["application/problem+json"], (path, method, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "detail"]
