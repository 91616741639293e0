"""The verb that moves traffic: who may serve, who stands behind, and what is proven before it is called done."""

from __future__ import annotations

from typing import Any

from .answers import Answer, refused
from .hold import holding, let_go
from .machine import Machine
from .probe import begin
from .ready import digest_of, state_of, why_not
from .slots import install_program
from .state import PORTS, STATE, Live, read_map, record, slot_of
from .traffic import flip, live_now, protect, servers, unproven

BEHIND = f"{STATE}/behind.json"


def serve(m: Machine, request: dict[str, Any]) -> Answer:
    """Send traffic to a release, or to nothing; prove it, or put it back. Once proven, `let_go` ends a hold."""
    answer = move(m, request)
    return {**answer, "let_go": let_go(m)["outcome"]} if request.get("let_go") else answer


def move(m: Machine, request: dict[str, Any]) -> Answer:
    """Flip where that is needed."""
    before = live_now(m)
    target = wanted(m, request)
    if before == target and read_map(m) == target and not unproven(m, target):
        return {"outcome": "already", "live_slot": target.slot, "flip_ms": 0}
    reason = unfit(m, target, before)
    if reason:
        raise refused("not_ready", f"{request['release']['version']} cannot serve: {reason}; traffic was not moved")
    if request.get("probe") and not holding(m):  # held, its requests would tell of the hold, not of the flip
        install_program(m)
        begin(m, request["probe"], request["run"], from_nothing=before.slot is None)
    m.write_json(BEHIND, {"answered": by_backup(m, target)})
    milliseconds = flip(m, before, target)
    protect(m, target)
    return {"outcome": "changed", "live_slot": target.slot, "flip_ms": milliseconds}


def wanted(m: Machine, request: dict[str, Any]) -> Live:
    """Find the backend a request means."""
    if request["release"] is None:
        return Live()
    slot = place(m, request["release"])
    if request.get("backup") is None:
        return Live(slot)
    behind = place(m, request["backup"])
    if behind == slot or state_of(m, behind) != "active":
        raise refused("not_ready", f"{request['backup']['version']} does not run, so it cannot stand behind")
    return Live(slot, backed=True)


def place(m: Machine, ref: dict[str, Any]) -> str:
    """Return the slot of a release, or refuse."""
    slot = slot_of(m, ref)
    if slot is None:
        raise refused("not_found", f"{ref['version']} is in no slot of this host")
    return slot


def unfit(m: Machine, target: Live, before: Live) -> str:
    """Say why a release may not serve, empty when it may.

    With the database down nothing is ready. A release that is only as unready as what serves may still take over,
    or an outage of the database would also take the way back.
    """
    if target.slot is None or target.slot == before.slot:
        return ""
    held = record(m, target.slot) or {}
    reason = why_not(m, target.slot, held, schema_head="")
    if not reason or before.slot is None:
        return reason
    # The database is down for both, or this is a release that is worse than what serves.
    alive = m.get(PORTS[target.slot], "/livez").status == 200
    itself = digest_of(m, target.slot) == held.get("digest")
    same_trouble = trouble(m, target.slot) == trouble(m, before.slot) != set()
    return "" if alive and itself and same_trouble else reason


def trouble(m: Machine, slot: str) -> set[str]:
    """Name the readiness checks that fail in a slot."""
    checks = m.get(PORTS[slot], "/readyz").json().get("checks")
    return {name for name, said in checks.items() if said != "ok"} if isinstance(checks, dict) else set()


def by_backup(m: Machine, live: Live) -> int:
    """Count what the slot that stands behind has answered since HAProxy started."""
    rows = [row for row in servers(m) if (row["pxname"], row["svname"]) == (live.backend, live.backup)]
    return sum(int(row.get("stot") or 0) for row in rows)


def fell_back(m: Machine) -> bool:
    """Tell whether the slot that stands behind has answered anything since it was put there."""
    answered = by_backup(m, live_now(m))
    before = int((m.read_json(BEHIND) or {}).get("answered", 0))
    # HAProxy counts from its own start: a smaller count is a new one.
    return answered > (before if before <= answered else 0)
