"""One behaving world: hosts, ledger, registry, front door; every rmu process gets its own wires to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.model import (
    BROKEN,
    CertificateView,
    Database,
    DatabaseSettings,
    DatabaseView,
    Facts,
    FrontDoor,
    HostImage,
    ImageView,
    Instance,
    Pointer,
    Probe,
    QueueView,
    Release,
    RestorePoint,
    RunHeader,
    SchemaNote,
)
from ratemyunit_ops.ports import Entry, LockHolder, Outside
from ratemyunit_ops.records import header_entry, pointer_entry, release_entry, schema_entry
from tests.fakes.clients import Clients
from tests.fakes.clock import BEGIN, FakeClock
from tests.fakes.corner import FakeCorner
from tests.fakes.data import FakeData
from tests.fakes.databases import CLOSED, SETTINGS, FakeDatabases, Retained, Store
from tests.fakes.fleet import FakeFleet, FakeGroup, FakeOneOff, FakeShell
from tests.fakes.hosts import Host, Slot
from tests.fakes.ledger import FakeLedger, Table
from tests.fakes.line import Faults, Killed, Line
from tests.fakes.logs import FakeLogs, Logbook
from tests.fakes.metrics import FakeMetrics, Meters
from tests.fakes.pager import FakePager, Post
from tests.fakes.places import (
    FakeCertificates,
    FakeIdentity,
    FakeInfra,
    FakePeople,
    FakePlaces,
    FakeRegistry,
    FakeSecrets,
    FakeTraffic,
)
from tests.fakes.queue import FakeQueue

DATABASE = Database(identifier="rmu-test-db-1", address="db-1.example")


@dataclass
class FakeWorld:
    """Everything outside rmu. Break it by its fields, and by `fail` and `kill`."""

    clock: FakeClock = field(default_factory=FakeClock)
    table: Table = field(default_factory=Table)
    faults: Faults = field(default_factory=Faults)
    hosts: list[Host] = field(default_factory=lambda: [Host("i-1", "10.0.0.1"), Host("i-2", "10.0.0.2")])
    images: dict[str, ImageView] = field(default_factory=dict)
    image_size: int = 300 * 2**20
    kept: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    certificates: list[CertificateView] = field(default_factory=list)
    renewed: dict[str, str] = field(default_factory=dict)
    """Secret -> the run that made its value."""
    places: dict[str, str] = field(default_factory=lambda: {"database": DATABASE.identifier})
    databases: dict[str, DatabaseView] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    """Instance -> what it holds."""
    database_settings: dict[str, DatabaseSettings] = field(default_factory=dict)
    database_quota: int = 40
    restore_drops: dict[str, Any] = field(default_factory=dict)
    """Settings that come out of a restore with another value than was asked for."""
    never_settles: set[str] = field(default_factory=set)
    restore_ends_as: str = "available"
    dead: set[str] = field(default_factory=set)
    """Instances whose PostgreSQL never answers, whatever RDS says of them."""
    changes_nothing_while: set[str] = field(default_factory=set)
    """States in which RDS changes nothing of an instance."""
    sequences_stuck: bool = False
    cannot_be_put: set[tuple[str, int]] = field(default_factory=set)
    """Rows that a salvage cannot give back."""
    counted: dict[str, int] = field(default_factory=dict)
    """Rows of tables that are too big to be made here."""
    undated: set[str] = field(default_factory=set)
    """Instances that do not keep when their rows were written."""
    backups: tuple[datetime, ...] = (BEGIN - timedelta(days=2), BEGIN - timedelta(days=1))
    retained: dict[str, Retained] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    bucket: dict[str, dict[str, bytes]] = field(default_factory=dict)
    clients: Clients = field(default_factory=Clients)
    broken: list[str] = field(default_factory=list)
    """What must never be: two databases that both take writes."""
    roles: set[str] = field(default_factory=set)
    wanted: dict[str, set[str]] = field(default_factory=dict)
    built: dict[str, set[str]] = field(default_factory=dict)
    state_locks: dict[str, LockHolder] = field(default_factory=dict)
    state_holds: str = DATABASE.identifier
    """The database in Terraform's state; empty where it holds none."""
    drifted: set[str] = field(default_factory=set)
    adopting_replaces: set[str] = field(default_factory=set)
    prints: dict[tuple[str, ...], str | Callable[[], str]] = field(default_factory=dict)
    """What a command on a host prints, or tells just then; it changes nothing."""
    does: dict[tuple[str, ...], Callable[[], str]] = field(default_factory=dict)
    """What a command on a host does to the world, and prints."""
    sql: Callable[[str, Mapping[str, str]], list[dict[str, str | None]]] = field(default=lambda sql, variables: [])
    """What a database answers to a statement; one that changes something does so here."""
    never_ready: set[str] = field(default_factory=set)
    unhealthy: set[str] = field(default_factory=set)
    runs_digest: dict[str, str] = field(default_factory=dict)
    smoke_fails: set[str] = field(default_factory=set)
    keep_fails: set[str] = field(default_factory=set)
    migration_fails: set[str] = field(default_factory=set)
    migration_stops_after: str = ""
    """Revision after which a migration fails: those before it are committed."""
    migration_takes: float = 0.4
    cannot_tell: set[str] = field(default_factory=set)
    """Versions whose image has no role `check`."""
    fails_on: set[tuple[str, str]] = field(default_factory=set)
    """(version, schema head) on which that release cannot read or write, whatever its labels say."""
    people_say: bool | None = True
    people_do: Callable[[], None] = lambda: None
    """What they do, once asked whether it is done, before they answer."""
    answers_late: bool = False
    """Whether some request has no answer yet when a hold has waited for it."""
    probing: bool = False
    minimum_before: int | None = None
    """What the group's minimum was before a host was taken out of service."""
    suspended: set[str] = field(default_factory=set)
    """Processes of the group that somebody suspended."""
    probe_sees_nothing: bool = False
    front_door_takes: float = 0.0
    front_door_down: bool = False
    front_door_skips: set[str] = field(default_factory=set)
    """Hosts in service that the balancer sends nothing to."""
    requests: int = 0
    lost: list[str] = field(default_factory=list)
    asked: int = 0
    born: int = 0
    booting: set[str] = field(default_factory=set)
    """Members of the group that are not in service yet."""
    drill_hosts: dict[str, tuple[Host, float]] = field(default_factory=dict)
    """Run -> its host in the corner, and when it was born."""
    drill_host_boots_in: float = 60.0
    host_image: HostImage | None = None
    remind_from: datetime | None = BEGIN
    queue: QueueView | None = field(default_factory=lambda: QueueView(waiting=3, running=1, paused=False))
    logbook: Logbook = field(init=False)
    meters: Meters = field(init=False)
    post: Post = field(init=False)
    """What is measured, and the alarms."""

    def __post_init__(self) -> None:
        self.logbook = Logbook(self.clock)
        self.meters = Meters(self.clock)
        self.post = Post(self.clock)
        self.databases[DATABASE.identifier] = DatabaseView(
            identifier=DATABASE.identifier,
            resource_id="db-RESOURCE1",
            address=DATABASE.address,
            port=DATABASE.port,
            status="available",
            latest_restorable=BEGIN,
        )
        self.stores[DATABASE.identifier] = Store()
        self.database_settings[DATABASE.identifier] = SETTINGS
        self.faults.watch = self._watch_masters

    # -- rmu processes -------------------------------------------------------------------------------------------

    def outside(self, who: str = "ann@laptop") -> Outside:
        """Start a process: a set of ports that die together."""
        line = Line(self.faults, on_death=lambda line: self.clock.forget(line))
        return Outside(
            clock=ProcessClock(self.clock, line),
            ledger=FakeLedger(self.table, line, self.faults),
            fleet=FakeFleet(self, line),
            group=FakeGroup(self, line),
            oneoff=FakeOneOff(self, line),
            shell=FakeShell(self, line),
            queue=FakeQueue(self, line),
            traffic=FakeTraffic(self, line),
            databases=FakeDatabases(self, line),
            data=FakeData(self, line),
            corner=FakeCorner(self, line),
            registry=FakeRegistry(self, line),
            secrets=FakeSecrets(self, line),
            certificates=FakeCertificates(self, line),
            places=FakePlaces(self, line),
            metrics=FakeMetrics(self.meters, line),
            logs=FakeLogs(self.logbook, line),
            pager=FakePager(self.post, line),
            identity=FakeIdentity(who),
            people=FakePeople(self, line, who),
            infra=FakeInfra(self, line, who),
        )

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def fail(self, call: str, why: BaseException, *, acted: bool = False, nth: int = 1) -> None:
        """Let the nth call fail: before it acted, or after (acted, then cut off)."""
        self.faults.add(call, "after" if acted else "before", why, nth=nth)

    def kill_before_event(self, number: int) -> None:
        """Kill the process just before it writes this event."""
        self.faults.add(f"event#{number:05d}", "before", Killed())

    def kill_after_event(self, number: int) -> None:
        """Kill the process just after it wrote this event."""
        self.faults.add(f"event#{number:05d}", "after", Killed())

    def cut_off_after_event(self, number: int, why: BaseException | None = None) -> None:
        """Let the change that follows this event reach its first host only; then kill the process, or raise."""
        self.table.cut_after[f"event#{number:05d}"] = why or Killed()

    def kill_in_the_middle_of(self, call: str) -> None:
        """Kill the process between two hosts of a call, or in the middle of its work."""
        self.faults.add(call, "between", Killed())

    def on_call(self, call: str, do: Callable[[], object], *, nth: int = 1) -> None:
        """Let something happen in the world right after the nth call from now."""
        self.faults.heard.append((call, self.faults.calls.count(call) + nth, do))

    def on_event(self, key: str, do: Callable[[], object]) -> None:
        """Let something happen in the world right after an event was written."""
        self.table.heard[key] = do

    # -- what is there -------------------------------------------------------------------------------------------

    def push(self, version: str, *, head: str = "0001", oldest: str = "0001", **more: Any) -> ImageView:
        """Put an image into the registry."""
        image = ImageView(
            digest=f"sha256:{version.encode().hex():0<64}",
            tags=(version,),
            size=self.image_size,
            schema_head=head,
            schema_oldest=oldest,
            **{"scan": "clean", **more},
        )
        self.images[version] = image
        return image

    def release(self, version: str, *, run: str = "r-of-test", verdict: Any = "unknown", age: int = 1) -> Release:
        """Make the record of a pushed version, so many days old."""
        image = self.images[version]
        return Release(
            version=version,
            digest=image.digest,
            image="registry.example/app",
            schema_head=image.schema_head,
            schema_oldest=image.schema_oldest,
            schema_admits=image.schema_admits,
            verdict=verdict,
            created=BEGIN - timedelta(days=age),
            run=run,
        )

    def live(self, version: str) -> Release:
        """Let a pushed version be live as a good deploy leaves it: serving everywhere, with its worker and records."""
        release = self.release(version, run=f"r-000-{version}", verdict="good")
        release = release.model_copy(update={"restore_point": RestorePoint(resource_id="db-RESOURCE1", at=BEGIN)})
        self.schema_head = max(self.schema_head, release.schema_head)
        for host in self.hosts:
            host.slots["blue"] = Slot(release, DATABASE, running=True, was_started=True)
            host.live, host.backed = "blue", False
            host.worker, host.worker_database, host.worker_running = release.ref, DATABASE.identifier, True
            host.images.add(release.digest)
        header = RunHeader(
            run=release.run, verb="deploy", who="ann@laptop", started=BEGIN - timedelta(days=1), outcome="done"
        )
        pointer = pointer_entry(Pointer(release=version, database=DATABASE))
        self.put(release_entry(release), pointer, header_entry(header), self._planned(release.run))
        return release

    def _planned(self, run: str) -> Entry:
        """Make event 0 of a run of the past, with what others read of it."""
        plan = {"run": run, "verb": "deploy", "holds": {"hosts": sorted(h.id for h in self.hosts)}}
        body = {"kind": "planned", "at": BEGIN.isoformat(), "step": None, "facts": {"plan": plan}}
        return Entry(pk=f"run#{run}", sk="event#00000", attributes={"body": json.dumps(body)})

    def shut_out_older_code_than(self, admits: str, *, run: str) -> None:
        """Let a run's migration have left a schema that older code cannot run on."""
        store, at = self.stores[self.live_database()], self.clock.now()
        store.commit(at, "schema", store.head, admits)
        note = SchemaNote(at=at, database=self.live_database(), head=store.head, admits=admits, run=run)
        self.put(schema_entry(note))

    def put_release(self, release: Release) -> None:
        self.put(release_entry(release))

    def record_of(self, version: str, *, verdict: Any, age: int) -> None:
        """Let a pushed version have been deployed so many days ago; no host holds it any more."""
        self.put_release(self.release(version, run=f"r-{version}", verdict=verdict, age=age))

    def put(self, *entries: Any) -> None:
        """Put items into the ledger, as history."""
        for e in entries:
            self.table.items[(e.pk, e.sk)] = dict(e.attributes)

    def beside(self, version: str, *, running: bool) -> Release:
        """Let a pushed version lie in the other slot of every host, with a good record older than the live one's."""
        release = self.release(version, run=f"r-{version}", verdict="good", age=2)
        for host in self.hosts:
            host.slots["green"] = Slot(release, DATABASE, running=running, was_started=True)
            host.images.add(release.digest)
        self.put(release_entry(release))
        return release

    # -- what is seen --------------------------------------------------------------------------------------------

    def instances(self) -> tuple[Instance, ...]:
        pending = (Instance(id=name, state="Pending:Wait") for name in sorted(self.booting))
        return (*(Instance(id=h.id, state=h.state) for h in self.hosts), *pending)

    def in_service(self) -> list[Host]:
        return [h for h in self.hosts if h.state == "InService"]

    def host(self, name: str) -> Host:
        found = next((h for h in self.hosts if h.id == name), None)
        if found is None:
            raise Unreachable(f"there is no host {name}", next="rmu host list")
        return found

    def reboot(self, name: str) -> None:
        """Let a host go down for 20 s; it comes back as its own map and slots say."""
        host = self.host(name)
        host.booted = None
        self.send_requests()
        self.clock.later(20, lambda: setattr(host, "booted", self.clock.now().timestamp()))

    def replace_host(self, name: str) -> None:
        """End a host; another one is born in its place."""
        self.hosts.remove(self.host(name))
        self.bear_host()

    def bear_host(self, *, reads_after: float = 5, boots_in: float = 60) -> None:
        """Let the group make a host: it reads the pointer seconds later, and serves what it named within a minute."""
        self.born += 1
        name = f"i-{2 + self.born}"
        self.booting.add(name)

        def boot() -> None:
            newborn = self._boot(name)
            self.clock.later(boots_in - reads_after, lambda: serve(newborn))

        def serve(newborn: Host) -> None:
            self.booting.remove(name)
            self.hosts.append(newborn)

        self.clock.later(reads_after, boot)

    def _boot(self, name: str) -> Host:
        host, live = Host(name, f"10.0.1.{self.born}", booted=self.clock.now().timestamp()), self.pointer()
        if live.release is not None and live.database is not None:
            release = self.record(live.release)
            host.slots["blue"] = Slot(release, live.database, running=True, was_started=True)
            host.live, host.worker, host.worker_running = "blue", release.ref, True
            host.worker_database = live.database.identifier
            host.images.add(release.digest)
        return host

    def image_of(self, digest: str) -> ImageView | None:
        return next((i for i in self.images.values() if i.digest == digest and i.active), None)

    def why_not_ready(self, slot: Slot, schema_head: str) -> str:
        """Say why a release is not ready, as /readyz, /version and the running container tell; empty when it is."""
        release = slot.release
        if not slot.running:
            return "it does not run"
        if release.version in self.never_ready | self.unhealthy:
            return "/readyz answered 503 (database: no)"
        store = self.answering(slot.database.identifier)
        if store is None or not store.open or store.passwords != "today":
            return "/readyz answered 503 (database: no)"
        if schema_head and schema_head != release.schema_head:
            return f"/readyz names schema {release.schema_head}, expected {schema_head}"
        if release.schema_oldest > store.head:
            return "schema: too old"
        if store.admits > release.schema_head:
            return "schema: too new"
        runs = self.runs_digest.get(release.version, release.digest)
        return "" if runs == release.digest else f"digest: the container runs {runs}"

    def healthy(self, slot: Slot) -> bool:
        return slot.release.version not in self.unhealthy

    def send_requests(self) -> None:
        """Send every host a request, as live traffic does at any moment; note each one that nobody answers."""
        for host in self.in_service():
            if host.live is None and self.pointer().release is None:
                continue  # nothing is live here, and nothing should be
            self.requests += 1
            if host.held_until is not None:
                host.waiting += 1
            else:
                self._answer(host)

    def _answer(self, host: Host) -> None:
        """Answer a request that has come through the proxy: whoever writes notes what was acknowledged."""
        slot = host.answers_requests(self.healthy)
        after = f"{host.id} after {host.log[-1] if host.log else 'nothing'}"
        if host.booted is None or slot is None:
            self.lost.append(after)
        else:
            self.clients.write(self.clock.now(), self.answering(slot.database.identifier), after)

    def hold(self, host: Host, at_most: timedelta) -> Facts:
        """Let requests wait at one host's proxy; it ends by itself."""
        if host.held_until is not None:
            return {"outcome": "already"}
        end = host.held_until = self.clock.seconds + at_most.total_seconds()
        self.clock.later(at_most.total_seconds(), lambda: self.let_go(host) if host.held_until == end else None)
        return {"outcome": "changed"}

    def let_go(self, host: Host) -> Facts:
        """Let what waits at one host's proxy go on to what serves there."""
        if host.held_until is None:
            return {"outcome": "already"}
        host.held_until, waiting, host.waiting = None, host.waiting, 0
        for _ in range(waiting):
            self._answer(host)
        return {"outcome": "changed"}

    def reached(self) -> set[str]:
        """Name the databases that something reaches by itself: traffic, a worker, the next host that boots."""
        slots = [h.slots[n] for h in self.in_service() for n in (h.live, h.behind()) if n]
        workers = {h.worker_database for h in self.hosts if h.worker_running}
        pointer = self.pointer().database
        found = {s.database.identifier for s in slots if s is not None and s.running} | workers
        return {name for name in (*found, pointer.identifier if pointer else None) if name}

    def _watch_masters(self) -> None:
        """Note it when two databases would both take writes: reached, and open to the application."""
        if len(self.stores) < 2:
            return
        answer = {name: self.answering(name) for name in self.databases}
        open_ = {name for name, store in answer.items() if store is not None and store.open}
        if len(open_) > 1 and len(masters := open_ & self.reached()) > 1:
            self.broken.append(f"{' and '.join(sorted(masters))} both take writes after {self.faults.calls[-1]}")

    def answering(self, identifier: str) -> Store | None:
        """Find what an instance holds; None where nobody reaches it, or nothing in it listens."""
        view = self.databases.get(identifier)
        settings = self.database_settings.get(identifier, SETTINGS)
        if view is None or view.status in BROKEN or identifier in self.dead or settings.security_groups == CLOSED:
            return None
        return self.stores.get(identifier)

    def store_of(self, resource_id: str) -> Store:
        """Find what an instance holds, or held before it was retired."""
        if resource_id in self.retained:
            return self.retained[resource_id].store
        return self.stores[next(v.identifier for v in self.databases.values() if v.resource_id == resource_id)]

    def outdate(self, secret: str) -> None:
        """Let whatever runs hold an older value of a secret."""
        for host in self.hosts:
            host.worker_old_secrets.add(secret)
            for _, slot in host.filled():
                slot.old_secrets.add(secret)

    def live_database(self) -> str:
        """Name the instance that the pointer names, or the first one."""
        database = self.pointer().database
        return database.identifier if database else DATABASE.identifier

    @property
    def schema_head(self) -> str:
        """The schema head of the live database."""
        return self.stores[self.live_database()].head

    @schema_head.setter
    def schema_head(self, head: str) -> None:
        self.stores[self.live_database()].commit(self.clock.now(), "schema", head, "")

    def ask_front_door(self) -> FrontDoor:
        self.clock.sleep(self.front_door_takes)
        if self.front_door_down:
            raise Unreachable("the front door does not answer", next="rmu doctor")
        if not self.in_service():
            raise Unreachable("the front door answered 503: no host", next="rmu host list")
        self.asked += 1
        behind = [h for h in self.in_service() if h.id not in self.front_door_skips]
        host = behind[self.asked % len(behind)]
        slot = host.answers_requests(self.healthy)
        if slot is None:
            return FrontDoor(version=None, digest=None, host=None)
        digest = self.runs_digest.get(slot.release.version, slot.release.digest)
        held = slot.database.identifier
        return FrontDoor(version=slot.release.version, digest=digest, host=host.id, database=held)

    def probe(self) -> Probe:
        fell_back = any(h.live and (s := h.slots[h.live]) and not self.healthy(s) for h in self.hosts)
        failed = len(self.lost)
        return Probe(
            sent=self.requests,
            failed=failed,
            p99_ms=4.0,
            added_p99_ms=0.5,
            verdict="inconclusive" if not self.probing or self.probe_sees_nothing else "fail" if failed else "pass",
            fell_back=fell_back,
        )

    def pointer(self) -> Pointer:
        item = self.table.items.get(("pointer", "pointer"))
        return Pointer.model_validate_json(str(item["body"])) if item else Pointer()

    def record(self, version: str) -> Release:
        return Release.model_validate_json(str(self.table.items[("release", f"release#{version}")]["body"]))

    def serving(self) -> set[str | None]:
        """Name what each host sends traffic to, as a set: one element where they agree."""
        return {h.view().serves() for h in self.hosts}

    def running(self) -> set[str]:
        return {s.release.version for h in self.hosts for _, s in h.filled() if s.running}

    def databases_served(self) -> set[str]:
        """Name the databases that traffic reaches, of hosts that serve anything."""
        slots = [h.slots[h.live] for h in self.in_service() if h.live]
        return {s.database.identifier for s in slots if s is not None} or {self.live_database()}

    def workers(self) -> set[str | None]:
        return {h.worker.version if h.worker and h.worker_running else None for h in self.hosts}

    def lease_is_free(self) -> bool:
        return not self.table.items.get(("lease", "lease"), {}).get("token")

    def everything(self) -> dict[str, Any]:
        """Copy all that can change, fences and answers included: for "this has no effect"."""
        return copy.deepcopy(
            {
                "hosts": self.hosts,
                "items": self.table.items,
                "stores": self.stores,
                "databases": self.databases,
                "settings": self.database_settings,
                "bucket": self.bucket,
                "kept": self.kept,
                "secrets": self.secrets,
                "renewed": self.renewed,
                "roles": self.roles,
                "built": self.built,
                "locks": self.state_locks,
                "state": self.state_holds,
                "places": self.places,
                "probing": self.probing,
                "corner": self.drill_hosts,
                "reminder": self.remind_from,
                "queue": self.queue,
            }
        )

    def footprint(self) -> dict[str, Any]:
        """Tell what a person would call the state: who serves, runs, stands behind, works, and boots next."""
        hosts = {
            h.id: {
                "state": h.state,
                "serves": h.view().serves(),
                "behind": h.behind(),
                "running": sorted(s.release.version for _, s in h.filled() if s.running),
                "holds": sorted(s.release.version for _, s in h.filled()),
                "worker": h.worker.version if h.worker and h.worker_running else None,
            }
            for h in self.hosts
        }
        records = {sk: item["body"] for (pk, sk), item in self.table.items.items() if pk == "release"}
        return {
            "hosts": hosts,
            "pointer": self.pointer(),
            "schema": self.schema_head,
            "databases": {name: self.stores[name].open for name in self.databases},
            "kept": dict(self.kept),
            "queue": self.queue,
            "records": records,
        }


def v41_serves() -> FakeWorld:
    """Make a world in which v41 serves and v42 is pushed."""
    world = FakeWorld()
    for version in ("v41", "v42"):
        world.push(version)
    world.live("v41")
    return world


class ProcessClock:
    """The world's clock as one process sees it: what a dead process had going stops."""

    def __init__(self, clock: FakeClock, line: Line) -> None:
        self._clock = clock
        self._line = line
        self.now = clock.now
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep

    def every(self, seconds: float, do: Callable[[], object]) -> None:
        """Let this process do something again and again, as a thread of it would."""
        self._clock.every(seconds, do, self._line)
