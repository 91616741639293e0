"""Every error answer is problem+json (RFC 9457): a type of mistake, a sentence, and nothing of our insides."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis import RedisError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

log = logging.getLogger("ratemyunit.api")


def problem(status: int, detail: str, **more: object) -> JSONResponse:
    """Make one problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def answer_problems(app: FastAPI) -> None:
    """Register the answers for what callers get wrong and for what we lack."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, _unstorable)
    for lacking in (OperationalError, InterfaceError, PoolTimeout, RedisError):
        app.add_exception_handler(lacking, _unavailable)
    app.add_exception_handler(Exception, _bug)


def _http(_: Request, why: Exception) -> JSONResponse:
    assert isinstance(why, HTTPException)  # noqa: S101 - the handler is registered for this type
    answer = problem(why.status_code, str(why.detail))
    answer.headers.update(why.headers or {})
    return answer


def _invalid(_: Request, why: Exception) -> JSONResponse:
    assert isinstance(why, RequestValidationError)  # noqa: S101 - the handler is registered for this type
    # The rejected input is not repeated: it may be long, or secret.
    errors = [{"at": ".".join(map(str, e["loc"])), "why": e["msg"]} for e in why.errors()]
    return problem(422, "the request does not fit what is documented", errors=errors)


def _unstorable(_: Request, why: Exception) -> JSONResponse:
    return problem(422, "the request holds characters or numbers that cannot be stored")


def _unavailable(_: Request, why: Exception) -> JSONResponse:
    log.error("a service we need is missing", extra={"fields": {"kind": type(why).__name__}})
    answer = problem(503, "a service we need is missing; try again soon")
    answer.headers["Retry-After"] = "5"
    return answer


def _bug(_: Request, why: Exception) -> JSONResponse:
    return problem(500, "our mistake; it is logged")
