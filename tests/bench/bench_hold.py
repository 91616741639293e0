"""`make bench-hold`: requests that wait in a real HAProxy while a database is exchanged beneath them.

No twin: the product's configuration on loopback ports, two apps of one release on two databases, clients that keep
their connections. Control: the same cut-over without a hold. Writes bench-out/hold.json.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "templates" / "host")]

from tests.bench.figures import ended_in_order, keep, load, say, spread, wait_for_quiet  # noqa: E402
from tests.fakes.host_machine import FakeCloud  # noqa: E402
from tests.fakes.proxy import NEW, RESTORED, ProxiedMachine, asks, serve_v1, stand_beside  # noqa: E402
from tests.pure.test_host_program import Caller  # noqa: E402

CLIENTS, ROUNDS, MANY = 100, 10, 500
HELD_S = 2.5
TICKS = os.sysconf("SC_CLK_TCK")
Figures = dict[str, Any]


def cut_over(clients: int, *, held: bool) -> Figures:
    """Exchange the database beneath that many clients once; tell what they and the machine saw."""
    with ProxiedMachine(Path(tempfile.mkdtemp(prefix="rmu-"))) as m:
        m.start_proxy()
        ask = Caller(m, FakeCloud())
        serve_v1(ask)
        stand_beside(ask)
        return asyncio.run(exchanged(m, ask, clients, held))


async def exchanged(m: ProxiedMachine, ask: Caller, clients: int, held: bool) -> Figures:
    """Hold, stop the old side, flip, let go."""
    lines = [await m.client() for _ in range(clients)]
    await asyncio.gather(*(asks(line) for line in lines))
    if held:
        await asyncio.to_thread(ask, "hold", on=True, at_most_s=20)
    await asyncio.to_thread(m.sides["blue"].stop)
    waiting = [asyncio.create_task(asks(line)) for line in lines]
    await asyncio.sleep(0.5)
    proxy, began, before = processes(m), time.monotonic(), cpu_s(m)
    await asyncio.sleep(HELD_S - 0.5)
    share = (cpu_s(m) - before) / (time.monotonic() - began)
    memory = max(resident_mib(process) for process in proxy)
    await asyncio.to_thread(ask, "serve", release=NEW, backup=None, probe=None)
    over = time.monotonic()
    await asyncio.to_thread(ask, "hold", on=False)
    answers = await asyncio.gather(*waiting)
    right = [at for status, database, at in answers if (status, database) == (200, RESTORED["identifier"])]
    late = sorted((at - over) * 1000 for at in right)
    return {
        "failed": clients - len(right),
        "late_p99_ms": late[len(late) * 99 // 100] if late else None,
        "cpu": share,
        "memory_mib": memory,
    }


def processes(m: ProxiedMachine) -> list[int]:
    """List HAProxy's master and its worker."""
    assert m.process is not None
    children = Path(f"/proc/{m.process.pid}/task/{m.process.pid}/children").read_text().split()
    return [m.process.pid, *map(int, children)]


def cpu_s(m: ProxiedMachine) -> float:
    """Return the seconds of a core that HAProxy has had."""
    spent = 0
    for process in processes(m):
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        spent += int(words[11]) + int(words[12])
    return spent / TICKS


def resident_mib(process: int) -> float:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and write the figures."""
    before = load()
    wait_for_quiet()
    rounds = [cut_over(CLIENTS, held=True) for _ in range(ROUNDS)]
    say(f"{ROUNDS} cut-overs with {CLIENTS} clients each; now one with {MANY}, and the control")
    many, few, control = cut_over(MANY, held=True), cut_over(1, held=True), cut_over(CLIENTS, held=False)
    figures = {
        "clients": CLIENTS,
        "rounds": ROUNDS,
        "held_s": HELD_S,
        "failed": sum(r["failed"] for r in rounds),
        "late_p99_ms": spread([r["late_p99_ms"] for r in rounds], 1),
        "target_late_p99_ms": 100,
        "many": {
            "clients": MANY,
            "failed": many["failed"],
            "late_p99_ms": round(many["late_p99_ms"], 1),
            "cpu_percent": round(many["cpu"] * 100, 1),
            "memory_mib": round(many["memory_mib"], 1),
        },
        "one": {"cpu_percent": round(few["cpu"] * 100, 1), "memory_mib": round(few["memory_mib"], 1)},
        "control": {
            "what": "the same cut-over without a hold",
            "sent": CLIENTS,
            "failed": control["failed"],
        },
    }
    keep("hold", figures, before)


if __name__ == "__main__":
    with ended_in_order():
        main()
