"""Ask the product as many students do: each at a moment of their own, whether or not others are answered yet."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

PAGE = 20
LINES = 16
"""Connections that the searches come by, as from a proxy."""


def searching(words: str) -> str:
    """Spell a search as a path."""
    return f"/api/units?search={quote(words)}&limit={PAGE}"


@dataclass
class Seen:
    """What the client saw."""

    answered: list[float] = field(default_factory=list)
    failed: int = 0


async def send(port: int, paths: Sequence[str], rate: float) -> Seen:
    """Ask for each path at its moment by the first line that is free; an answer's time counts from that moment."""
    seen, waiting = Seen(), asyncio.Queue[tuple[float, str]]()
    lines = [asyncio.create_task(line(port, waiting, seen)) for _ in range(LINES)]
    began = time.monotonic() + 0.5
    for n, path in enumerate(paths):
        moment = began + n / rate
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        waiting.put_nowait((moment, path))
    await waiting.join()
    for one in lines:
        one.cancel()
    return seen


async def line(port: int, waiting: asyncio.Queue[tuple[float, str]], seen: Seen) -> None:
    """Ask by one connection that is kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        moment, path = await waiting.get()
        status, _ = await ask(reader, writer, path)
        if status == 200:
            seen.answered.append((time.monotonic() - moment) * 1000)
        else:
            seen.failed += 1
        waiting.task_done()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[int, bytes]:
    """Ask once; return status and body."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].split()[0])
    return int(head.split()[1]), await reader.readexactly(length)


def parts(times: Sequence[float]) -> dict[str, Any]:
    """Show many times by their middle, their tails and their worst."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "n": len(times),
        "p50": round(statistics.median(times), 2),
        "p95": round(cuts[94], 1),
        "p99": round(cuts[98], 1),
        "max": round(max(times), 1),
    }
