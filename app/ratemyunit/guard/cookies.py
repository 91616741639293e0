"""The two cookies: a session's token, and a secret for the forms of who has no session.

Over https their names begin with `__Host-`: the browser then takes them from this host alone, encrypted, for all
paths, so no neighbour under the same domain can plant one. Over plain http (a developer's machine) no browser keeps
such a name. One name is never read where the other is written.
"""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from ratemyunit.guard import client
from ratemyunit.sessions import LIFE

FORMS_LIFE = timedelta(hours=12)


def session(request: Request) -> str:
    """Read the session's token; empty where the browser has none."""
    return request.cookies.get(_name(request, "session"), "")


def forms(request: Request) -> str:
    """Read the secret for forms without a session; empty where the browser has none."""
    return request.cookies.get(_name(request, "forms"), "")


def put(request: Request, response: Response, token: str) -> None:
    """Give the browser its session's token."""
    _set(request, response, "session", token, LIFE)


def put_forms(request: Request, response: Response, secret: str) -> None:
    """Give the browser a secret for the forms it is shown."""
    _set(request, response, "forms", secret, FORMS_LIFE)


def clear(request: Request, response: Response) -> None:
    """Take the session's token away from the browser."""
    _set(request, response, "session", "", timedelta(0))


def _name(request: Request, name: str) -> str:
    return f"__Host-{name}" if client.of(request.scope).https else name


def _set(request: Request, response: Response, name: str, value: str, life: timedelta) -> None:
    response.set_cookie(
        _name(request, name),
        value,
        max_age=int(life.total_seconds()),
        path="/",
        secure=client.of(request.scope).https,
        httponly=True,
        # Lax: who follows a link to us is still signed in; a form of another site sends no cookie.
        samesite="lax",
    )
