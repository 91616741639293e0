"""Which secrets a running slot was started with that are no longer today's. Values are compared here, and stay."""

from __future__ import annotations

from typing import Any

from .answers import Answer
from .cloud import Cloud
from .machine import Machine
from .state import SLOTS, record
from .units import environment

PASSWORD = "db/app_password"  # noqa: S105  (a name)


def stale(m: Machine, host: dict[str, Any], cloud: Cloud) -> Answer:
    """Name, for each slot and the worker that run, the secrets whose value has changed since it was started."""
    found = {slot: names for slot in (*SLOTS, "worker") if (names := changed(m, slot, host, cloud)) is not None}
    return {"outcome": "ok", "stale": found}


def changed(m: Machine, slot: str, host: dict[str, Any], cloud: Cloud) -> list[str] | None:
    """Name the secrets that a slot holds an older value of; None for one that does not run."""
    held, runs_with = record(m, slot), m.read(f"/run/rmu/{slot}.env")
    if held is None or runs_with is None:
        return None
    then, today = values(runs_with), values(environment(slot, held, host, m.instance(), cloud))
    names = {name.rsplit("/", 1)[-1].upper(): f"app/{name}" for name in held.get("secrets") or ()}
    names["DATABASE_URL"] = PASSWORD
    return sorted(name for variable, name in names.items() if then.get(variable) != today.get(variable))


def values(text: str) -> dict[str, str]:
    """Read an environment file."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
