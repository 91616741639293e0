"""A request that changes something and that a browser sends from a page of another site is refused.

Programs send neither Origin nor Sec-Fetch-Site and pass; what acts for a session wants a token besides (`csrf`).
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ratemyunit import problems
from ratemyunit.guard import client

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OURS = frozenset({"", "same-origin", "none"})


class SameOrigin:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what reads, and what comes from a page of ours or from no page."""
        if scope["type"] != "http" or scope["method"] in SAFE or _ours(scope):
            await self._app(scope, receive, send)
            return
        answer = problems.answer(Request(scope), 403, "this was sent from a page of another site")
        await answer(scope, receive, send)


def _ours(scope: Scope) -> bool:
    if client.header(scope, b"sec-fetch-site") not in OURS:
        return False
    origin = client.header(scope, b"origin")
    scheme = "https" if client.of(scope).https else "http"
    return not origin or origin.lower() == f"{scheme}://{client.header(scope, b'host').lower()}"
