"""OpenAPI with every answer in it, also those that no route gives: what guards refuse and what goes wrong is a
problem document, and said to be one.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from ratemyunit.guard.origin import SAFE
from ratemyunit.guard.rates import FREE
from ratemyunit.problems import PROBLEM, documented

Operation = dict[str, Any]


def complete(app: FastAPI) -> None:
    """Let the application's document name every answer."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        return plain() if app.openapi_schema else _completed(plain())

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    # FastAPI's own shape of a refusal, which is not ours.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    for path, method, operation in _operations(document):
        refusals = documented(*_also(path, method, operation))
        operation["responses"].update({str(status): answer for status, answer in refusals.items()})
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method.upper(), operation


def _also(path: str, method: str, operation: Operation) -> Iterator[int]:
    yield from (500, 503)
    if path not in FREE:
        yield 429
    if path.startswith("/api/admin/"):
        yield 401
    if method not in SAFE:
        yield 403
    if "requestBody" in operation:
        yield from (400, 408, 413)
    if "requestBody" in operation or operation.get("parameters"):
        yield 422
