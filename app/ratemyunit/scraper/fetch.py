"""Fetch one document over HTTP without a browser: within a deadline, a size and a few redirects, and from nowhere that
addresses.py does not allow.

The connection is made to the address that was checked; the name stays in the Host header and in TLS.
"""

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urljoin

import certifi
import httpcore2 as httpcore

from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.port import Hopeless, Trouble

AGENT = "RateMyUnit/1.0 (+https://ratemyunit.com/about-the-scraper)"
MOST_BYTES = 10 << 20
MOST_REDIRECTS = 5
GZIP = b"\x1f\x8b"
# What was packed in parts is whole gzips one after the other, and each costs a copy of those that follow.
MOST_PARTS = 200
SECONDS = 15.0
SENT = [("User-Agent", AGENT), ("Accept-Encoding", "gzip"), ("Connection", "close")]
REDIRECTS = {301, 302, 303, 307, 308}
GONE = {401, 403, 404, 410, 451}

Admit = Callable[[str], Awaitable[object]]
"""Asks whether a page may be read, and raises `Trouble` where it may not."""


class TooBig(Hopeless):
    """The answer is bigger than a catalogue's page can be."""


@dataclass(frozen=True)
class Document:
    """An answer: where it came from in the end, its status, and its body as bytes."""

    url: str
    status: int
    body: bytes


class Fetcher:
    """Fetches for one job, under its guard."""

    def __init__(self, guard: Guard, *, seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> None:
        self._guard = guard
        self._seconds = seconds
        self._most = most_bytes

    async def page(self, url: str, admit: Admit | None = None) -> Document:
        """Fetch a page that must be there; `admit` is asked about each place that a redirect leads to.

        Raises:
            Hopeless: it is not there, may not be asked for, or is too big.
            Trouble: it did not come this time.
        """
        found = await self.get(url, admit)
        refuse_status(found.status)
        return found

    async def get(self, url: str, admit: Admit | None = None, cut: int | None = None) -> Document:
        """Fetch whatever a URL answers, after redirects; with `cut`, no more of it than so many first bytes.

        Raises:
            Hopeless: it may not be asked for, or is too big.
            Trouble: it did not come this time.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._followed(url, admit, cut)
        except TimeoutError as why:
            raise Trouble(f"no answer within {self._seconds:g} s") from why
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as why:
            raise Trouble(f"the site cannot be asked ({type(why).__name__})") from why

    async def _followed(self, url: str, admit: Admit | None, cut: int | None) -> Document:
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, body = await self._once(url, cut)
            if status not in REDIRECTS or b"location" not in headers:
                return Document(url, status, body)
            url = urljoin(url, headers[b"location"].decode("latin-1"))
            if admit is not None:
                await admit(url)
        raise Hopeless(f"more than {MOST_REDIRECTS} redirects")

    async def _once(self, url: str, cut: int | None) -> tuple[int, dict[bytes, bytes], bytes]:
        self._guard.admit(url)
        async with (
            httpcore.AsyncConnectionPool(ssl_context=_trust(), network_backend=_Pinned(self._guard)) as pool,
            pool.stream("GET", url, headers=SENT) as answer,
        ):
            headers = {name.lower(): value for name, value in answer.headers}
            return answer.status, headers, await self._body(answer, headers.get(b"content-encoding", b""), cut)

    async def _body(self, answer: httpcore.Response, encoding: bytes, cut: int | None) -> bytes:
        if encoding not in (b"", b"identity", b"gzip"):
            raise Trouble("the answer is packed in a way that was not asked for")
        body = bytearray()
        async for chunk in answer.aiter_stream():
            body += chunk
            if cut is not None and encoding != b"gzip" and len(body) >= cut:
                break
            if len(body) > self._most:
                raise TooBig(f"the answer is bigger than {self._most >> 20} MiB")
        whole = bytes(body)
        if encoding == b"gzip":
            whole = unpacked(whole, most=self._most if cut is None else cut, rest_counts=cut is None)
        return whole[:cut]


def refuse_status(status: int) -> None:
    """Raise what a page's status means, where it is no success."""
    if status in GONE:
        raise Hopeless(f"the page answered {status}")
    if not 200 <= status < 300:
        raise Trouble(f"the page answered {status}")


def unpacked(packed: bytes, *, most: int = MOST_BYTES, rest_counts: bool = True) -> bytes:
    """Unpack gzip, but no more than a page may hold: a few KiB can be packed to unpack into GiBs.

    Where the rest does not count, what is more is left.

    Raises:
        TooBig: it is more than that, or in more parts than anybody packs.
        Trouble: it is no whole gzip.
    """
    body = bytearray()
    for _ in range(MOST_PARTS):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            body += unpacker.decompress(packed, most + 1 - len(body))
        except zlib.error as why:
            raise Trouble("the answer is no whole gzip") from why
        if len(body) > most and not rest_counts:
            return bytes(body)
        if len(body) > most:
            raise TooBig(f"the answer unpacks to more than {most >> 20} MiB")
        if not unpacker.eof:
            raise Trouble("the answer is no whole gzip")
        packed = unpacker.unused_data
        if not packed.startswith(GZIP):
            return bytes(body)
    raise TooBig(f"the answer is packed in more than {MOST_PARTS} parts")


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the address that the guard has seen, so nobody resolves the name a second time."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, connect."""
        *others, last = await self._guard.addresses(host.strip("[]"), port)
        for address in others:
            with suppress(httpcore.ConnectError):
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._plain.connect_tcp(last, port, timeout, local_address, socket_options)


@cache
def _trust() -> ssl.SSLContext:
    # The image has no certificates of the system.
    return ssl.create_default_context(cafile=certifi.where())
