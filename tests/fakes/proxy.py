"""The host that behaves, with one part real: HAProxy itself, under the product's own configuration, on loopback ports.

Clients come from 127.0.0.2; 127.0.0.1 is the host's own program, as it is on a real host.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rmu_host.machine import Heard, Machine, Ran
from rmu_host.proxy import CONFIG, LUA
from rmu_host.state import HOLD, MAP

from tests.clients.keepalive import PATIENCE_S, Line
from tests.fakes.host_machine import DATABASE, App, FakeMachine, ref, release
from tests.processes import free_port
from tests.pure.test_host_program import Caller

CLIENTS = "127.0.0.2"
RESTORED = {**DATABASE, "identifier": "rmu-test-db-r7"}
NEW = ref("v1", "rmu-test-db-r7")


class Side:
    """The app of one slot: a real server that tells its version and its database."""

    def __init__(self, version: str, database: str) -> None:
        self.port = free_port()
        self.body = json.dumps({"version": version, "database": database}).encode()
        self._head = b"HTTP/1.1 200 OK\r\nX-Rmu-Release: %b\r\nContent-Length: %d\r\n\r\n" % (
            version.encode(),
            len(self.body),
        )
        self.answered = 0
        self.heard: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=2048)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard = {k.lower(): v for k, _, v in (f.partition(": ") for f in head.decode().splitlines())}
                self.answered += 1
                writer.write(self._head + self.body)
        except (OSError, EOFError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def stop(self) -> None:
        """Be gone at once, as a killed process is."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()

    async def _cut(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)


class ProxiedMachine(FakeMachine):
    """A host whose HAProxy is real. Both slots may hold the release `v1`, each on a database of its own."""

    def __init__(self, root: Path) -> None:
        self.front = free_port()
        self.sides = {"blue": Side("v1", "rmu-test-db-1"), "green": Side("v1", str(RESTORED["identifier"]))}
        super().__init__(root)
        self.now()
        self.apps["sha256:v1"] = App("v1", ready_after=0)
        self.write(MAP, "live none\n")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        for side in self.sides.values():
            side.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def start_proxy(self) -> None:
        """Start HAProxy and wait for its socket."""
        self.path("/run/haproxy").mkdir(parents=True, exist_ok=True)
        argv = ["haproxy", "-W", "-f", str(self.path(CONFIG))]
        with self.path("/haproxy.log").open("wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                self.haproxy("show info")
            except OSError:
                time.sleep(0.05)
                continue
            return
        raise AssertionError(self.path("/haproxy.log").read_text())

    # time is real here: HAProxy's own clock is
    def now(self) -> float:
        self.clock = time.time()
        return self.clock

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def here(self, text: str) -> str:
        """Move what the product says of a host's paths and ports to this host's."""
        for place in ("/etc/haproxy/", "/var/lib/rmu/", "/run/haproxy/"):
            text = text.replace(f" {place}", f" {self.path(place)}/").replace(f"({place}", f"({self.path(place)}/")
            text = text.replace(f'"{place}', f'"{self.path(place)}/')
        text = text.replace("bind :8080", f"bind 127.0.0.1:{self.front}")
        for slot, port in (("blue", 3001), ("green", 3002)):
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.sides[slot].port}")
        return "\n".join(line for line in text.split("\n") if line.strip() not in ("user haproxy", "group haproxy"))

    def shipped(self, name: str) -> str:
        return self.here(super().shipped(name))

    def write(self, absolute: str, text: str, mode: int = 0o644) -> None:
        super().write(absolute, self.here(text) if absolute in (CONFIG, LUA) else text, mode)

    def load_map(self) -> None:
        return

    def haproxy(self, command: str) -> str:
        for place in (MAP, HOLD):
            command = command.replace(place, str(self.path(place)))
        return Machine.haproxy(self, command)

    def get(self, port: int, path: str, timeout: float = 2) -> Heard:
        if port != 8080:
            return super().get(port, path, timeout)
        return Machine.ask(self, "GET", self.front, path, timeout=timeout)  # the real one: not the app that behaves

    def _systemctl(self, argv: list[str]) -> Ran:
        if argv[0] == "reload":
            assert self.process is not None
            os.kill(self.process.pid, signal.SIGUSR2)
            return Ran(0, "")
        return super()._systemctl(argv)

    def _haproxy(self, argv: Sequence[str]) -> Ran:
        done = subprocess.run(["haproxy", *argv], capture_output=True, text=True, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    async def client(self) -> Line:
        """Connect a client that comes from elsewhere and keeps its connection."""
        line = Line(f"http://127.0.0.1:{self.front}/version", PATIENCE_S)
        line.reader, line.writer = await asyncio.open_connection(
            "127.0.0.1", self.front, local_addr=(CLIENTS, 0), limit=1 << 14
        )
        return line


def serve_v1(ask: Caller) -> None:
    """Have v1 serve."""
    done = [ask.prepare("v1"), start(ask, ref("v1")), ask.serve("v1")]
    assert [answer["outcome"] for answer in done] == ["changed"] * 3, done


def stand_beside(ask: Caller) -> None:
    """Have v1 stand ready once more, on the restored database."""
    done = [ask("prepare", release=release("v1"), database=RESTORED), start(ask, NEW)]
    assert [answer["outcome"] for answer in done] == ["changed", "changed"], done


def start(ask: Caller, which: dict[str, str | None]) -> dict[str, Any]:
    return ask("start", release=which, ready={"deadline_s": 5, "in_a_row": 1})


async def asks(line: Line) -> tuple[int, str, float]:
    """Send one request; tell the answer's status, its database, and when it was there."""
    status, body = await line.ask()
    return status, json.loads(body)["database"] if status == 200 else "", time.monotonic()


def without_hold(config: str) -> str:
    """Make a configuration as it was before there was a hold."""
    return "\n".join(line for line in config.split("\n") if not re.search("hold|held|X-Rmu-Slot", line))
