"""The verbs about one release on this host, beside the one that moves traffic: start, worker, retire, stop."""

from __future__ import annotations

from typing import Any

from .answers import Answer, refused
from .machine import Machine
from .ready import state_of, wait_ready
from .slots import quiet, run_slot, run_worker
from .state import holds, record, slot_of, write_record
from .traffic import live_now, unback


def start(m: Machine, request: dict[str, Any]) -> Answer:
    """Park the worker, start a prepared release beside what serves and wait until it is ready."""
    ref = request["release"]
    slot = slot_of(m, ref)
    if slot is None:
        raise refused("not_found", f"{ref['version']} is in no slot of this host")
    park(m)
    running = state_of(m, slot) == "active"
    if not running:
        run_slot(m, slot)
    answer = wait_ready(m, slot, request["ready"])
    return {**answer, "outcome": "already" if running else "changed"}


def worker(m: Machine, ref: dict[str, Any] | None) -> Answer:
    """Run the worker of a release that is here; None parks it."""
    if ref is None:
        return {"outcome": "changed" if park(m) else "already"}
    if holds(m, "worker", ref) and state_of(m, "worker") == "active":
        return {"outcome": "already"}
    run_worker(m, ref)
    return {"outcome": "changed"}


def park(m: Machine) -> bool:
    """Stop the worker, which finishes its job or gives it back; a reboot leaves it parked."""
    held = record(m, "worker")
    if held and held.get("started"):
        write_record(m, "worker", {**held, "started": False})
    if state_of(m, "worker") not in ("active", "activating"):
        return False
    m.run(["systemctl", "stop", "rmu-worker.service"], timeout=60)
    return True


def retire(m: Machine, request: dict[str, Any]) -> Answer:
    """Take a release out of the backup role; stop it where memory is short, keep its image."""
    ref = request["release"]
    slot = slot_of(m, ref)
    if slot is None:
        return {"outcome": "already", "state": "gone"}
    if live_now(m).slot == slot:
        raise refused("serves_here", f"{ref['version']} serves; it is not retired")
    changed = unback(m, slot)
    if state_of(m, slot) != "active":
        return {"outcome": "changed" if changed else "already", "state": "retained"}
    if m.memory()["available"] >= int(request["warm_floor"]):
        return {"outcome": "changed" if changed else "already", "state": "warm"}
    quiet(m, slot)
    return {"outcome": "changed", "state": "retained"}


def stop(m: Machine, request: dict[str, Any]) -> Answer:
    """Stop a release that does not serve, and run the worker of another again."""
    ref = request["release"]
    slot = slot_of(m, ref)
    running = slot is not None and state_of(m, slot) in ("active", "activating")
    if slot is not None:
        quiet(m, slot)
    again = request.get("resume_worker")
    resumed = worker(m, again)["outcome"] == "changed" if again else False
    return {"outcome": "changed" if running or resumed else "already"}
