"""What this host is and does, in one look. Reads only."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .answers import Answer
from .hold import holding
from .machine import Machine
from .ready import state_of
from .serve import fell_back
from .state import SLOTS, record
from .traffic import live_now


def survey(m: Machine) -> Answer:
    """Describe this host: slots, worker, live slot, memory, disk."""
    live = live_now(m)
    return {
        "outcome": "ok",
        "live_slot": live.slot,
        "backup_on": live.backed,
        "fell_back": fell_back(m),
        "holding": holding(m),
        "slots": {slot: view(m, slot, live.slot) for slot in SLOTS},
        "worker": worker_view(m),
        "memory": m.memory(),
        "disk_free": m.disk_free(),
        "booted": m.booted(),
        "redis": m.run(["systemctl", "is-active", "redis-server.service"]).out.strip() == "active",
    }


def view(m: Machine, slot: str, live_slot: str | None) -> dict[str, Any]:
    """Describe one slot."""
    held = record(m, slot)
    if held is None:
        return {"release": None, "digest": None, "database": None, "setup": None, "state": "empty"}
    return {
        "release": held["release"],
        "digest": held["digest"],
        "database": held["database"]["identifier"],
        "setup": setup(held),
        "state": slot_state(m, slot, held, live_slot),
    }


def setup(held: dict[str, Any]) -> str:
    """Fingerprint what a slot runs its release with, so that the caller need not be told a config to compare it."""
    text = json.dumps([held["config"], held["secrets"], held["database"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def slot_state(m: Machine, slot: str, held: dict[str, Any], live_slot: str | None) -> str:
    """Name a slot's state: what serves serves, also where its unit has failed (the health path says so)."""
    if slot == live_slot:
        return "serving"
    seen = state_of(m, slot)
    if seen == "failed":
        return "failed"
    if seen in ("active", "activating"):
        return "warm"
    return "stopped" if held.get("started") else "prepared"


def worker_view(m: Machine) -> dict[str, Any]:
    """Describe the worker."""
    held = record(m, "worker")
    if held is None:
        return {"release": None, "state": "absent"}
    running = state_of(m, "worker") in ("active", "activating")
    return {"release": held["release"], "state": "running" if running else "parked"}
