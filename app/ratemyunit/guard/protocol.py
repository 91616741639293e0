"""HTTP as the server speaks it, with a bound on a request's head: how long it may take to come, and how large it is.

The proxy has the same bounds. Here they hold for whoever reaches the port without it. What is refused before there is a
request passes no middleware: it is made here as they would make it.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratemyunit.guard.headers import ALWAYS
from ratemyunit.problems import problem
from ratemyunit.watch import release_field

SECONDS = 15.0
MOST = 32 * 1024


class TooLong(Exception):
    """A request's head has more bytes than it may."""


class Http(HttpToolsProtocol):
    """One connection; a head that is too slow or too large ends it."""

    release = "unknown"
    _deadline: asyncio.TimerHandle | None = None
    _came = 0
    """Bytes since the last request was whole."""
    _head = 0
    """Bytes of this request's head that are parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request's head its time."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; count it as long as the head is not whole."""
        self._came += len(data)
        super().data_received(data)
        if self._deadline and self._came > MOST and not self.transport.is_closing():
            self._too_long()

    def on_message_begin(self) -> None:
        """Give a later request's head its time too."""
        super().on_message_begin()
        self._head = 0
        if self._deadline is None:
            self._begin()

    def on_url(self, url: bytes) -> None:
        """Count what is parsed of the first line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count each field: a head that comes at once is whole before it is looked at otherwise."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + len(b": \r\n"))

    def on_headers_complete(self) -> None:
        """Go on without a deadline: the body has one of its own."""
        self._whole()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count anew: what comes is the next request's."""
        self._came = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be parsed, or what was not parsed further."""
        if self._head > MOST:
            self._too_long()
        else:
            self._end(400, "this is no request that HTTP knows")

    def _count(self, parsed: int) -> None:
        self._head += parsed
        if self._head > MOST:
            # It ends the parsing: the server then refuses the request.
            raise TooLong

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(SECONDS, self._too_slow)

    def _whole(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._end(408, f"the head of the request was not whole after {SECONDS:g} s")

    def _too_long(self) -> None:
        self._end(431, f"the head of the request is longer than {MOST} bytes")

    def _end(self, status: int, why: str) -> None:
        self._whole()
        made = problem(status, why)
        fields = (*made.raw_headers, (b"connection", b"close"), *ALWAYS, release_field(self.release))
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        self.transport.write(first + head + b"\r\n" + bytes(made.body))
        self.transport.close()


def of(release: str) -> type[Http]:
    """Make the protocol that names a release in what it refuses by itself."""
    return type("HttpOfRelease", (Http,), {"release": release})
