"""Run on a host by its own Python, with nothing but the standard library: measures what only the host can see.

start UNIT PORT TIMES    from a container's start until /livez answers, and what an idle Python takes in its image
memory UNIT WORKER S     most memory the api has had (VmHWM), and the worker with its browser (sum of Pss), in S s
"""

import json
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path


def main(what: str, *said: str) -> None:
    """Print one JSON document."""
    print(json.dumps({"start": start, "memory": memory}[what](*said)))


def start(unit: str, port: str, times: str) -> dict[str, list[float]]:
    """Start what stands by, several times; in seconds."""
    image = podman("inspect", "-f", "{{.ImageName}}", unit)
    return {"livez_s": [until_livez(unit, port) for _ in range(int(times))], "idle_s": [idle(image) for _ in range(3)]}


def until_livez(unit: str, port: str) -> float:
    """Start a slot; tell how long after its container's start /livez answered."""
    subprocess.run(["systemctl", "stop", unit], check=True)
    subprocess.run(["systemctl", "start", "--no-block", unit], check=True)
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5):
                answered = time.time()
                return answered - moment(podman("inspect", "-f", "{{.State.StartedAt}}", unit))
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"{unit} did not start")


def idle(image: str) -> float:
    """Tell how long a Python that does nothing lives in the image."""
    podman("run", "--name", "rmu-bench", "--entrypoint", "/opt/venv/bin/python", image, "-c", "pass")
    began, ended = podman("inspect", "-f", "{{.State.StartedAt}}|{{.State.FinishedAt}}", "rmu-bench").split("|")
    podman("rm", "rmu-bench")
    return moment(ended) - moment(began)


def memory(unit: str, worker: str, seconds: str) -> dict[str, float]:
    """Look twice a second; in MiB."""
    api = Path("/proc", podman("inspect", "-f", "{{.State.Pid}}", unit), "status")
    most, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        most = max(most, sum(pss(one) for one in Path("/proc").glob("[0-9]*") if belongs(one, worker)))
        time.sleep(0.5)
    peak = next(line for line in api.read_text().splitlines() if line.startswith("VmHWM"))
    return {"api": int(peak.split()[1]) / 1024, "worker": most / 1024}


def belongs(process: Path, unit: str) -> bool:
    """Tell whether a process is one of a unit's."""
    try:
        return unit in (process / "cgroup").read_text()
    except OSError:
        return False


def pss(process: Path) -> int:
    """Read a process's share of what is in memory, in KiB; nothing once it has ended."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def moment(told: str) -> float:
    """Read a moment as podman tells it: nanoseconds are cut."""
    day, clock, offset = told.split()[:3]
    return datetime.strptime(f"{day} {clock[:15].ljust(15, '0')} {offset}", "%Y-%m-%d %H:%M:%S.%f %z").timestamp()


def podman(*said: str) -> str:
    """Ask podman."""
    return subprocess.run(["podman", *said], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
