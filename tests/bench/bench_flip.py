"""`make bench-flip`: flips on a real host under 60 kept connections that never retry, beside stop-then-start.

Writes bench-out/flip.json: what a flip took (the map's file, HAProxy told and asked, a request's proof), how many
requests were sent and lost, and the same client's losses where the release is stopped and started instead.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.twin.site import Site
from tests.bench.figures import ended_in_order, keep, load
from tests.twin.host_ground import HostGround

FLIPS = 44
CONNECTIONS = 60
# The slowest group of connections idles for 57 s: so long, each of them crosses flips twice.
SECONDS = 125.0
CLIENT = Path(__file__).parents[1] / "clients" / "keepalive.py"


def main() -> None:
    """Raise one host, measure, write the figures, and leave nothing."""
    before = load()
    with ended_in_order(), tempfile.TemporaryDirectory() as where:
        host = HostGround(Site(name="bench-flip", port_base=4960), Path(where))
        try:
            figures = measured(host, Path(where))
        finally:
            host.lower()
    keep("flip", figures, before)


def measured(host: HostGround, where: Path) -> dict[str, Any]:
    """Flip under load, then stop and start under the same load."""
    host.raise_up()
    host.publish("v1", "v2")
    host.born()
    host.deploy("v1")
    host.prepare("v2")
    host.start("v2")
    milliseconds, flips = under_load(host, where / "flips.json", lambda: flip_back_and_forth(host))
    _, control = under_load(host, where / "control.json", lambda: stop_then_start(host))
    return {
        "flips": len(milliseconds),
        "flip_ms": {
            "p50": round(statistics.median(milliseconds), 2),
            "p99": round(sorted(milliseconds)[len(milliseconds) * 99 // 100], 2),
            "max": max(milliseconds),
        },
        "target_p99_ms": 20,
        "connections": CONNECTIONS,
        "sent": flips["sent"],
        "failed": flips["failed"],
        "answer_p99_ms": flips["p99_ms"],
        "control": {
            "what": "the same client while the release is stopped and started, four times",
            "sent": control["sent"],
            "failed": control["failed"],
            "reasons": control["reasons"],
        },
    }


def under_load(host: HostGround, result: Path, act: Any) -> tuple[Any, dict[str, Any]]:
    """Act while the client runs; return what the act gave and what the client saw."""
    argv = [sys.executable, str(CLIENT), f"http://{host.address}:8080/version", "--seconds", str(SECONDS + 60)]
    client = subprocess.Popen(host.inside(*argv, "--connections", str(CONNECTIONS), "--json", str(result)))
    time.sleep(3)
    given = act()
    client.terminate()
    client.wait(30)
    seen: dict[str, Any] = json.loads(result.read_text())
    return given, seen


def flip_back_and_forth(host: HostGround) -> list[float]:
    """Flip evenly over the time; return each flip's milliseconds."""
    taken, began = [], time.monotonic()
    for n in range(FLIPS):
        answer = host.serve("v2" if n % 2 == 0 else "v1")
        assert answer["outcome"] == "changed", answer
        taken.append(float(answer["flip_ms"]))
        time.sleep(max(0.0, began + SECONDS * (n + 1) / FLIPS - time.monotonic()))
    return taken


def stop_then_start(host: HostGround) -> None:
    """Deploy as one would without a second slot."""
    unit = host.unit("v1")
    for _ in range(4):
        host.shell(f"systemctl stop {unit}; systemctl start {unit}")
        time.sleep(5)


if __name__ == "__main__":
    main()
