"""The browser's only way out: a proxy of its own for each page, which asks addresses.py before every connection.

A browser follows redirects, loads parts, opens sockets and resolves names by itself; whatever it wants to reach, it
has to come through here. The gate connects to the address that was checked, counts what comes back, and breaks the
page off when that is more than a page may weigh. When it closes, nothing that the page left behind has a network.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any

import h11

from ratemyunit.scraper.addresses import AddressRefused, Guard, Target
from ratemyunit.scraper.port import Trouble

MOST_BYTES = 16 << 20
CONNECT_SECONDS = 8.0
CHUNK = 1 << 16
HEAD_SECONDS = 10.0
# What belongs to one connection and not to the message on it (RFC 9110, 7.6.1).
HOPS = {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"te"}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gate:
    """One page's way out. Use as an async context manager; `url` is what the browser is told."""

    def __init__(self, guard: Guard, *, most_bytes: int = MOST_BYTES) -> None:
        self._guard = guard
        self._left = most_bytes
        self._open: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []
        self.too_big = asyncio.Event()

    async def __aenter__(self) -> "Gate":
        self._server = await asyncio.start_server(self._admitted, "127.0.0.1", 0, limit=CHUNK)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def url(self) -> str:
        """Name the gate as a browser's proxy setting does."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _admitted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._let_through(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _let_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Where either side broke off, the browser sees a failed request, which is what it was.
        with suppress(OSError, h11.ProtocolError, TimeoutError):
            try:
                await _Passage(self, (reader, writer)).through()
            finally:
                writer.transport.abort() if self.too_big.is_set() else writer.close()

    async def connect(self, host: str, port: int) -> Streams:
        """Connect to whom the guard lets through.

        Raises:
            AddressRefused: it does not.
            Trouble: nobody answers there.
        """
        try:
            addresses = await self._guard.addresses(host, port)
        except AddressRefused as why:
            self.refused.append(f"{host}:{port}"[:200])
            raise why
        for address in addresses:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(address, port, limit=CHUNK)
        raise Trouble("nobody answers at the site's addresses")

    def admit(self, url: str) -> Target:
        """Ask the guard about a URL.

        Raises:
            AddressRefused: it may not be asked.
        """
        try:
            return self._guard.admit(url)
        except AddressRefused as why:
            self.refused.append(url[:200])
            raise why

    def count(self, chunk: bytes) -> bytes:
        """Count what came for the page.

        Raises:
            ConnectionAbortedError: it is more than a page may weigh.
        """
        self._left -= len(chunk)
        if self._left < 0:
            self.too_big.set()
            raise ConnectionAbortedError("the page is too big")
        return chunk


class _Passage:
    """One connection of the browser: one request, or one tunnel."""

    def __init__(self, gate: Gate, browser: Streams) -> None:
        self._gate = gate
        self._reader, self._writer = browser
        self._with_browser = h11.Connection(h11.SERVER)

    async def through(self) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            asked = await _next(self._with_browser, self._reader)
        if not isinstance(asked, h11.Request):
            return
        try:
            if asked.method == b"CONNECT":
                await self._tunnel(asked)
            else:
                await self._request(asked)
        except AddressRefused:
            await self._say(403)
        except Trouble:
            await self._say(502)

    async def _tunnel(self, asked: h11.Request) -> None:
        host, _, port = asked.target.decode("latin-1").rpartition(":")
        if not port.isdecimal():
            raise AddressRefused("no port")
        reader, writer = await self._gate.connect(host.strip("[]"), int(port))
        try:
            self._writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            early, _ = self._with_browser.trailing_data
            writer.write(early)
            await _until_one_ends(self._back(reader), _copy(self._reader, writer))
        finally:
            writer.close()

    async def _back(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            self._writer.write(self._gate.count(chunk))
            await self._writer.drain()

    async def _request(self, asked: h11.Request) -> None:
        url = asked.target.decode("latin-1")
        target = self._gate.admit(url)
        if target.scheme != "http":
            raise AddressRefused("only http is asked in the clear")
        reader, writer = await self._gate.connect(*target.place)
        try:
            await self._ask(asked, url, writer)
            await self._answer(reader)
        finally:
            writer.close()

    async def _ask(self, asked: h11.Request, url: str, writer: asyncio.StreamWriter) -> None:
        path = "/" + url.split("//", 1)[1].partition("#")[0].partition("/")[2]
        self._with_site = h11.Connection(h11.CLIENT)
        headers = [*_kept(asked.headers), (b"Connection", b"close")]
        sent: h11.Event = h11.Request(method=asked.method, target=path, headers=headers)
        while True:
            writer.write(self._with_site.send(sent) or b"")
            await writer.drain()
            if isinstance(sent, h11.EndOfMessage):
                return
            sent = await _next(self._with_browser, self._reader)
            if isinstance(sent, h11.ConnectionClosed):
                raise ConnectionResetError("the browser went away")

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        while True:
            event = await _next(self._with_site, reader)
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                # Closed after one answer: the browser's next request may be for another site.
                headers = [*_kept(event.headers), (b"Connection", b"close")]
                event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
            if isinstance(event, h11.Data):
                self._gate.count(bytes(event.data))
            self._writer.write(self._with_browser.send(event) or b"")
            await self._writer.drain()
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return

    async def _say(self, status: int) -> None:
        if self._with_browser.our_state is not h11.SEND_RESPONSE:
            return
        headers = [("Content-Length", "0"), ("Connection", "close")]
        self._writer.write(self._with_browser.send(h11.Response(status_code=status, headers=headers)) or b"")
        await self._writer.drain()


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in HOPS]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()


async def _until_one_ends(*ways: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
