"""The token that a form repeats: proof that the page it was sent from is ours, and is this browser's.

It is an HMAC under a secret of the browser's own cookie, so nothing is stored, and one browser's token is nothing to
another. Who has a session uses its token as the secret; who has none gets a cookie with the first form.
"""

import hmac
import secrets
from typing import Annotated

from fastapi import Form, Header, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ratemyunit.guard import cookies
from ratemyunit.guard.origin import SAFE

REFUSED = "this form is too old or not yours; load the page again and send it once more"


def token(request: Request, response: Response) -> str:
    """Make the token for the forms of a page; a browser without any cookie of ours gets one with the response."""
    secret = _secret(request)
    if not secret:
        secret = secrets.token_urlsafe(32)
        cookies.put_forms(request, response, secret)
    return of(secret)


def of(secret: str) -> str:
    """Make the token that belongs to a cookie's secret."""
    return hmac.new(secret.encode(), b"ratemyunit csrf", "sha256").hexdigest()


def check(request: Request, given: str) -> None:
    """Let only a form pass that repeats this browser's token.

    Raises:
        HTTPException: 403, the token is another's, or there is none.
    """
    secret = _secret(request)
    # Compared as bytes: a string with other letters than ASCII's would be an exception.
    if not secret or not hmac.compare_digest(of(secret).encode(), given.encode("utf-8", "replace")):
        raise HTTPException(403, REFUSED)


async def form(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> None:
    """Check a form's hidden field `csrf`; a dependency of every route that takes a form."""
    check(request, csrf)


async def by_header(request: Request, x_csrf_token: Annotated[str, Header(max_length=100)] = "") -> None:
    """Check the header X-CSRF-Token of a request that changes something for a session; a dependency."""
    if request.method not in SAFE and cookies.session(request):
        check(request, x_csrf_token)


def _secret(request: Request) -> str:
    return cookies.session(request) or cookies.forms(request)
