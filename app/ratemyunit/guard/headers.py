"""What every answer tells the browser to refuse, and the answer to a mistake of ours.

Starlette answers an exception outside of all middlewares, so such an answer would lack these headers, the release and
the request's id in its log line: it is made here instead.
"""

import logging

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratemyunit import problems
from ratemyunit.guard import client, cookies

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
ALWAYS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Two years, which is what the preload list asks for. Subdomains are not ours to speak for.
HTTPS_ONLY = (b"strict-transport-security", b"max-age=63072000")
# An answer that a session had a part in is nobody else's.
PRIVATE = (b"cache-control", b"no-store")

log = logging.getLogger("ratemyunit.api")


class Headers:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, add the headers, and turn an exception into a problem document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        added = [*ALWAYS, HTTPS_ONLY] if client.of(scope).https else [*ALWAYS]
        private = bool(cookies.session(request))
        started = False

        async def adding(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                said = [*message.get("headers", ()), *added]
                if private and not any(name == b"cache-control" for name, _ in said):
                    said.append(PRIVATE)
                message = {**message, "headers": said}
            await send(message)

        try:
            await self._app(scope, receive, adding)
        except Exception as why:
            # Half an answer cannot be taken back: the server then cuts the connection.
            if started:
                raise
            log.error("a mistake of ours", exc_info=why)
            await problems.mistake(request)(scope, receive, adding)
