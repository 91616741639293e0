"""Steps that change what hosts hold and run. None of them moves traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ratemyunit_ops.model import Database, Facts, HostView, Release, ReleaseRef
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.named import placed

NONE_STAYS = 2**62
"""A floor of memory that no host has: what is retired is stopped."""


class Prepare(Change):
    """Pull a release and write its slot on every host. Leaves what serves alone, so nothing needs undoing."""

    kind: Literal["prepare"] = "prepare"
    release: Release
    database: Database

    def title(self) -> str:
        return f"prepare {self.release.version} on every host (pull, render)"

    def done(self, o: Outside) -> bool:
        database = placed(o, self.database)
        held = [h.holding(self.release.on(database.identifier)) for h in o.fleet.survey()]
        return all(slot is not None and slot.setup == self.release.setup(database) for slot in held)

    def do(self, o: Outside) -> Facts:
        return o.fleet.prepare(self.release, placed(o, self.database))

    def undo(self) -> None:
        return None


class StartRelease(Change):
    """Park the worker (memory for two releases and a browser is not there) and start a release beside what serves."""

    kind: Literal["start_release"] = "start_release"
    release: ReleaseRef
    schema_head: str
    worker_before: ReleaseRef | None
    deadline: timedelta = timedelta(seconds=120)

    def title(self) -> str:
        return f"park the worker, start {self.release.version}"

    def done(self, o: Outside) -> bool:
        held = [h.holding(self.release) for h in o.fleet.survey()]
        return all(slot is not None and slot.state in {"warm", "serving"} for slot in held)

    def do(self, o: Outside) -> Facts:
        return o.fleet.start(self.release, schema_head=self.schema_head, deadline=self.deadline)

    def undo(self) -> Change:
        return StopRelease(release=self.release, schema_head=self.schema_head, resume_worker=self.worker_before)


class StopRelease(Change):
    """Stop one release on every host and give the worker back. A host refuses while the release still serves there."""

    kind: Literal["stop_release"] = "stop_release"
    release: ReleaseRef
    schema_head: str
    resume_worker: ReleaseRef | None

    def title(self) -> str:
        return f"stop {self.release.version}"

    def done(self, o: Outside) -> bool:
        held = [h.holding(self.release) for h in o.fleet.survey()]
        return all(slot is None or slot.state in {"stopped", "prepared", "failed", "empty"} for slot in held)

    def do(self, o: Outside) -> Facts:
        return o.fleet.stop(self.release, resume_worker=self.resume_worker)

    def undo(self) -> Change:
        return StartRelease(release=self.release, schema_head=self.schema_head, worker_before=self.resume_worker)


class StartWorker(Change):
    """Run the worker of a release in place of another's; None parks it."""

    kind: Literal["start_worker"] = "start_worker"
    release: ReleaseRef | None
    instead_of: ReleaseRef | None

    def title(self) -> str:
        return f"start {self.release.version}'s worker" if self.release else "park the worker"

    def done(self, o: Outside) -> bool:
        wanted = (self.release.version, "running") if self.release else (None, None)
        seen = [(h.worker.release, h.worker.state) for h in o.fleet.survey()]
        return all(s == wanted if self.release else s[1] != "running" for s in seen)

    def do(self, o: Outside) -> Facts:
        return o.fleet.start_worker(self.release)

    def undo(self) -> Change:
        return StartWorker(release=self.instead_of, instead_of=self.release)


class Retire(Change):
    """Take the old release out of the backup role; it stays started while memory allows, else its image is kept."""

    kind: Literal["retire"] = "retire"
    release: ReleaseRef
    warm_floor: int

    def title(self) -> str:
        return f"retire {self.release.version}"

    def done(self, o: Outside) -> bool:
        return all(not h.backup_on and not self._stays_unasked(h) for h in o.fleet.survey())

    def _stays_unasked(self, host: HostView) -> bool:
        """Tell whether it is still warm where it was to be stopped."""
        slot = host.holding(self.release)
        return self.warm_floor >= NONE_STAYS and slot is not None and slot.state == "warm"

    def do(self, o: Outside) -> Facts:
        return {**o.fleet.retire(self.release, warm_floor=self.warm_floor), "retired": self.release.version}

    def undo(self) -> None:
        return None
