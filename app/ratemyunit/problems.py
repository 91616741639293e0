"""Every error answer is problem+json (RFC 9457): a type of mistake, a sentence, and nothing of our insides.

Where a browser shows a page it is a page with the same sentence.
"""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from redis import RedisError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["at", "why"],
                "properties": {"at": {"type": "string"}, "why": {"type": "string"}},
            },
        },
    },
}
"""The document's schema, for OpenAPI."""

# A 401 has to name a way in (RFC 9110, 15.5.2). No browser knows this one, so none asks for a password by itself.
BY_SESSION = 'Cookie realm="RateMyUnit"'

log = logging.getLogger("ratemyunit.api")


def problem(status: int, detail: str, **more: object) -> JSONResponse:
    """Make one problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Say to OpenAPI that a route may answer so, with a problem document."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def answer(request: Request, status: int, detail: str, **more: object) -> Response:
    """Make the answer that refuses a request: a problem document, or a page for who reads pages."""
    if _reads_pages(request):
        # Templates are needed for few requests, and what draws them asks here for its own refusals.
        from ratemyunit.web import errors

        return errors.page(request, status, detail)
    return problem(status, detail, **more)


def mistake(request: Request) -> Response:
    """Make the answer to a mistake of ours."""
    return answer(request, 500, "our mistake; it is logged")


def answer_problems(app: FastAPI) -> None:
    """Register the answers for what callers get wrong and for what we lack."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, _unstorable)
    for lacking in (OperationalError, InterfaceError, PoolTimeout, RedisError):
        app.add_exception_handler(lacking, _unavailable)


def _reads_pages(request: Request) -> bool:
    # A browser that shows a page asks for HTML; a program, and a script on a page, does not.
    return "text/html" in request.headers.get("Accept", "") and not request.url.path.startswith("/api/")


def _http(request: Request, why: Exception) -> Response:
    assert isinstance(why, HTTPException)  # noqa: S101 - the handler is registered for this type
    refused = answer(request, why.status_code, str(why.detail))
    refused.headers.update(why.headers or {})
    if why.status_code == 401:
        refused.headers.setdefault("WWW-Authenticate", BY_SESSION)
    return refused


def _invalid(request: Request, why: Exception) -> Response:
    assert isinstance(why, RequestValidationError)  # noqa: S101 - the handler is registered for this type
    # The rejected input is not repeated: it may be long, or secret.
    errors = [{"at": ".".join(map(str, e["loc"])), "why": e["msg"]} for e in why.errors()]
    return answer(request, 422, "the request does not fit what is documented", errors=errors)


def _unstorable(request: Request, why: Exception) -> Response:
    return answer(request, 422, "the request holds characters or numbers that cannot be stored")


def _unavailable(request: Request, why: Exception) -> Response:
    log.error("a service we need is missing", extra={"fields": {"kind": type(why).__name__}})
    refused = answer(request, 503, "a service we need is missing; try again soon")
    refused.headers["Retry-After"] = "5"
    return refused
