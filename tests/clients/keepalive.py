"""A client that keeps its connections, never retries, and counts every answer it did not get.

    python tests/clients/keepalive.py http://127.0.0.1:8080/version --seconds 30 --connections 60 --json result.json

Its connections idle in three groups, 0-2 s, 4-7 s and 50-57 s, because each meets another timer on its way: a proxy's
idle pool, an app's keep-alive, the balancer's 60 s. A connection that was closed under it while it idled counts as
failed: a client that does not look first would have lost a request there. At the end each kept connection carries one
request more, so that a short run counts those too that still idled. SIGTERM ends it early; it still reports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

IDLE = ((0.0, 2.0), (4.0, 7.0), (50.0, 57.0))
PATIENCE_S = 10.0


@dataclass
class Seen:
    """What all connections saw together."""

    sent: int = 0
    failed: int = 0
    releases: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    first_failures: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Count a failure; the first ones are told with their time."""
        self.failed += 1
        self.reasons[reason] += 1
        if len(self.first_failures) < 20:
            self.first_failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {reason}")

    def told(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        times = sorted(self.milliseconds)

        def at(share: float) -> float:
            return round(times[min(len(times) - 1, int(len(times) * share))], 2) if times else 0.0

        return {
            "sent": self.sent,
            "failed": self.failed,
            "releases": dict(self.releases),
            "reasons": dict(self.reasons),
            "first_failures": self.first_failures,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": round(times[-1], 2) if times else 0.0,
        }


class Line:
    """One connection, and the one request at a time that it carries."""

    def __init__(self, url: str, patience: float) -> None:
        self.patience = patience
        self.parts = urlsplit(url)
        self.tls = ssl.create_default_context() if self.parts.scheme == "https" else None
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        self.request = f"GET {path} HTTP/1.1\r\nHost: {self.parts.netloc}\r\nAccept: */*\r\n\r\n".encode()
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, unless connected."""
        if self.writer is None:
            port = self.parts.port or (443 if self.tls else 80)
            self.reader, self.writer = await asyncio.open_connection(self.parts.hostname, port, ssl=self.tls)

    def close(self) -> None:
        """Let the connection go."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def ask(self) -> tuple[int, bytes]:
        """Send one request and read its answer whole. An answer with `Connection: close` closes; that is no failure."""
        assert self.reader is not None
        assert self.writer is not None
        self.writer.write(self.request)
        await self.writer.drain()
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        body = await self._body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split()[1]), body

    async def _body(self, headers: dict[str, str]) -> bytes:
        assert self.reader is not None
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readuntil(b"\r\n")
        return b"".join(parts)


async def one(line: Line, seen: Seen) -> None:
    """Send one request and count what became of it."""
    seen.sent += 1
    began = time.monotonic()
    reused = line.writer is not None
    try:
        await asyncio.wait_for(line.open(), line.patience)
        status, body = await asyncio.wait_for(line.ask(), line.patience)
    except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as why:
        line.close()
        seen.fail(f"{type(why).__name__} on a {'kept' if reused else 'new'} connection")
        return
    if status != 200:
        seen.fail(f"status {status}")
        return
    seen.milliseconds.append((time.monotonic() - began) * 1000)
    seen.releases[release_in(body)] += 1


def release_in(body: bytes) -> str:
    """Name the release an answer came from."""
    try:
        return str(json.loads(body)["version"])
    except (ValueError, LookupError, TypeError):
        return "unnamed"


async def client(line: Line, idle: tuple[float, float], seen: Seen, stop: asyncio.Event) -> None:
    """Keep one connection: send, idle, send again; when told to stop, use it a last time."""
    await pause(random.uniform(0, min(idle[1], 2.0)), stop)
    while not stop.is_set():
        await one(line, seen)
        await pause(random.uniform(*idle), stop)
    # Who idles for longer than the run would never learn that its connection had been cut.
    if line.writer is not None:
        await one(line, seen)
    line.close()


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Idle, but not past the end."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def run(url: str, seconds: float, connections: int, patience: float) -> dict[str, Any]:
    """Run all connections for that long, or until SIGTERM; return the counts."""
    seen, stop = Seen(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    began = time.monotonic()
    lines = [(Line(url, patience), IDLE[i % len(IDLE)]) for i in range(connections)]
    tasks = [asyncio.create_task(client(line, idle, seen, stop)) for line, idle in lines]
    await pause(seconds, stop)
    stop.set()
    await asyncio.gather(*tasks)
    return {"url": url, "connections": connections, "seconds": round(time.monotonic() - began, 1), **seen.told()}


def main(argv: list[str]) -> int:
    """Run the client by the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=60)
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="seconds until an answer counts as lost")
    parser.add_argument("--json", type=Path, help="write the counts to this file instead of stdout")
    chosen = parser.parse_args(argv)
    told = json.dumps(asyncio.run(run(chosen.url, chosen.seconds, chosen.connections, chosen.patience)), indent=1)
    if chosen.json:
        chosen.json.write_text(told + "\n")
    else:
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
