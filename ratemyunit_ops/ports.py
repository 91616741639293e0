"""What rmu needs from the outside, named for our needs. Protocols only; adapters live in `outside/`.

Every port may raise `Unreachable` (nothing was changed) or, from a change, `Failed` (something may have).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from ratemyunit_ops.model import (
    AlarmChange,
    AlarmView,
    Carried,
    CertificateView,
    Database,
    DatabaseSettings,
    DatabaseView,
    DataView,
    DrillHost,
    Facts,
    Fence,
    FrontDoor,
    Frozen,
    GroupLeftovers,
    HostHealth,
    HostImage,
    HostView,
    ImageView,
    Instance,
    LeaseView,
    LogGroup,
    LogLine,
    MetricQuery,
    MigrationsView,
    PlanSummary,
    Point,
    Probe,
    QueueView,
    Release,
    ReleaseRef,
    RestorePoint,
    RestoreWindow,
    Rows,
    SalvageView,
    StaleSecret,
    Topic,
    Works,
)


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Tell seconds that never run backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class Entry(Frozen):
    """One item to put into the ledger; `if_absent` makes it a put-if-absent."""

    pk: str
    sk: str
    attributes: dict[str, str | int]
    if_absent: bool = False


class Ledger(Protocol):
    """The table that holds lease, journal, releases and pointer. Every read is consistent.

    Raises:
        LeaseLost: the lease's token is not the one given.
        AlreadyThere: a put-if-absent met an item that is not our own earlier try.
    """

    def get(self, pk: str, sk: str) -> dict[str, str | int] | None:
        """Read one item's attributes."""
        ...

    def query(self, pk: str) -> list[dict[str, str | int]]:
        """Read all items of one key, by sort key; each with its `sk`."""
        ...

    def write(self, entries: Sequence[Entry], *, token: str | None) -> None:
        """Put all entries or none; with a token, only while the lease holds it."""
        ...

    def put_lease(self, new: LeaseView, *, seen: LeaseView | None) -> None:
        """Replace the lease item if it still is what was seen. Raises LeaseLost."""
        ...


class Fleet(Protocol):
    """The hosts, speaking of releases. A colour never leaves an adapter."""

    def at(self, fence: Fence) -> Fleet:
        """Bind the right to act: the same port, whose changes carry this fence."""
        ...

    def instances(self) -> tuple[Instance, ...]:
        """List the members of the group, whatever their state."""
        ...

    def addresses(self) -> dict[str, str]:
        """Tell each member's private address. Only people read them: nothing that moves traffic asks."""
        ...

    def survey(self) -> tuple[HostView, ...]:
        """Ask every InService host what it holds, in one round trip."""
        ...

    def prepare(self, release: Release, database: Database) -> Facts:
        """Pull the image and write the slot's record and unit."""
        ...

    def start(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        """Park the worker, start the release and wait until it is ready; the answer keeps what was seen."""
        ...

    def ready(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        """Wait until release and digest answer ready three times in a row. Raises Failed with every probe's reason."""
        ...

    def serve(self, ref: ReleaseRef | None, *, backup: ReleaseRef | None, probe: bool, let_go: bool = False) -> Facts:
        """Send traffic to a release (None: to nothing) and prove it on each host; `let_go` then ends a hold."""
        ...

    def start_worker(self, ref: ReleaseRef | None) -> Facts:
        """Run the worker of a release; None parks it."""
        ...

    def probe(self, *, wait: timedelta) -> Probe:
        """Read what the drop probe saw."""
        ...

    def retire(self, ref: ReleaseRef, *, warm_floor: int) -> Facts:
        """Take a release out of the backup role; stop it when memory (bytes) is short."""
        ...

    def stop(self, ref: ReleaseRef, *, resume_worker: ReleaseRef | None) -> Facts:
        """Stop a release that does not serve and run that worker again."""
        ...

    def hold(self, *, at_most: timedelta) -> Facts:
        """Let requests wait at the proxy of every host; a hold ends by itself after that long."""
        ...

    def let_go(self) -> Facts:
        """Let waiting requests go on to what serves."""
        ...

    def holding(self) -> bool:
        """Tell whether every host holds requests. Who held them in this process may answer from memory."""
        ...

    def unneeded(self) -> Mapping[str, int]:
        """Tell how many bytes of images that nothing needs lie on each host."""
        ...

    def prune(self) -> Facts:
        """Remove the images that no slot, no worker and no container of their host holds."""
        ...

    def stale(self) -> tuple[StaleSecret, ...]:
        """Name the secrets that something was started with and that are no longer today's. No value leaves a host."""
        ...


class Group(Protocol):
    """The hosts' places in their group: who is in service, and taking one out."""

    def states(self) -> Mapping[str, str]:
        """Tell each member's lifecycle state."""
        ...

    def health(self) -> Mapping[str, HostHealth]:
        """Tell how each member is, by everybody who watches it from outside: its group, EC2, the balancer, SSM."""
        ...

    def leftovers(self) -> GroupLeftovers:
        """Tell what of a host taken out of service was not put back."""
        ...

    def booted(self, host: str) -> float | None:
        """Tell when a host's kernel started (unix seconds); None while it does not answer."""
        ...

    def stand_by(self, host: str) -> None:
        """Take a host out of service without replacing it."""
        ...

    def rejoin(self, host: str) -> None:
        """Put a host back into service."""
        ...

    def reboot(self, host: str) -> None:
        """Reboot a host."""
        ...

    def replace(self, host: str) -> None:
        """End a host; the group makes a new one, which boots the live release by itself."""
        ...


class Guest(Frozen):
    """A release that runs once on a database that its slot is not set up with."""

    release: Release
    database: Database


class OneOff(Protocol):
    """A single command in a release's image."""

    def at(self, fence: Fence) -> OneOff:
        """Bind the right to act."""
        ...

    def schema_head(self, ref: ReleaseRef, *, database: Database | None = None) -> str:
        """Read a database's schema head through the release's image, its own where none is named.

        Empty where there is no schema.
        """
        ...

    def has_roles(self, database: Database) -> bool:
        """Tell whether the database's roles are there and take today's passwords."""
        ...

    def make_roles(self, database: Database) -> Facts:
        """Make the database roles of ops, migrations and application, with today's passwords; safe to repeat."""
        ...

    def migrate(
        self,
        ref: ReleaseRef,
        *,
        old: ReleaseRef | None = None,
        phase: Literal["expand", "contract"] = "expand",
        guest: Guest | None = None,
    ) -> Facts:
        """Run the release's migrations of a phase.

        Answers head_before, head, admits, ran, took (seconds per revision) and old_works: whether `old` works on it.
        A guest runs elsewhere: on a database of its own, without a slot; new_works then tells of it too.
        """
        ...

    def pending(self, ref: ReleaseRef) -> MigrationsView:
        """Tell what the release's image would bring to its database."""
        ...

    def works(self, ref: ReleaseRef) -> Works:
        """Let a release do every read and write it knows on its database, and take them back.

        Who migrated in this process a moment ago may answer from memory.
        """
        ...


class CommandResult(Frozen):
    """One command on one host."""

    host: str
    exit_code: int
    stdout: str
    stderr: str
    cut: bool = False
    """Whether there was more output than the transport keeps."""


class Shell(Protocol):
    """Commands on hosts: argv, never a shell string."""

    def run(self, argv: Sequence[str], *, hosts: Sequence[str], deadline: timedelta) -> tuple[CommandResult, ...]:
        """Run argv on each host and wait for its end."""
        ...


class Queue(Protocol):
    """The app's queue of jobs, as the release that serves knows it. Raises Refused where that one has none."""

    def at(self, fence: Fence) -> Queue:
        """Bind the right to act."""
        ...

    def status(self) -> QueueView:
        """Tell how it stands."""
        ...

    def pause(self, *, by: str, because: str) -> Facts:
        """Let no worker take a job until it is resumed; jobs in hand are finished. Whoever paused first stays named."""
        ...

    def resume(self, *, by: str) -> Facts:
        """Let workers take jobs again."""
        ...


class Traffic(Protocol):
    """The front door, as a client meets it."""

    def look(self) -> FrontDoor:
        """Ask who serves; every field None where nothing does. Raises Unreachable."""
        ...

    def smoke(self) -> Facts:
        """Run the contract's smoke list. Raises Failed with the first answer that is wrong."""
        ...


class Databases(Protocol):
    """Database instances, as the control plane knows them. A name is for life; history hangs on the resource id."""

    def view(self, identifier: str) -> DatabaseView:
        """Describe one instance. Raises Unreachable, and Absent where there is none."""
        ...

    def all(self) -> tuple[DatabaseView, ...]:
        """Describe every instance of this environment."""
        ...

    def window(self, resource_id: str) -> RestoreWindow:
        """Tell the times an instance, or its retained backups, can be restored to. Raises Absent."""
        ...

    def windows(self) -> tuple[RestoreWindow, ...]:
        """Tell every window of this environment, of instances and of retained backups."""
        ...

    def backups(self, resource_id: str) -> tuple[datetime, ...]:
        """Tell when each automated backup was taken, oldest first: a restore begins from the newest before its time."""
        ...

    def settings(self, identifier: str) -> DatabaseSettings:
        """Read every attribute that a restore must carry over."""
        ...

    def restore(self, point: RestorePoint, *, identifier: str, like: DatabaseSettings, run: str) -> Facts:
        """Ask for a new instance from a restore point, once; one that this run has asked for already is enough.

        Raises Failed, which names what stands in the way: a quota, the window, somebody else's instance of that name.
        """
        ...

    def settle(self, identifier: str, like: DatabaseSettings) -> Facts:
        """Ask for the attributes that a restore does not take; nothing where none differs."""
        ...

    def made_by(self, identifier: str) -> str | None:
        """Tell which run made an instance; None where there is no instance, or no run made it."""
        ...

    def admit(self, identifier: str, security_groups: tuple[str, ...]) -> Facts:
        """Put an instance into these security groups and no others; it need not be well for that."""
        ...

    def close(self, identifier: str) -> Facts:
        """Let nobody reach an instance any more, from outside of it; it need not be well for that.

        Raises Failed where the control plane changes nothing of it in the state it is in.
        """
        ...

    def closed(self, identifier: str) -> bool:
        """Tell whether nobody can reach an instance. Raises Absent."""
        ...

    def renew_master(self, identifier: str) -> Facts:
        """Give the master today's password. A restore brings the old one back."""
        ...

    def drop(self, identifier: str, *, run: str) -> Facts:
        """Delete an instance that this very run made, with its backups; one that is gone is enough."""
        ...

    def retire(self, identifier: str) -> Facts:
        """Cut an instance off, take a final snapshot and delete it; its automated backups are retained."""
        ...


class Data(Protocol):
    """What is in databases, by SQL as ops, run on a host."""

    def at(self, fence: Fence) -> Data:
        """Bind the right to act."""
        ...

    def look(self, database: Database, *, since: datetime | None) -> DataView:
        """Look into a database; `written` counts the rows that were committed after `since`."""
        ...

    def warm(self, database: Database, *, run: str) -> Facts:
        """Read every table and index of a restored database once, and note the keys of its rows for the salvage."""
        ...

    def warmed(self, database: Database, *, run: str) -> bool:
        """Tell whether this run has warmed a database and noted its keys."""
        ...

    def fence(self, database: Database) -> Facts:
        """Shut application and migrations out and end their sessions, proven by a write that fails."""
        ...

    def unfence(self, database: Database) -> Facts:
        """Let application and migrations in again."""
        ...

    def fenced(self, database: Database) -> bool:
        """Tell whether application and migrations are shut out."""
        ...

    def move_sequences(self, old: Database, new: Database) -> Facts:
        """Move every sequence of the new database past the old one's, so that no key is given twice."""
        ...

    def sequences_moved(self, old: Database, new: Database) -> bool:
        """Tell whether every sequence of the new database is past the old one's."""
        ...

    def salvage(self, old: Database, new: Database, *, since: datetime, base: str, run: str) -> SalvageView:
        """Find the rows that the old database has and the new one lacks, and put them into the bucket as SQL.

        `base` is the restore whose noted keys are the past that both share; `run` names the folder of the files.
        """
        ...

    def files(self, run: str) -> Mapping[str, bytes]:
        """Fetch the files of a restore's salvage; empty where none was made."""
        ...

    def apply(self, new: Database, *, run: str) -> Facts:
        """Run the SQL of a restore's salvage: each row is put once, so it is safe to repeat."""
        ...

    def rows(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Rows:
        """Ask one statement in a read-only transaction. `variables` are psql's, `:'NAME'` in the text.

        Raises Refused for a statement that does more than look, Failed with the SQLSTATE where it fails.
        """
        ...

    def act(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Facts:
        """Run one statement that changes something, whole or not at all; answer its `rows`."""
        ...

    def checksum(self, database: Database, *, until: datetime | None = None) -> dict[str, dict[str, int | str]]:
        """Count every table's rows and sum them up, whatever their order: `rows`, `checksum`.

        With a moment, `old_rows` and `old_checksum` are of those not written since, where the server keeps the times.
        """
        ...


class Corner(Protocol):
    """The corner of the network that neither reaches what serves nor is reached by it, and a drill's host in it."""

    def at(self, fence: Fence) -> Corner:
        """Bind the right to act."""
        ...

    def hosts(self) -> tuple[DrillHost, ...]:
        """List the hosts that runs have made here and not ended, oldest first."""
        ...

    def launch(self, run: str, *, image: str | None) -> Facts:
        """Make a run's host, once: from the hosts' template, or from an image of a host."""
        ...

    def end(self, run: str) -> Facts:
        """End what a run made here; what is gone is enough."""
        ...

    def newest_image(self) -> HostImage | None:
        """Find the newest image of a host that can be booted."""
        ...

    def fleet(self, run: str) -> Fleet:
        """Speak of releases to the run's host alone."""
        ...

    def oneoff(self, run: str) -> OneOff:
        """Run single commands on the run's host."""
        ...

    def data(self, run: str) -> Data:
        """Look into databases from the run's host."""
        ...

    def traffic(self, run: str) -> Traffic:
        """Ask the run's host who serves there, from the host itself."""
        ...

    def reminds_from(self) -> datetime | None:
        """Tell from when on somebody is reminded of a drill; None where nothing reminds."""
        ...

    def remind_from(self, moment: datetime) -> Facts:
        """Let nobody be reminded of a drill before that moment."""
        ...


class Registry(Protocol):
    """The image registry."""

    def image(self, version: str) -> ImageView | None:
        """Find the image of a version; None when there is none."""
        ...

    def images(self) -> tuple[ImageView, ...]:
        """List every image, newest first."""
        ...

    def keep(self, digest: str, tag: str) -> None:
        """Protect an image from expiry by a tag of its own; safe to repeat."""
        ...


class Secrets(Protocol):
    """Secrets by name."""

    def ensure(self, names: Sequence[str]) -> tuple[str, ...]:
        """Make those that are missing, random; answer the names that were made."""
        ...

    def missing(self, names: Sequence[str]) -> tuple[str, ...]:
        """List those of the names that do not exist yet."""
        ...

    def names(self) -> tuple[str, ...]:
        """List the names of the app's secrets."""
        ...

    def renewed(self, name: str, *, run: str) -> bool:
        """Tell whether a secret's value is the one that this run has made."""
        ...

    def renew(self, name: str, *, run: str) -> Facts:
        """Give a secret a new random value, once for a run."""
        ...


class Certificates(Protocol):
    """The account's certificates."""

    def all(self) -> tuple[CertificateView, ...]:
        """Describe every certificate, the first to end first."""
        ...


class Places(Protocol):
    """What Terraform made, by the names it wrote."""

    def all(self) -> Mapping[str, str]:
        """Read every place. Raises Unreachable; empty before the first apply."""
        ...


class Metrics(Protocol):
    """What is measured, and the alarms that watch it."""

    def data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: timedelta
    ) -> Mapping[str, tuple[Point, ...]]:
        """Read points by query id, oldest first, from `start` until before `end`; a period without samples has none.

        Old data is kept coarsely: a period finer than what is kept from `start` on is made as coarse as that.
        """
        ...

    def alarms(self) -> tuple[AlarmView, ...]:
        """List this environment's alarms by name."""
        ...

    def changes(self, since: datetime) -> tuple[AlarmChange, ...]:
        """List what alarms have changed since, oldest first. The history is kept for 30 days."""
        ...


class Pager(Protocol):
    """How people are told. What was handed over is not yet read, nor even delivered.

    Raises Refused where it is refused, Unreachable, and Failed where it may have been sent.
    """

    def send(self, topic: Topic, subject: str, text: str) -> None:
        """Hand a message to all who listen to a topic."""
        ...

    def chat(self, subject: str, text: str) -> None:
        """Hand a line to the rule that brings it to chat, where there is one."""
        ...

    def schedule(self, name: str, at: datetime, topic: Topic, text: str, *, every: timedelta, until: datetime) -> None:
        """Send a message later, again and again until called off; the same name again is the same schedule."""
        ...

    def cancel(self, name: str) -> None:
        """Call a schedule off; one that is gone is enough."""
        ...

    def listening(self, topic: Topic) -> int:
        """Count who gets a topic's messages: subscriptions that were confirmed."""
        ...

    def pending(self) -> tuple[str, ...]:
        """List the subscriptions that nobody has confirmed, as `topic address`."""
        ...


class Logs(Protocol):
    """The environment's log groups. Lines of hosts and databases that are gone are still there."""

    def lines(
        self, groups: Sequence[LogGroup], *, start: datetime, end: datetime, pattern: str = "", host: str = ""
    ) -> Iterator[LogLine]:
        """Read lines, oldest first; `pattern` is CloudWatch's filter syntax, `host` begins a stream's name.

        Raises Absent where none of the groups is there, Refused where one may not be read.
        """
        ...


class Identity(Protocol):
    """Who we are to the cloud."""

    def who(self) -> str:
        """Name the caller. Raises Mistyped when there are no valid credentials."""
        ...

    def account(self) -> str:
        """Name the account we reach."""
        ...

    def plan(self) -> Literal["free", "paid"]:
        """Tell whether the account is one of AWS's free plan, which caps what it may hold."""
        ...

    def expires(self) -> datetime | None:
        """Tell when our credentials end; None where they do not, or where nobody can tell."""
        ...


class Said(Frozen):
    """What a person said to a question, who, and how: typed, vouched for by --yes, or nobody could be asked."""

    yes: bool
    who: str
    how: Literal["typed", "--yes", "not asked"]


class People(Protocol):
    """The person at the keyboard."""

    def ask(self, question: str) -> Said:
        """Ask a question that has to be answered with yes or no."""
        ...


class LockHolder(Frozen):
    """Who holds Terraform's state lock; `by_hand` is the command that takes it from them, whoever they are."""

    id: str
    who: str
    created: datetime
    by_hand: str


class Infra(Protocol):
    """Terraform. Roots are named: `bootstrap`, `stack`."""

    def plan(self, root: str, variables: Mapping[str, str]) -> PlanSummary:
        """Plan without changing anything."""
        ...

    def apply(
        self, root: str, variables: Mapping[str, str], on_event: Callable[[str, str, float], None]
    ) -> PlanSummary:
        """Apply; each event is (resource, action, seconds)."""
        ...

    def destroy(self, root: str, variables: Mapping[str, str], on_event: Callable[[str, str, float], None]) -> None:
        """Destroy everything of the root."""
        ...

    def output(self, root: str) -> Mapping[str, str]:
        """Read the root's outputs."""
        ...

    def held(self, root: str, address: str) -> str:
        """Name what the state holds at a resource's address; empty where it holds nothing there."""
        ...

    def adoption(self, root: str, address: str, name: str, variables: Mapping[str, str]) -> PlanSummary:
        """Plan to hold another thing at an address, on a copy of the state. Changes nothing."""
        ...

    def adopt(
        self,
        root: str,
        address: str,
        name: str,
        variables: Mapping[str, str],
        on_event: Callable[[str, str, float], None],
    ) -> PlanSummary:
        """Let go of what the state holds at an address, import another thing there and apply; safe to repeat.

        Raises Failed, before anything is applied, when Terraform would replace or destroy something.
        """
        ...

    def lock_holder(self, root: str) -> LockHolder | None:
        """Tell who holds the state lock."""
        ...

    def unlock(self, root: str, lock_id: str) -> None:
        """Release a state lock by its id."""
        ...


class BuiltImage(Frozen):
    """An image on this machine."""

    digest: str
    size: int
    schema_head: str
    schema_oldest: str
    schema_admits: str = ""
    key: str
    built: bool


class Builder(Protocol):
    """Image building on this machine."""

    def build(self, app: Path, *, on_line: Callable[[str], None]) -> BuiltImage:
        """Build the tree, or find the image that its key already has."""
        ...

    def push(self, image: BuiltImage, *, version: str, on_line: Callable[[str], None]) -> str:
        """Push under the version's tag; answer the digest the registry knows it by."""
        ...


class Statement(Frozen):
    """One SQL statement of a migration: its text, its line, and PostgreSQL's own parse of it.

    `framing` marks the begin and commit that the migration tool puts around a revision by itself.
    """

    sql: str
    line: int
    tree: dict[str, Any]
    framing: bool = False


class MigrationText(Frozen):
    """A migration as written and the SQL it would run, in order. `complaint` says why it could not be read whole."""

    path: Path
    text: str
    statements: tuple[Statement, ...] = ()
    complaint: str = ""
    complaint_line: int = 1


class Complaint(Frozen):
    """What an SQL linter says about one statement (its number) of one migration."""

    path: Path
    statement: int
    line: int
    rule: str
    message: str


class Migrations(Protocol):
    """Migrations on this machine, turned into SQL without a database."""

    def read(self, paths: Sequence[Path]) -> tuple[MigrationText, ...]:
        """Read Alembic revisions and .sql files, in the order given. Raises Refused where a tool is missing."""
        ...


class SqlRules(Protocol):
    """A linter of SQL that knows PostgreSQL's locks."""

    def complaints(self, migrations: Sequence[MigrationText], rules: Sequence[str]) -> tuple[Complaint, ...]:
        """Hold every migration against the named rules. Raises Refused where the linter is missing."""
        ...


class Phone(Frozen):
    """The network and the phone that a page is loaded with."""

    latency: timedelta
    down_kbit: int
    up_kbit: int
    slower: float
    """How many times slower its processor is than this machine's."""


class Transfer(Frozen):
    """One request of a page: what it asked for, from when until when (milliseconds of the load), and what came."""

    url: str
    began_ms: float
    ended_ms: float | None
    """None: it was still under way when the browser was closed."""
    bytes: int


class PageLoad(Frozen):
    """What a browser saw of one load. Times are milliseconds since it set out for the page; None: never."""

    url: str
    transfers: tuple[Transfer, ...]
    first_paint_ms: float | None
    largest_paint_ms: float | None
    parsed_ms: float | None
    long_tasks: tuple[tuple[float, float], ...]
    """From when until when the page could answer nobody, for more than 50 ms at a time."""
    watched_ms: float


class Browser(Protocol):
    """A real browser that opens a page as a visitor who was never here."""

    def load(self, url: str, phone: Phone, *, patience: timedelta) -> PageLoad:
        """Load a page and watch it until it is quiet, or for as long as patience lasts.

        Raises:
            Refused: there is no browser, or it does not work.
            Unreachable: the page cannot be opened, or answers with an error.
        """
        ...


@dataclass(frozen=True)
class Outside:
    """Every port, passed in. Steps get one whose changes carry the current fence."""

    clock: Clock
    ledger: Ledger
    fleet: Fleet
    group: Group
    oneoff: OneOff
    shell: Shell
    queue: Queue
    traffic: Traffic
    databases: Databases
    data: Data
    corner: Corner
    registry: Registry
    secrets: Secrets
    certificates: Certificates
    places: Places
    metrics: Metrics
    logs: Logs
    pager: Pager
    identity: Identity
    people: People
    infra: Infra
    carriers: tuple[Carried, ...] = ()
    """Who carried the run that acts, each since when; the engine fills it in."""

    def at(self, fence: Fence) -> Outside:
        """Bind the fence into every port that changes hosts."""
        return replace(
            self,
            fleet=self.fleet.at(fence),
            oneoff=self.oneoff.at(fence),
            data=self.data.at(fence),
            queue=self.queue.at(fence),
            corner=self.corner.at(fence),
        )

    def in_corner(self, run: str) -> Outside:
        """Put a drill's host in the place of the hosts that serve: the same steps then happen there."""
        c = self.corner
        return replace(self, fleet=c.fleet(run), oneoff=c.oneoff(run), data=c.data(run), traffic=c.traffic(run))
