"""`make bench-host`: the only host loses its power; how long until its successor serves, with nobody helping.

Split by what the twin's record, the host's own logs and the front door say. The control is the same host rebooted: no
group, no user data, no pull. Writes bench-out/host.json.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.twin.machine import Machine
from tests.bench.figures import ended_in_order, keep, load, say, spread
from tests.bench.product import furnish
from tests.twin.driver import Stack, raised_stack

LOSSES = 3
REBOOTS = 2
PATIENCE_S = 300.0


def main() -> None:
    """Raise a twin, lose its host a few times, write the figures, and leave nothing."""
    before = load()
    where = Path(tempfile.mkdtemp(prefix="rmu-bench-"))
    with ended_in_order(), raised_stack("bench", 6580, where) as stack:
        figures = measured(stack)
    keep("host", figures, before)


def measured(stack: Stack) -> dict[str, Any]:
    """Lose the host and have it rebooted, each a few times."""
    (version,) = furnish(stack, 1)
    stack.rmu("deploy", version, "--yes", "--no-probe")
    reboots = [rebooted(stack) for _ in range(REBOOTS)]
    losses = [lost(stack) for _ in range(LOSSES)]
    return {
        "what": "the only host loses its power",
        "total_s": spread([sum(one.values()) for one in losses], 1),
        "parts_s": {part: spread([one[part] for one in losses], 1) for part in losses[0]},
        "control": {"what": "the same host rebooted: it keeps its slots and its images", "total_s": spread(reboots, 1)},
        "of_control": round(spread([sum(o.values()) for o in losses])["median"] / spread(reboots)["median"], 2),
    }


def lost(stack: Stack) -> dict[str, float]:
    """Cut the host's power; return the seconds of each part until its successor answers at the front door."""
    old = stack.host
    settled(stack, old)
    began = time.time()
    stack.rmu("twin", "fault", "kill-host", old)
    served = until(lambda: answering(stack) not in (None, old))
    host = str(answering(stack))
    at = moments(stack, host)
    marks = {
        "group (notices, terminates, launches)": at["machine"],
        "boot (to the first line of user data)": at["user data"],
        "user data (packages, agents, our files)": at["boot program"],
        "pull": at["pulled"],
        "start (to ready and serving on the host)": at["serving"],
        "balancer (hook, registration, health checks)": served,
    }
    before, parts = began, {}
    for part, moment in marks.items():
        parts[part], before = moment - before, moment
    say(f"{old} lost, {host} serves after {served - began:.1f} s")
    return parts


def moments(stack: Stack, host: str) -> dict[str, float]:
    """Read off a newborn host when it reached each point, in unix seconds."""
    machine = Machine(stack.site, host)

    def read(path: str) -> str:
        return machine.run(["cat", path]).stdout.decode()

    boots = [json.loads(line) for line in read("/var/log/rmu/host.log").splitlines()]
    steps = {one["boot"]["step"]: one for one in boots if "boot" in one}
    first = read("/var/log/rmu/user-data.log").split()[0]
    return {
        "machine": (machine.directory / "machine.json").stat().st_mtime,
        "user data": datetime.strptime(first, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp(),
        "boot program": steps["pull"]["at"] - steps["pull"]["seconds"],
        "pulled": steps["pull"]["at"],
        "serving": steps["serve"]["at"],
    }


def rebooted(stack: Stack) -> float:
    """Reboot the host; return the seconds until it answers at the front door again."""
    host = stack.host
    settled(stack, host)
    machine = Machine(stack.site, host)
    boot = machine.run(["cat", "/proc/1/stat"]).stdout
    began = time.time()
    machine.reboot()
    until(lambda: answering(stack) is None)
    seconds = until(lambda: answering(stack) == host) - began
    assert machine.run(["cat", "/proc/1/stat"]).stdout != boot, "it never rebooted"
    say(f"{host} rebooted, serves after {seconds:.1f} s")
    return seconds


def settled(stack: Stack, host: str) -> None:
    """Wait until the host is in service and has been for a while."""
    until(lambda: stack.rmu("twin", "status")["hosts"][0]["lifecycle"] == "InService")
    until(lambda: answering(stack) == host)
    time.sleep(5)


def answering(stack: Stack) -> str | None:
    """Name the host that answers at the front door."""
    line = http.client.HTTPConnection("127.0.0.1", stack.site.front_door_port, timeout=2)
    try:
        line.request("GET", "/version")
        reply = line.getresponse()
        return str(json.loads(reply.read())["host"]) if reply.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()


def until(look: Callable[[], bool]) -> float:
    """Poll until it is so; return when it was, in unix seconds."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s in vain")
        time.sleep(0.1)
    return time.time()


if __name__ == "__main__":
    main()
