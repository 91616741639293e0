"""`make bench-deploy`: deploys and warm rollbacks of the product image under a client that never retries.

A twin of its own, SSM as slow as in life (1 s each way). Beside them, the same client while the serving container is
stopped and started. Writes bench-out/deploy.json.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import ended_in_order, idle_since, keep, load, say, spread, ticks, wait_for_quiet
from tests.bench.product import furnish
from tests.twin.driver import Answer, Stack, raised_stack
from tests.twin.memory import memory_watched

SSM_S = 1.0
BAKE_S = 10.0
ROUNDS = 5
STOPS = 3
CONNECTIONS = 60
# What a host does in these is pulling, starting a container, waiting for one, or watching. All else is rmu's own.
PULL_AND_START = ("prepare", "migrate", "start", "ready", "worker")
# `serve` first watches the drop probe's baseline for two seconds; `probe` waits for the probe's end.
BASELINE_S = 2.0


def main() -> None:
    """Raise a twin, measure, write the figures, and leave nothing."""
    before = load()
    where = Path(tempfile.mkdtemp(prefix="rmu-bench-"))
    with ended_in_order(), raised_stack("bench", 6580, where) as stack:
        figures = measured(stack)
    keep("deploy", figures, before)


def measured(stack: Stack) -> dict[str, Any]:
    """Deploy and roll back a few times, then stop and start as one would without a second slot."""
    stack.latency(SSM_S)
    versions = iter(furnish(stack, ROUNDS + 1, bake=f"PT{BAKE_S:.0f}S"))
    stack.rmu("deploy", next(versions), "--yes")
    deploys, rollbacks, arrivals = [], [], []
    with memory_watched(stack) as memory, stack.client(CONNECTIONS) as seen:
        for version in versions:
            wait_for_quiet()
            deploys.append(deploy(stack, version))
            wait_for_quiet()
            answer, seconds = roll_back(stack)
            rollbacks.append(answer)
            arrivals.append(seconds)
            say(f"{version} deployed in {deploys[-1]['wall_s']:.1f} s, back by a rollback in {seconds:.2f} s")
    with stack.client(CONNECTIONS) as dropped:
        outages = [stop_then_start(stack) for _ in range(STOPS)]
    return {
        "ssm_latency_s": {"each_way": SSM_S},
        "client": {"connections": CONNECTIONS, "sent": seen.sent, "failed": seen.failed, "p99_ms": seen.told["p99_ms"]},
        "control": {
            "what": "the same client while the serving container is stopped and started",
            "times": STOPS,
            "sent": dropped.sent,
            "failed": dropped.failed,
            "reasons": dropped.told["reasons"],
            "outage_s": spread(outages),
        },
        "flip_ms": spread([one["flip_ms"] for one in deploys]),
        "added_p99_ms": spread([one["added_p99_ms"] for one in deploys]),
        "deploy": {
            "wall_s": spread([one["wall_s"] for one in deploys]),
            "own_s": spread([one["own_s"] for one in deploys]),
            "target_own_s": 5,
            "machine_idle": spread([one["idle"] for one in deploys]),
            "parts_s": {name: spread([one["parts_s"][name] for one in deploys]) for name in deploys[0]["parts_s"]},
            "ssm_commands": max(one["ssm_commands"] for one in deploys),
            "target_ssm_commands": 8,
        },
        "rollback": {
            "keyboard_to_traffic_s": spread(arrivals),
            "target_s": 5,
            "of_outage": round(spread(arrivals)["median"] / spread(outages)["median"], 2),
            "wall_s": spread([one.seconds for one in rollbacks]),
            "ssm_commands": max(int(one["ssm_commands"]) for one in rollbacks),
        },
        "memory": memory.told(),
    }


def deploy(stack: Stack, version: str) -> dict[str, Any]:
    """Deploy once; return where its time went."""
    began, machine = time.time(), ticks()
    answer = stack.rmu("deploy", version, "--yes")
    idle = idle_since(machine)
    worked = host_seconds(stack, began, time.time())
    ssm_s = 2 * SSM_S * int(answer["ssm_commands"])
    pull_and_start = sum(worked.get(verb, 0.0) for verb in PULL_AND_START)
    watching = BAKE_S + worked.get("probe", 0.0) + BASELINE_S
    flip_ms = next(e for e in facts(stack, answer["run"]) if "flip_ms" in e)["flip_ms"]
    return {
        "wall_s": answer.seconds,
        "own_s": answer.seconds - ssm_s - pull_and_start - watching,
        "parts_s": {"pull, start, wait for ready": pull_and_start, "SSM latency": ssm_s, "bake and probe": watching},
        "idle": idle,
        "ssm_commands": int(answer["ssm_commands"]),
        "flip_ms": float(flip_ms),
        "added_p99_ms": float(answer["probe"]["added_p99_ms"]),
    }


def facts(stack: Stack, run: str) -> list[dict[str, Any]]:
    """Read what the steps of a run noted."""
    return [event.get("facts") or {} for event in stack.rmu("show", run)["events"]]


def host_seconds(stack: Stack, since: float, until: float) -> dict[str, float]:
    """Sum up what the host says it spent on each verb between two moments."""
    spent: dict[str, float] = defaultdict(float)
    for line in stack.on_host("cat /var/log/rmu/host.log").splitlines():
        entry = json.loads(line)
        if "request" in entry and since <= entry["at"] <= until:
            spent[entry["request"]["verb"]] += entry["answer"]["seconds"]
    return spent


def roll_back(stack: Stack) -> tuple[Answer, float]:
    """Roll back while another client asks the front door; return the seconds from the keyboard to traffic."""
    left = stack.who()["version"]
    running = stack.begin("rollback", "--yes")
    arrived = until_answer(stack, lambda version: version not in (None, left)) - running.began
    answer = running.end()
    assert answer.code == 0, answer.says()
    return answer, arrived


def stop_then_start(stack: Stack) -> float:
    """Stop and start what serves; return the seconds without an answer."""
    version = stack.who()["version"]
    unit = stack.unit(version)
    act = threading.Thread(target=stack.on_host, args=(f"systemctl stop {unit}; systemctl start {unit}",))
    act.start()
    gone = until_answer(stack, lambda found: found is None)
    back = until_answer(stack, lambda found: found == version)
    act.join()
    time.sleep(12)  # the group would replace a host that fails two health checks in a row
    return back - gone


def until_answer(stack: Stack, wanted: Any, seconds: float = 60) -> float:
    """Ask the front door every 20 ms until the version it names is wanted (None: no good answer); return when."""
    end = time.monotonic() + seconds
    line = http.client.HTTPConnection("127.0.0.1", stack.site.front_door_port, timeout=5)
    while time.monotonic() < end:
        try:
            line.request("GET", "/version")
            reply = line.getresponse()
            body = reply.read()
            version = json.loads(body)["version"] if reply.status == 200 else None
        except (OSError, http.client.HTTPException):
            line.close()
            version = None
        if wanted(version):
            line.close()
            return time.monotonic()
        time.sleep(0.02)
    raise TimeoutError(f"the front door never answered as wanted within {seconds:.0f} s")


if __name__ == "__main__":
    main()
