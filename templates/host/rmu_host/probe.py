"""The drop probe: a client that keeps connections alive and never retries, through the front door, over a flip.

It runs on the host as a unit of its own, because a laptop's network would be blamed on the release. `serve` starts
it and waits for its baseline; the verb `probe` reads what it saw. No baseline, no verdict: only a failure that the
flip brought counts against it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .answers import Answer
from .machine import Machine

PLACE = "/var/lib/rmu/probe"
UNIT = "rmu-probe"
BASELINE_S = 2.0
CONNECTIONS = 8
EVERY_S = 0.15
PATIENCE_S = 5.0


def begin(m: Machine, wanted: dict[str, Any], run: str, from_nothing: bool) -> None:
    """Start the probe and wait for its baseline; a probe that cannot start must not hold up the flip."""
    m.remove(f"{PLACE}/result.json")
    m.write_json(f"{PLACE}/request.json", {**wanted, "run": run, "from_nothing": from_nothing})
    m.run(["systemctl", "stop", f"{UNIT}.service"])
    # A unit of its own outlives this request, holds none of its pipes and answers to nobody's signals.
    command = ["systemd-run", f"--unit={UNIT}", "--collect", "--quiet", "--property=OOMScoreAdjust=800"]
    if m.run([*command, "/usr/bin/python3", "-I", program(), "probe"]).code != 0:
        return
    end = m.now() + BASELINE_S + 3
    while m.now() < end and not (m.read_json(f"{PLACE}/result.json") or {}).get("baseline_done"):
        m.sleep(0.1)


def program() -> str:
    """Return a copy of this program that outlives the request: prepare has installed it."""
    return "/usr/local/lib/rmu/rmu_host.pyz"


def result(m: Machine, request: dict[str, Any]) -> Answer:
    """Return what the probe of this run saw, waiting for its end no longer than asked."""
    end = m.now() + float(request.get("wait_s") or 0)
    while True:
        seen = m.read_json(f"{PLACE}/result.json") or {}
        mine = seen.get("run") == request["run"]
        if (mine and seen.get("finished")) or m.now() >= end:
            break
        m.sleep(0.5)
    if not mine:
        seen = Tally().told()
    keys = ("sent", "failed", "p99_ms", "baseline_p99_ms", "verdict", "reasons")
    return {"outcome": "ok", "finished": bool(mine and seen.get("finished")), **{key: seen[key] for key in keys}}


@dataclass
class Window:
    """What was sent in one stretch of time."""

    sent: int = 0
    failed: int = 0
    reached: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def p99(self) -> float:
        """Return the 99th percentile of the answers' times."""
        times = sorted(self.milliseconds)
        return round(times[min(len(times) - 1, len(times) * 99 // 100)], 1) if times else 0.0


@dataclass
class Tally:
    """All that the probe saw, before the flip and from it on."""

    from_nothing: bool = False
    before: Window = field(default_factory=Window)
    after: Window = field(default_factory=Window)
    reasons: dict[str, int] = field(default_factory=dict)
    on_after: bool = False

    def note(self, reason: str, milliseconds: float, reached: bool) -> None:
        """Count one request; an empty reason is a success."""
        window = self.after if self.on_after else self.before
        if self.on_after and reason and self.from_nothing and not window.milliseconds:
            return  # before the first release nothing can be dropped
        window.sent += 1
        window.reached += reached
        if reason:
            window.failed += 1
            if self.on_after:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
        else:
            window.milliseconds.append(milliseconds)

    def verdict(self) -> str:
        """Judge the flip: pass, fail, or inconclusive where the probe itself could not see well."""
        if not self.before.reached or not self.after.sent:
            return "inconclusive"
        if not self.after.failed:
            return "pass"
        return "inconclusive" if self.before.failed and not self.from_nothing else "fail"

    def told(self) -> dict[str, Any]:
        """Return the tally as the answer has it."""
        return {
            "sent": self.after.sent,
            "failed": self.after.failed,
            "p99_ms": self.after.p99(),
            "baseline_p99_ms": self.before.p99(),
            "baseline_sent": self.before.sent,
            "baseline_failed": self.before.failed,
            "verdict": self.verdict(),
            "reasons": dict(sorted(self.reasons.items(), key=lambda r: -r[1])[:10]),
        }


def run(m: Machine) -> None:
    """Be the probe: send for as long as the request says, writing down what was seen every half second."""
    wanted = m.read_json(f"{PLACE}/request.json") or {}
    try:
        asyncio.run(watch(m, wanted))
    except ValueError as why:
        print(f"the probe's URL is no URL: {why}", file=sys.stderr)


async def watch(m: Machine, wanted: dict[str, Any]) -> None:
    """Keep the clients going through the baseline and the time after it."""
    tally = Tally(from_nothing=bool(wanted.get("from_nothing")))
    clients = [asyncio.create_task(client(wanted["url"], tally)) for _ in range(CONNECTIONS)]
    began, total = time.monotonic(), BASELINE_S + float(wanted["seconds"])
    while (spent := time.monotonic() - began) < total:
        tally.on_after = spent >= BASELINE_S
        write(m, wanted, tally, finished=False)
        await asyncio.sleep(0.5)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    write(m, wanted, tally, finished=True)


def write(m: Machine, wanted: dict[str, Any], tally: Tally, finished: bool) -> None:
    """Write the result as it stands."""
    state = {"run": wanted["run"], "baseline_done": tally.on_after, "finished": finished}
    m.write_json(f"{PLACE}/result.json", {**tally.told(), **state})


async def client(url: str, tally: Tally) -> None:
    """Send one request after another on one connection; after a failure go on with a new one, never again the same."""
    line: Line | None = None
    while True:
        began = time.monotonic()
        try:
            # A connection that was closed while idle, and seen to be, is no drop: no request was in it.
            if line is None or line.reader.at_eof():
                line = await asyncio.wait_for(Line.open(url), PATIENCE_S)
            status, keep = await asyncio.wait_for(line.ask(), PATIENCE_S)
            reason, reached = ("" if status == 200 else f"status {status}"), True
        except (TimeoutError, OSError, EOFError, ValueError) as why:
            reason, keep, reached = type(why).__name__, False, False
        tally.note(reason, (time.monotonic() - began) * 1000, reached)
        if not keep and line is not None:
            line.writer.close()
            line = None
        await asyncio.sleep(EVERY_S)


@dataclass
class Line:
    """One kept connection to the front door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: bytes

    @classmethod
    async def open(cls, url: str) -> Line:
        """Connect."""
        parts = urlsplit(url)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
        request = (
            f"GET {parts.path.rstrip('/')}/version HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: rmu-probe\r\n\r\n"
        )
        return cls(reader, writer, request.encode())

    async def ask(self) -> tuple[int, bool]:
        """Send the request and read its answer whole; return the status and whether the connection stays open."""
        self.writer.write(self.request)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readuntil(b"\r\n")
        else:
            await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers.get("connection") != "close"
