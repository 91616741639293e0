"""A request's body is read whole before a route begins: no longer than a limit, no slower than another.

So a route never waits for a client while it holds a thread, and a request that breaks off has changed nothing. A
length that the client names too large is refused at once; one that it does not name is counted as it comes.
"""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratemyunit import problems
from ratemyunit.guard import client

MOST = 64 * 1024
"""In bytes. The longest comment is 2,000 characters, at most 24,000 bytes in JSON's spelling."""
SECONDS = 10.0


class TooLong(Exception):
    """More bytes came, or were announced, than a request may have."""


class GoneAway(Exception):
    """The client hung up before its request was whole."""


class Bodies:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, most: int = MOST, seconds: float = SECONDS) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it is whole."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(scope, receive)
        except TooLong:
            await _refuse(413, f"the request is longer than {self._most} bytes", scope, receive, send)
        except TimeoutError:
            await _refuse(408, f"the request was not whole after {self._seconds:g} s", scope, receive, send)
        except GoneAway:
            # Nobody reads it; the log and the figures shall not say that it was our mistake.
            await _refuse(400, "the request broke off", scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        announced = client.header(scope, b"content-length")
        if announced.isdecimal() and int(announced) > self._most:
            raise TooLong
        parts = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneAway
            parts += message.get("body", b"")
            if len(parts) > self._most:
                raise TooLong
            if not message.get("more_body", False):
                return bytes(parts)


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _replay(body: bytes, receive: Receive) -> Receive:
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


async def _refuse(status: int, why: str, scope: Scope, receive: Receive, send: Send) -> None:
    answer = problems.answer(Request(scope), status, why)
    # The rest of the body is still on its way: without this it would be read as the next request.
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)
