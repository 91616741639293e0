"""The API's own document, tried out: no answer of a server's mistake, and none that the document does not know."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import schemathesis
import uvicorn
from conftest import TOKEN, Cluster, free_port, listens, wait_until
from fastapi import FastAPI, HTTPException
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from patient import LONG
from people import OPERATOR, admin, application, running
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
MANY, FEW = 8, 2


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application that lets one try as often as one likes."""
    with running(cluster, redis_url, RATE_ACCOUNT="off") as made:
        yield made


@pytest.fixture(scope="module")
def mighty(app: FastAPI) -> dict[str, str]:
    """Write the headers of somebody who may do everything: an admin's session, and the operators' token."""
    boss = admin(app)
    session = {"Cookie": f"session={boss.browser.cookies['session']}", "X-CSRF-Token": boss.csrf}
    return {**session, "Authorization": f"Bearer {TOKEN}"}


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
    operation: APIOperation, base: str, headers: dict[str, str], tries: int, checks: list[CheckFunction] = CHECKS
) -> None:
    """Send what fits the document and what does not; each answer has to be one that it knows."""
    for mode in GenerationMode:

        @settings(COMMON, max_examples=tries)
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Case) -> None:
            case.call_and_validate(base_url=base, headers=headers, checks=checks, timeout=LONG)

        with suppress(Unsatisfiable):  # some take no input, so none is wrong
            one()


EACH = pytest.mark.parametrize("operation", operations(), ids=lambda o: o.label)


@EACH
def test_every_answer_to_who_may_do_it_is_one_that_the_document_knows(
    operation: APIOperation, base: str, mighty: dict[str, str]
) -> None:
    tried(operation, base, mighty, MANY)


@EACH
def test_every_answer_to_a_stranger_is_one_that_the_document_knows(operation: APIOperation, base: str) -> None:
    tried(operation, base, {}, FEW)


@EACH
def test_every_answer_without_database_and_redis_is_one_that_the_document_knows(
    operation: APIOperation, poor: str
) -> None:
    tried(operation, poor, OPERATOR, FEW, [check for check in CHECKS if check is not not_a_server_error])


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


def test_every_refusal_is_documented_as_a_problem(app: FastAPI) -> None:
    document = app.openapi()

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                kinds = list(answer.get("content", {}))
                assert status < "400" or kinds == ["application/problem+json"], (path, method, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "detail"]
