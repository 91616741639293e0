"""Hosts that behave: two slots, a worker, a proxy with a backup, memory, a fence; requests that must not be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import (
    Database,
    Facts,
    Fence,
    HostView,
    Release,
    ReleaseRef,
    SlotView,
    StaleSecret,
    WorkerView,
)

MIB = 2**20
SlotName = Literal["blue", "green"]
SLOTS: tuple[SlotName, ...] = ("blue", "green")


@dataclass
class Slot:
    """What one slot holds."""

    release: Release
    database: Database
    running: bool = False
    was_started: bool = False
    failed: bool = False
    old_secrets: set[str] = field(default_factory=set)
    """Secrets that have another value since it was started."""

    def holds(self, ref: ReleaseRef) -> bool:
        same = (self.release.version, self.release.digest) == (ref.version, ref.digest)
        return same and ref.database in (None, self.database.identifier)


@dataclass
class Host:
    """One machine of the fleet."""

    id: str
    address: str
    slots: dict[SlotName, Slot | None] = field(default_factory=lambda: {"blue": None, "green": None})
    live: SlotName | None = None
    backed: bool = False
    worker: ReleaseRef | None = None
    worker_database: str | None = None
    worker_running: bool = False
    worker_old_secrets: set[str] = field(default_factory=set)
    held_until: float | None = None
    waiting: int = 0
    """Requests that wait at the proxy."""
    memory: int = 700 * MIB
    each_takes: int = 120 * MIB
    worker_takes: int = 300 * MIB
    images: set[str] = field(default_factory=set)
    pulls: int = 0
    disk_free: int = 4000 * MIB
    fence: tuple[int, int] | None = None
    answers: dict[tuple[int, int, str], Facts] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    state: Literal["InService", "Standby"] = "InService"
    booted: float | None = 1000.0

    def once(self, fence: Fence, verb: str, act: Callable[[], Facts]) -> Facts:
        """Act unless this very request was answered before; refuse an owner of old."""
        mine = (fence.generation, fence.sequence)
        if self.fence is not None and mine < self.fence:
            raise refused("stale_fence", f"{self.id} obeys a newer owner")
        asked = (*mine, verb)
        if asked in self.answers:
            return {**self.answers[asked], "already": True}
        self.fence = mine
        self.log.append(verb)
        self.answers[asked] = act()
        return self.answers[asked]

    def unneeded(self) -> set[str]:
        return self.images - {s.release.digest for _, s in self.filled()} - {self.worker.digest if self.worker else ""}

    def prune(self, size: int) -> Facts:
        gone = self.unneeded()
        self.images -= gone
        self.disk_free += len(gone) * size
        return {"outcome": "changed" if gone else "already", "removed": sorted(gone), "freed": len(gone) * size}

    def stale(self) -> Iterator[StaleSecret]:
        holders = [(s.release.version, s.old_secrets) for _, s in self.filled() if s.running]
        if self.worker and self.worker_running:
            holders.append((f"{self.worker.version}'s worker", self.worker_old_secrets))
        for holder, names in holders:
            yield from (StaleSecret(host=self.id, holder=holder, secret=name) for name in sorted(names))

    def slot_of(self, ref: ReleaseRef | None) -> SlotName | None:
        return next((n for n, s in self.filled() if ref is not None and s.holds(ref)), None)

    def filled(self) -> Iterator[tuple[SlotName, Slot]]:
        return ((n, s) for n, s in self.slots.items() if s is not None)

    def behind(self) -> SlotName | None:
        return other(self.live) if self.live and self.backed else None

    def memory_available(self) -> int:
        running = sum(s.running for _, s in self.filled())
        return self.memory - running * self.each_takes - self.worker_running * self.worker_takes

    def answers_requests(self, healthy: Callable[[Slot], bool]) -> Slot | None:
        """Find the slot that answers a request now: the live one, else the one behind it; None is a lost request."""
        for name in (self.live, self.behind()):
            slot = self.slots[name] if name else None
            if slot is not None and slot.running and healthy(slot):
                return slot
        return None

    def view(self) -> HostView:
        return HostView(
            id=self.id,
            live_slot=self.live,
            slots={n: self._slot_view(n) for n in SLOTS},
            worker=WorkerView(release=self.worker.version if self.worker else None, state=self._worker_state()),
            backup_on=self.backed,
            holding_requests=self.held_until is not None,
            memory_available=self.memory_available(),
            disk_free=self.disk_free,
        )

    def _worker_state(self) -> Literal["running", "parked", "absent"]:
        if self.worker is None:
            return "absent"
        return "running" if self.worker_running else "parked"

    def _slot_view(self, name: SlotName) -> SlotView:
        slot = self.slots[name]
        if slot is None:
            return SlotView()
        release = slot.release
        setup = release.setup(slot.database)
        return SlotView(
            release=release.version,
            digest=release.digest,
            setup=setup,
            database=slot.database.identifier,
            state=self._state(name, slot),
        )

    def _state(self, name: SlotName, slot: Slot) -> Literal["serving", "warm", "stopped", "prepared", "failed"]:
        if name == self.live:
            return "serving"
        if slot.failed:
            return "failed"
        if slot.running:
            return "warm"
        return "stopped" if slot.was_started else "prepared"


def other(slot: SlotName) -> SlotName:
    return "green" if slot == "blue" else "blue"


def refused(code: str, detail: str) -> Failed:
    """Say no as a host does: a code, and a sentence."""
    return Failed(f"{detail} ({code})", state="Nothing was changed on this host.", next="rmu status")
