"""The nouns: what rmu speaks about. Frozen values; imports nothing of ours.

A `World` is a snapshot of what was seen just now. A field that could not be read is `Unknown(why)`, never a guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    mute: bool = Field(default=False, description="a database was asked and did not answer; false: anything else")


class ReleaseRef(Frozen):
    """A release by version and image digest: a slot may hold another by now.

    `database` names the instance its slot is set up with; None means any. While a restore cuts over, both slots may
    hold one release, each on a database of its own.
    """

    version: str
    digest: str
    database: str | None = None


class Database(Frozen):
    """A database instance by its planned name; it keeps that name for life.

    `address` is empty while the instance is only planned: who needs it looks it up by the name.
    """

    identifier: str
    address: str = ""
    port: int = 5432


class RestorePoint(Frozen):
    """A moment to which a database instance can be restored. No name: a restored instance has no history."""

    resource_id: str
    at: datetime


class RestoreWindow(Frozen):
    """From when to when an instance's history can be restored: the instance's own, or its retained backups'."""

    resource_id: str
    identifier: str
    earliest: datetime
    latest: datetime
    source: Literal["instance", "retained"] = "instance"


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
    schema_admits: str = Field(default="", description="oldest code head that may run on schema_head; empty: every")
    restore_point: RestorePoint | None = None
    verdict: Verdict = "unknown"
    created: datetime
    run: str

    @property
    def ref(self) -> ReleaseRef:
        """Name this release as steps do."""
        return ReleaseRef(version=self.version, digest=self.digest)

    def on(self, database: str) -> ReleaseRef:
        """Name this release as set up with one database."""
        return ReleaseRef(version=self.version, digest=self.digest, database=database)

    def setup(self, database: Database) -> str:
        """Fingerprint what a host runs this release with, as its survey does."""
        text = json.dumps([self.config, list(self.secrets), database.model_dump()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def runs_on(self, head: str, admits: str = "") -> bool:
        """Tell whether this release's code can run on a database whose schema head is `head`.

        `admits` is the oldest code that schema lets run. Revisions are zero-padded numbers, so they compare as text.
        """
        return self.schema_oldest <= head and admits <= self.schema_head


def previous_good(releases: Sequence[Release], live: str | None) -> Release | None:
    """Find where a plain rollback goes: the newest good release that is older than the live one."""
    now = next((r for r in releases if r.version == live), None)
    good = [r for r in releases if now and r.verdict == "good" and r != now and r.created < now.created]
    return max(good, key=lambda r: r.created, default=None)


class CertificateView(Frozen):
    """A certificate of the account: what ACM says of it, and how many days it has left."""

    arn: str
    domain: str
    status: str = ""
    imported: bool = False
    renewal: str = Field(default="", description="how ACM's own renewal goes; empty before it begins, and for imported")
    days_left: float | None = None
    used: bool = False


class StaleSecret(Frozen):
    """A secret, by name, that `holder` (a release, or its worker) was started with and that has another value today."""

    host: str
    holder: str
    secret: str


class Pointer(Frozen):
    """What a new instance boots: the live release (none before the first deploy) and its database."""

    release: str | None = None
    database: Database | None = None


class LiveNote(Frozen):
    """What served from a moment on; together they tell what served when. Written with every change of the pointer."""

    at: datetime
    release: str | None
    database: Database | None
    resource_id: str
    run: str


class SchemaNote(Frozen):
    """The schema a database had from a moment on: its head, and the oldest code head that may run on it."""

    at: datetime
    database: str
    head: str
    admits: str = ""
    run: str


def newest_schema(notes: tuple[SchemaNote, ...], database: str) -> SchemaNote | None:
    """Find the newest note on a database's schema; None where nobody wrote one."""
    return max((n for n in notes if n.database == database), key=lambda n: n.at, default=None)


class DatabaseNote(Frozen):
    """What rmu knows of an instance that a restore made or left behind."""

    identifier: str
    resource_id: str
    state: Literal["live", "superseded", "forgotten"]
    restored_from: RestorePoint | None = None
    live_at: datetime | None = Field(default=None, description="since when it took writes, where a restore made it")
    superseded_at: datetime | None = None
    superseded_by: str | None = Field(default=None, description="the run that put another one in its place")
    run: str


class SlotView(Frozen):
    """One slot as its host sees it."""

    release: str | None = None
    digest: str | None = None
    setup: str | None = None
    database: str | None = None
    state: Literal["serving", "warm", "stopped", "prepared", "empty", "failed"] = "empty"

    def holds(self, ref: ReleaseRef) -> bool:
        """Tell whether this is the release, on the database it names, if it names one."""
        same = (self.release, self.digest) == (ref.version, ref.digest)
        return same and ref.database in (None, self.database)


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
    holding_requests: bool = False
    memory_available: int = 0
    memory_total: int = 0
    disk_free: int = 0
    fell_back: bool = False
    redis: bool | None = None
    booted: int = 0

    def serves(self) -> str | None:
        """Name the release this host sends traffic to."""
        return self.slots[self.live_slot].release if self.live_slot else None

    def holding(self, ref: ReleaseRef) -> SlotView | None:
        """Find the slot that holds this very release, on the database the reference names, if it names one."""
        return next((s for s in self.slots.values() if s.holds(ref)), None)


def astray(hosts: Iterable[HostView], pointer: Pointer) -> dict[str, str]:
    """Name the hosts that serve from another database than the pointer names, and that database."""
    named = pointer.database.identifier if pointer.database else None
    seen = {h.id: h.slots[h.live_slot].database for h in hosts if h.live_slot}
    return {host: database for host, database in seen.items() if named and database and database != named}


class FrontDoor(Frozen):
    """What one request through the front door said of itself."""

    version: str | None
    digest: str | None
    host: str | None
    database: str | None = None


MINIMUM_TAG = "rmu:minimum-before-standby"
"""The tag of the hosts' group that keeps its minimum while a host stands by."""


class GroupLeftovers(Frozen):
    """What a run that takes a host out of service has in the hosts' group until it puts it back."""

    standing_by: tuple[str, ...] = ()
    minimum: int | None = Field(default=None, description="the group's minimum before it was lowered; null: it was not")
    suspended: tuple[str, ...] = Field(default=(), description="processes of the group that somebody suspended")


class Instance(Frozen):
    """One member of the fleet's group, as the group knows it."""

    id: str
    state: str

    @property
    def leaving(self) -> bool:
        """Tell whether it is on its way out for good: it will serve nobody any more."""
        return self.state.startswith(("Terminat", "Detach"))


class HostHealth(Frozen):
    """How a host is, as seen from outside: each field by the words of who says it, empty where that one is silent."""

    lifecycle: str
    health: str = Field(default="", description="the group's verdict: Healthy, Unhealthy")
    machine: str = Field(default="", description="EC2: running, stopped ...")
    system: str = Field(default="", description="EC2's check of what is below the machine: ok, impaired ...")
    instance: str = Field(default="", description="EC2's check of the machine itself: ok, impaired ...")
    target: str = Field(default="", description="the balancer: healthy, unhealthy, draining ...")
    agent: str = Field(default="", description="SSM: Online, ConnectionLost; it may be minutes old")


class DrillHost(Frozen):
    """A host in the corner: it serves nobody, and belongs to the run that made it."""

    id: str
    run: str
    state: str
    born: datetime


class HostImage(Frozen):
    """An image of a host's whole disk."""

    id: str
    name: str


class LeaseView(Frozen):
    """Who holds the environment, read from the lease item."""

    run: str
    owner: str
    token: str
    generation: int
    heartbeat: int
    step: str = ""


BROKEN = frozenset(
    {
        "failed",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-restore",
        "inaccessible-encryption-credentials",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
"""States of an instance that no waiting mends."""


class DatabaseView(Frozen):
    """A database instance as the control plane tells it."""

    identifier: str
    resource_id: str
    address: str
    port: int
    status: str
    latest_restorable: datetime | None = None
    protected: bool = True
    pending: tuple[str, ...] = Field(default=(), description="names of settings that are not applied yet")
    created: datetime | None = None
    made_by: str | None = Field(default=None, description="the run that made it; None for one that Terraform made")
    asked: datetime | None = Field(default=None, description="when, by the control plane's own clock")

    @property
    def place(self) -> Database:
        """Name the instance and where it is reached."""
        return Database(identifier=self.identifier, address=self.address, port=self.port)


class DatabaseSettings(Frozen):
    """Every attribute of an instance that its restored successor must have too: what is not asked for, AWS defaults."""

    instance_class: str
    storage_gb: int
    storage_max_gb: int | None = None
    storage_type: str = "gp3"
    iops: int | None = None
    throughput: int | None = None
    encrypted: bool = True
    kms_key: str | None = None
    multi_az: bool = False
    network: str = "IPV4"
    subnet_group: str = ""
    security_groups: tuple[str, ...] = ()
    public: bool = False
    port: int = 5432
    parameter_group: str = ""
    parameter_group_status: str = "in-sync"
    option_group: str = ""
    retention_days: int = 7
    backup_window: str = ""
    maintenance_window: str = ""
    copy_tags: bool = True
    log_exports: tuple[str, ...] = ()
    deletion_protection: bool = True
    auto_minor_upgrade: bool = True
    certificate_authority: str = ""
    iam_authentication: bool = False
    insights_days: int | None = None
    insights_key: str | None = None
    monitoring_seconds: int = 0
    monitoring_role: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    def difference(self, other: DatabaseSettings) -> dict[str, tuple[Any, Any]]:
        """Name each setting that differs: what it is here, and what it is there."""
        mine, theirs = self.model_dump(), other.model_dump()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


class TableView(Frozen):
    """One table: its rows, and how many were written since the moment asked about."""

    rows: int
    written: int = 0


class DataView(Frozen):
    """What is in a database, as ops sees it by SQL. Size in bytes."""

    schema_head: str = ""
    admits: str = ""
    tables: dict[str, TableView] = Field(default_factory=dict)
    size: int = 0
    dated: bool = Field(
        default=True, description="whether rows tell when they were written; else `written` tells nothing"
    )
    newest: datetime | None = Field(default=None, description="the newest commit seen")


class Rows(Frozen):
    """What a statement answered: its rows, each value as text. `total` counts those beyond the room, too."""

    rows: tuple[dict[str, str | None], ...] = ()
    total: int = 0


class TableSalvage(Frozen):
    """How many rows of a table a restore left behind."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


class ConflictCount(Frozen):
    """How many rows of a table are conflicts of one kind."""

    table: str
    why: str
    rows: int


class SalvageView(Frozen):
    """What a salvage found: rows per table, conflicts that a person decides, and the files that hold the SQL.

    Keys of rows are personal data: they are in the files alone.
    """

    tables: dict[str, TableSalvage] = Field(default_factory=dict)
    conflicts_by: tuple[ConflictCount, ...] = ()
    files: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_rmu(cls, noted: Any) -> Any:
        """Read the notes of a ledger that has an empty list beside the counts."""
        return {k: v for k, v in noted.items() if k != "conflicts"} if isinstance(noted, dict) else noted


class SalvageNote(Frozen):
    """What the salvage of a restore found, and whether it was applied."""

    restore: str = Field(description="the run that restored")
    run: str
    at: datetime
    found: SalvageView
    applied: bool = False


class PendingMigration(Frozen):
    """One revision that a database does not have yet."""

    revision: str
    phase: Literal["expand", "contract"]
    oldest_code: str
    title: str = ""


class MigrationsView(Frozen):
    """What a release's image would bring to its database: `head` by expand, `tip` with its contract steps."""

    current: str
    head: str
    tip: str
    pending: tuple[PendingMigration, ...] = ()


class Works(Frozen):
    """Whether a release reads and writes on the schema that is there. `ok` None: its image cannot tell."""

    ok: bool | None
    reads: int = 0
    writes: int = 0
    failed: str = ""
    why: str = ""


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
    schema_admits: str = ""
    revisions: tuple[PendingMigration, ...] = Field(default=(), description="all that its tree has, oldest first")

    @property
    def tip(self) -> str:
        """Name the newest revision of its tree, its contract ones too. Without labels: its head."""
        return self.revisions[-1].revision if self.revisions else self.schema_head

    def pending(self, head: str, *, contract: bool = False) -> tuple[PendingMigration, ...]:
        """List what a schema at `head` lacks: up to the image's own head, with `contract` all that its tree has."""
        return tuple(r for r in self.revisions if r.revision > head and (contract or r.revision <= self.schema_head))


class QueueView(Frozen):
    """The app's queue: jobs due and not taken, taken, put off, given up; and who paused it, if anybody did."""

    waiting: int
    running: int
    later: int = 0
    failed: int = 0
    oldest_s: float = 0.0
    paused: bool
    paused_by: str | None = None
    paused_at: datetime | None = None
    because: str | None = None


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
    schema_notes: Known[tuple[SchemaNote, ...]] | Unknown = Unknown(why="not asked")
    live_notes: Known[tuple[LiveNote, ...]] | Unknown = Unknown(why="not asked")
    database_notes: Known[tuple[DatabaseNote, ...]] | Unknown = Unknown(why="not asked")
    windows: Known[tuple[RestoreWindow, ...]] | Unknown = Unknown(why="not asked")
    settings: Known[DatabaseSettings] | Unknown = Unknown(why="not asked")
    data: Known[DataView] | Unknown = Unknown(why="not asked")
    last_run: Known[RunHeader | None] | Unknown = Unknown(why="not asked")
    last_drill: Known[RunHeader | None] | Unknown = Unknown(why="not asked")
    fenced: Known[tuple[str, ...]] | Unknown = Unknown(why="not asked")
    in_terraform: Known[str] | Unknown = Unknown(why="not asked")
    leftovers: Known[GroupLeftovers] | Unknown = Unknown(why="not asked")
    queue: Known[QueueView] | Unknown = Unknown(why="not asked")
    budgets_gone: Known[tuple[str, ...]] | Unknown = Unknown(why="not asked")
    incident: Known[Incident | None] | Unknown = Unknown(why="not asked")

    def unknown(self) -> dict[str, str]:
        """List the fields that were asked for and could not be read, with why."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in {"environment", "at"}}
        return {n: f.why for n, f in fields.items() if isinstance(f, Unknown) and f.why != "not asked"}


class Deed(Frozen):
    """What somebody did on hosts by hand, beside all plans: kept before it begins, and once more when it has ended."""

    id: str
    verb: Literal["exec", "console"]
    transport: Literal["ssm", "ssh"]
    who: str
    because: str = ""
    hosts: tuple[str, ...]
    argv: tuple[str, ...] = ()
    began: datetime
    ended: datetime | None = None
    outcome: str = ""


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
    """What Terraform would do, as counts and names. What it imports into its state is there already."""

    create: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    destroy: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing would change."""
        return not (self.create or self.change or self.replace or self.destroy or self.imports)


class Carried(Frozen):
    """Who carried a run, as `user@host`, and since when by that machine's clock."""

    who: str
    since: datetime


class MetricQuery(Frozen):
    """One metric to read: `id` names it in the answer, `stat` says how the samples of a period become one point."""

    id: str = Field(pattern=r"^[a-z][A-Za-z0-9_]*$")
    namespace: str
    name: str
    stat: str = "Sum"
    dimensions: dict[str, str] = Field(default_factory=dict)


class Point(Frozen):
    """What a metric was in the period that begins at `at`."""

    at: datetime
    value: float


Topic = Literal["critical", "alerts"]
"""Who is told: `critical` wakes somebody, `alerts` may wait for the morning."""

Severity = Literal["SEV-1", "SEV-2", "SEV-3"]
"""How bad it is: a full outage, a partial outage, degraded."""

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


class AlarmView(Frozen):
    """One alarm of this environment, by its name without `rmu-ENV-`.

    An empty `topic` tells nobody: it is a part of another alarm. `severity` and `runbook` are as its description says.
    """

    name: str
    state: AlarmState
    since: datetime
    says: str = ""
    severity: str = ""
    runbook: str = ""
    topic: Literal["critical", "alerts", ""] = ""


class AlarmChange(Frozen):
    """One alarm that went from one state to another, when, and CloudWatch's reason."""

    name: str
    at: datetime
    before: AlarmState
    after: AlarmState
    why: str = ""


LogGroup = Literal["app", "proxy", "host", "events", "database"]


class LogLine(Frozen):
    """One line as it came to a log group. `at` is when the group got it; the line itself may know better."""

    id: str
    at: datetime
    group: LogGroup
    place: str = Field(description="the group's whole name; of databases there are several")
    stream: str
    text: str


class LogEntry(Frozen):
    """One line, read: who said it, when by its own word, about what. `text` is short, `fields` is all of it."""

    at: datetime
    role: Literal["api", "worker", "proxy", "host", "database", "events"]
    host: str = Field(description="the instance, or the database")
    unit: str = ""
    level: str = ""
    release: str = ""
    request: str = Field(default="", description="the request's id, or the job's")
    text: str
    more: str = Field(default="", description="what does not fit into a line: a traceback, a statement")
    fields: dict[str, Any] = Field(default_factory=dict)
    raw: str


class Incident(Frozen):
    """One incident as it stands. One is open at a time; `number` counts them."""

    id: str
    number: int
    environment: str
    severity: Severity
    title: str
    alarm: str = ""
    runbook: str = ""
    opened: datetime
    opened_by: str
    acked: datetime | None = Field(default=None, description="since when somebody has it; an escalation asks again")
    acked_by: str = ""
    closed: datetime | None = None


IncidentEventKind = Literal["opened", "paged", "page-refused", "acked", "noted", "escalated", "closed"]


class IncidentEvent(Frozen):
    """One numbered line of an incident: who did what. Its facts are JSON values, as a run's are."""

    number: int
    kind: IncidentEventKind
    at: datetime
    who: str
    facts: Facts = Field(default_factory=dict)


class Fence(Frozen):
    """The right to change a host: the lease's generation, then the sequence number of the journal's event."""

    generation: int
    sequence: int


World.model_rebuild()
