"""What a host remembers: who it is, what its slots hold, which backend is live, and the newest fence it has seen.

Everything is keyed by the instance id. A machine image carries the files of the host it was taken from; under a
new id they mean nothing, and `adopt` clears them before anything reads them.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .answers import refused
from .machine import Machine

STATE = "/var/lib/rmu"
MAP = f"{STATE}/live.map"
HOLD = f"{STATE}/hold.map"
SETTINGS = "/etc/rmu/host.json"
SALVAGES = "/var/tmp/rmu-salvage"  # noqa: S108  (folders for root alone, one for each run)
UNITS = "/etc/containers/systemd"
PORTS = {"blue": 3001, "green": 3002}
SLOTS = tuple(PORTS)
WORKER_PORT = 3003
FRONT_PORT = 8080


def settings(m: Machine) -> dict[str, Any]:
    """Return what this host knows of its environment."""
    return m.read_json(SETTINGS) or {}


def forget_salvages(m: Machine) -> None:
    """Remove what a salvage that was killed has left: it holds rows of users."""
    for left in m.path(SALVAGES).parent.glob("rmu-salvage-*"):
        shutil.rmtree(left, ignore_errors=True)


def other(slot: str) -> str:
    """Name the slot beside this one."""
    return "green" if slot == "blue" else "blue"


@dataclass(frozen=True)
class Live:
    """What traffic is sent to: a slot or nothing, and whether the other slot stands behind it."""

    slot: str | None = None
    backed: bool = False

    @property
    def backend(self) -> str:
        """Name the HAProxy backend."""
        return (f"{self.slot}-backed" if self.backed else self.slot) if self.slot else "none"

    @property
    def backup(self) -> str | None:
        """Name the slot that stands behind, if one does."""
        return other(self.slot) if self.slot and self.backed else None

    @classmethod
    def of(cls, backend: str) -> Live:
        """Read a backend's name; an unknown one is nothing live, so that a damaged map cannot stop the boot."""
        slot, _, tail = backend.partition("-")
        return cls(slot, tail == "backed") if slot in SLOTS and tail in ("", "backed") else cls()


def read_map(m: Machine) -> Live:
    """Read the map file: what HAProxy loads when it starts."""
    for line in (m.read(MAP) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == "live":
            return Live.of(value.strip())
    return Live()


def write_map(m: Machine, live: Live) -> None:
    """Write the map file atomically; HAProxy at work learns of it by `set map` alone."""
    m.write(MAP, f"live {live.backend}\n")


def write_hold(m: Machine, until: int) -> None:
    """Write until when requests are held (unix seconds, 0 for not at all): what HAProxy loads when it starts."""
    m.write(HOLD, f"until {until}\n")


def record(m: Machine, slot: str) -> dict[str, Any] | None:
    """Return a slot's record, None for an empty slot."""
    return m.read_json(f"{STATE}/slots/{slot}.json")


def write_record(m: Machine, slot: str, value: dict[str, Any]) -> None:
    """Write a slot's record whole."""
    m.write_json(f"{STATE}/slots/{slot}.json", value)


def holds(m: Machine, slot: str, ref: dict[str, Any]) -> bool:
    """Tell whether a slot holds this very release: version and digest, since a version may be pushed anew.

    A ref that names a database means the slot that is set up with it: after a restore both slots may hold one release.
    """
    found = record(m, slot)
    if found is None or (found["release"], found["digest"]) != (ref["version"], ref["digest"]):
        return False
    return ref.get("database") in (None, found["database"]["identifier"])


def slot_of(m: Machine, ref: dict[str, Any]) -> str | None:
    """Find the slot that holds a release; of two that do, the one that serves."""
    live = read_map(m).slot
    return next((slot for slot in sorted(SLOTS, key=lambda s: s != live) if holds(m, slot, ref)), None)


def adopt(m: Machine) -> str:
    """Take this host's state as this instance's own: clear what another instance left. Return the instance id.

    An instance whose metadata service is silent keeps its last id: a reboot is the likelier story by far, and
    forgetting what serves would be an outage.
    """
    known = (m.read(f"{STATE}/instance") or "").strip()
    try:
        name = m.instance()
    except OSError:
        if known:
            return known
        raise
    if name != known:
        if known:
            forget(m)
        m.write(f"{STATE}/instance", name)
    return name


def forget(m: Machine) -> None:
    """Remove the slots, the map and the fence of another instance."""
    write_map(m, Live())
    for slot in (*SLOTS, "worker"):
        m.remove(f"{STATE}/slots/{slot}.json")
        m.remove(f"{UNITS}/rmu-{slot}.container")
    m.remove(f"{STATE}/fence.json")
    for marker in m.path(f"{STATE}/done").glob("*.json"):
        marker.unlink()
    m.run(["systemctl", "daemon-reload"])


def fence(m: Machine) -> dict[str, Any] | None:
    """Return the newest fence seen: generation, sequence and run."""
    return m.read_json(f"{STATE}/fence.json")


@contextmanager
def locked(m: Machine, until: float) -> Iterator[None]:
    """Hold this host's lock. The kernel frees it when the program dies. Raises No when it is not free in time."""
    place = m.path(f"{STATE}/lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as f:
        while True:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if m.now() >= until:
                    raise refused("not_after", "another request held this host's lock until it was too late") from None
                m.sleep(0.1)
        yield
