"""How this host is, once a period: a request through the front door, the queue, and what runs short.

Started by a timer, over in less than a period whatever hangs. It takes no lock, starts nothing, and leaves three
lines in the log and the same in `/run/rmu/vitals.json`, which a full disk does not stop.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from .cloud import Cloud
from .log import append
from .machine import Machine
from .state import PORTS, SLOTS, STATE, read_map, record, settings

LOG = "/var/log/rmu/rmu-vitals.log"
NOW = "/run/rmu/vitals.json"
DOOR = "/run/rmu/front_door"
FIRST_OOM = "/run/rmu/oom_kills"
PATIENCE_S = 5.0
DOOR_S, AGAIN_S = 3600, 60
UNITS = ("haproxy", "redis-server", "rmu-blue", "rmu-green", "rmu-worker", "amazon-ssm-agent", "rmu-follow")


def vitals(m: Machine) -> None:
    """Look at everything at once, and write down what came in time; what did not is unknown, and says so."""
    seen: dict[str, Any] = {}
    threads = [Thread(target=take, args=(m, seen, *part), daemon=True) for part in PARTS.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = {"ok": False if m.read(DOOR) else None, "status": None, "why": "not in time"}
    told = {"vitals": {}, "queue": {}, "probe": late, **seen}
    m.write_json(NOW, {"at": round(m.now(), 3), **told})
    append(m, LOG, *({"event": name, **what} for name, what in told.items()))


def take(m: Machine, seen: dict[str, Any], name: str, part: Callable[[Machine], dict[str, Any]]) -> None:
    """Take one part; whatever goes wrong with it, the others are worth having."""
    try:
        seen[name] = part(m)
    except Exception as why:  # noqa: BLE001  (none of them may cost the others their line)
        seen[name] = {"ok": None, "why": str(why)[:200]}


def probe(m: Machine) -> dict[str, Any]:
    """Ask through all that a user's request passes; status null is no answer.

    A drill's host asks nothing, nor does one that has booted and was told to serve nothing.
    """
    if m.drills() or (m.read(f"{STATE}/hook") and not read_map(m).slot):
        return {"ok": None}
    url, began, why = urlsplit(door(m)), time.monotonic(), ""
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    line, status = kind(url.netloc, timeout=PATIENCE_S), None
    try:
        line.request("GET", url.path.rstrip("/") + "/version", headers={"User-Agent": "rmu-probe"})
        status = line.getresponse().status
    except (OSError, HTTPException) as broken:
        why = str(broken)
    line.close()
    return {"ok": status == 200, "status": status, "ms": round((time.monotonic() - began) * 1000, 1), "why": why}


def door(m: Machine) -> str:
    """Say where people knock, as Terraform wrote it down; on a first apply it stands there after the host does.

    Raises LookupError while nobody has said it.
    """
    kept, known = m.path(DOOR), m.read(DOOR) or ""
    if not kept.exists() or m.now() - kept.stat().st_mtime > (DOOR_S if known else AGAIN_S):
        m.write(DOOR, known)  # boto3 is large: whether this works or not, it is a while until the next time
        host = settings(m)
        name = f"/rmu/{host['env']}/places/front_door"
        known = Cloud(host).parameters([name])[name]
        m.write(DOOR, known)
    if not known:
        raise LookupError("no front door is known yet")
    return known


def queue(m: Machine) -> dict[str, Any]:
    """Ask the slot that serves how its queue stands, with the token that it was given; an older release has none."""
    slot = read_map(m).slot or ""
    token = (m.read(f"/run/rmu/{slot}.env") or "").partition("ADMIN_TOKEN=")[2].split("\n")[0]
    heard = m.ask("GET", PORTS[slot], "/api/admin/queue/status", token=token)
    return heard.json() if heard.status == 200 else {"why": f"status {heard.status}"}


def body(m: Machine) -> dict[str, Any]:
    """Read what tells a host that is short of something from one that is merely busy."""
    sizes, disk = m.sizes(), shutil.disk_usage(m.root)
    return {
        "memory_total": sizes["MemTotal"],
        "memory_available": sizes["MemAvailable"],
        "swap_used": sizes["SwapTotal"] - sizes["SwapFree"],
        "load1": float((m.read("/proc/loadavg") or "0").split()[0]),
        "pressure": {what: pressure(m, what) for what in ("cpu", "io", "memory")},
        "oom_kills": oom_kills(m),
        "disk_free": m.disk_free(),
        "disk_used_percent": round(100 * disk.used / disk.total, 1),
        "units": units(m),
        "redis": m.run(["redis-cli", "ping"], timeout=2).out == "PONG\n",
        "live": read_map(m).backend,
        "releases": {slot: (record(m, slot) or {}).get("release") for slot in (*SLOTS, "worker")},
    }


def pressure(m: Machine, what: str) -> float | None:
    """Tell the share of the last ten seconds in which something waited for it; None where the kernel tells nothing."""
    told = m.read(f"/proc/pressure/{what}")
    return float(told.split("avg10=")[1].split()[0]) if told else None


def oom_kills(m: Machine) -> int:
    """Count what the kernel has killed for memory since this was first asked after the boot."""
    now = (m.read("/proc/vmstat") or "").split("oom_kill ")[1].split()[0]
    first = m.read(FIRST_OOM)
    if first is None:
        m.write(FIRST_OOM, now)
    return int(now) - int(first or now)


def units(m: Machine) -> dict[str, str]:
    """Tell each unit's state, and why it ended where that was no success."""
    names = [f"{name}.service" for name in UNITS]
    said = m.run(["systemctl", "show", "--value", "--property=ActiveState,Result", *names]).out
    states = said.replace("success", "").split("\n\n")
    return {name: " ".join(state.split()) for name, state in zip(UNITS, states, strict=False)}


PARTS: dict[str, Callable[[Machine], dict[str, Any]]] = {"vitals": body, "queue": queue, "probe": probe}
