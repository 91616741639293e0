"""The nouns: what rmu speaks about. Frozen values; imports nothing of ours.

A `World` is a snapshot of what was seen just now. A field that could not be read is `Unknown(why)`, never a guess.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Facts = dict[str, Any]
"""What a step saw or did, as JSON values for the journal. Never a secret."""

T = TypeVar("T")


class Frozen(BaseModel):
    """A value: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Known(Frozen, Generic[T]):
    """A field that was read, and when."""

    known: Literal[True] = True
    value: T
    at: datetime


class Unknown(Frozen):
    """A field that could not be read, and why."""

    known: Literal[False] = False
    why: str


class ReleaseRef(Frozen):
    """A release by version and image digest: a slot may hold another by now."""

    version: str
    digest: str


class Database(Frozen):
    """A database instance by its planned name; it keeps that name for life."""

    identifier: str
    address: str
    port: int = 5432


class RestorePoint(Frozen):
    """A moment to which a database instance can be restored. No name: a restored instance has no history."""

    resource_id: str
    at: datetime


Verdict = Literal["good", "rolled_back", "unknown"]


class Release(Frozen):
    """What was deployed: code, config, schema and the restore point taken before it, tied together."""

    version: str
    digest: str
    image: str
    config: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    schema_head: str
    schema_oldest: str
    restore_point: RestorePoint | None = None
    verdict: Verdict = "unknown"
    created: datetime
    run: str

    @property
    def ref(self) -> ReleaseRef:
        """Name this release as steps do."""
        return ReleaseRef(version=self.version, digest=self.digest)

    def setup(self, database: Database) -> str:
        """Fingerprint what a host runs this release with, as its survey does."""
        text = json.dumps([self.config, list(self.secrets), database.model_dump()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def runs_on(self, head: str) -> bool:
        """Tell whether this release's code can run on a database whose schema head is `head`.

        Revisions are zero-padded numbers, so they compare as text: oldest <= head.
        """
        return self.schema_oldest <= head


class Pointer(Frozen):
    """What a new instance boots: the live release (none before the first deploy) and its database."""

    release: str | None = None
    database: Database | None = None


class SlotView(Frozen):
    """One slot as its host sees it."""

    release: str | None = None
    digest: str | None = None
    setup: str | None = None
    state: Literal["serving", "warm", "stopped", "prepared", "empty", "failed"] = "empty"


class WorkerView(Frozen):
    """The scraper's worker on one host."""

    release: str | None = None
    state: Literal["running", "parked", "absent"] = "absent"


class HostView(Frozen):
    """One host as it described itself in one round trip. Bytes for memory and disk."""

    id: str
    live_slot: Literal["blue", "green"] | None = None
    slots: dict[str, SlotView] = Field(default_factory=dict)
    worker: WorkerView = WorkerView()
    backup_on: bool = False
    memory_available: int = 0
    disk_free: int = 0

    def serves(self) -> str | None:
        """Name the release this host sends traffic to."""
        return self.slots[self.live_slot].release if self.live_slot else None

    def holding(self, ref: ReleaseRef) -> SlotView | None:
        """Find the slot that holds this very release."""
        return next((s for s in self.slots.values() if s.release == ref.version and s.digest == ref.digest), None)


class FrontDoor(Frozen):
    """What one request through the front door said of itself."""

    version: str | None
    digest: str | None
    host: str | None


class Instance(Frozen):
    """One member of the fleet's group, as the group knows it."""

    id: str
    state: str


class LeaseView(Frozen):
    """Who holds the environment, read from the lease item."""

    run: str
    owner: str
    token: str
    generation: int
    heartbeat: int
    step: str = ""


class DatabaseView(Frozen):
    """A database instance as the control plane tells it."""

    identifier: str
    resource_id: str
    address: str
    port: int
    status: str
    latest_restorable: datetime | None = None
    protected: bool = True
    asked: datetime | None = Field(default=None, description="when, by the control plane's own clock")


class ImageView(Frozen):
    """An image in the registry, and what its scan found."""

    digest: str
    tags: tuple[str, ...] = ()
    size: int = 0
    active: bool = True
    scan: Literal["clean", "critical", "pending", "inconclusive"] = "inconclusive"
    findings: int = 0
    schema_head: str = ""
    schema_oldest: str = ""


class World(Frozen):
    """A snapshot of what one verb needs. Asking for a field that verb did not survey is a bug."""

    environment: str
    at: datetime
    pointer: Known[Pointer] | Unknown = Unknown(why="not asked")
    releases: Known[tuple[Release, ...]] | Unknown = Unknown(why="not asked")
    lease: Known[LeaseView | None] | Unknown = Unknown(why="not asked")
    instances: Known[tuple[Instance, ...]] | Unknown = Unknown(why="not asked")
    hosts: Known[tuple[HostView, ...]] | Unknown = Unknown(why="not asked")
    addresses: Known[dict[str, str]] | Unknown = Unknown(why="not asked")
    front_door: Known[FrontDoor] | Unknown = Unknown(why="not asked")
    database: Known[DatabaseView] | Unknown = Unknown(why="not asked")
    image: Known[ImageView | None] | Unknown = Unknown(why="not asked")
    last_run: Known[RunHeader | None] | Unknown = Unknown(why="not asked")

    def unknown(self) -> dict[str, str]:
        """List the fields that were asked for and could not be read, with why."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in {"environment", "at"}}
        return {n: f.why for n, f in fields.items() if isinstance(f, Unknown) and f.why != "not asked"}


class RunHeader(Frozen):
    """One run in the list of runs."""

    run: str
    verb: str
    who: str
    because: str = ""
    started: datetime
    outcome: str | None = None
    finished: datetime | None = None


class Probe(Frozen):
    """What the drop probe on the hosts saw. Times in milliseconds."""

    sent: int
    failed: int
    p99_ms: float
    added_p99_ms: float
    verdict: Literal["pass", "fail", "inconclusive"]
    fell_back: bool = False


class PlanSummary(Frozen):
    """What Terraform would do, as counts and names."""

    create: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    destroy: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing would change."""
        return not (self.create or self.change or self.replace or self.destroy)


class Fence(Frozen):
    """The right to change a host: the lease's generation, then the sequence number of the journal's event."""

    generation: int
    sequence: int


World.model_rebuild()
