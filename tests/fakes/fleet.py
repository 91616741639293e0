"""The ports that reach hosts: fleet, one-off container, shell. They keep the host contract's refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from ratemyunit_ops.errors import Failed, Unreachable
from ratemyunit_ops.model import (
    Database,
    Facts,
    Fence,
    GroupLeftovers,
    HostHealth,
    HostView,
    Instance,
    MigrationsView,
    Probe,
    Release,
    ReleaseRef,
    StaleSecret,
    Works,
)
from ratemyunit_ops.ports import CommandResult, Guest
from tests.fakes.databases import ROLES, Store
from tests.fakes.hosts import Host, Slot, SlotName, other, refused
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld


class FakeFleet:
    """Every host in service, one after the other; after each change every host is sent a request."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeFleet:
        return FakeFleet(self._world, self._line, fence)

    def instances(self) -> tuple[Instance, ...]:
        return self._line.call("fleet.instances", lambda: self._world.instances())

    def addresses(self) -> dict[str, str]:
        return self._line.call("fleet.addresses", lambda: {h.id: h.address for h in self._world.hosts})

    def survey(self) -> tuple[HostView, ...]:
        return self._line.call("fleet.survey", lambda: tuple(h.view() for h in self._world.in_service()))

    def prepare(self, release: Release, database: Database) -> Facts:
        return self._each("prepare", lambda h: self._prepare(h, release, database))

    def start(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        return self._each("start", lambda h: self._start(h, ref, schema_head, deadline))

    def ready(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        def look() -> Facts:
            return {h.id: self._ready(h, ref, schema_head, deadline) for h in self._world.in_service()}

        return self._line.call("fleet.ready", look)

    def serve(self, ref: ReleaseRef | None, *, backup: ReleaseRef | None, probe: bool, let_go: bool = False) -> Facts:
        def flip(host: Host) -> Facts:
            said = self._serve(host, ref, backup)
            if let_go:
                self._world.let_go(host)
            return said

        self._world.probing = probe or self._world.probing
        return self._each("serve", flip)

    def hold(self, *, at_most: timedelta) -> Facts:
        held = self._each("hold", lambda h: self._world.hold(h, at_most))
        return {**held, "calm": not self._world.answers_late}

    def let_go(self) -> Facts:
        return self._each("let_go", self._world.let_go)

    def holding(self) -> bool:
        return self._line.call("fleet.holding", lambda: all(h.held_until is not None for h in self._world.in_service()))

    def unneeded(self) -> Mapping[str, int]:
        def look() -> dict[str, int]:
            return {h.id: len(h.unneeded()) * self._world.image_size for h in self._world.in_service()}

        return self._line.call("fleet.unneeded", look)

    def prune(self) -> Facts:
        return self._each("prune", lambda h: h.prune(self._world.image_size))

    def stale(self) -> tuple[StaleSecret, ...]:
        return self._line.call("fleet.stale", lambda: tuple(s for h in self._world.in_service() for s in h.stale()))

    def start_worker(self, ref: ReleaseRef | None) -> Facts:
        return self._each("worker", lambda h: self._worker(h, ref))

    def probe(self, *, wait: timedelta) -> Probe:
        return self._line.call("fleet.probe", self._world.probe)

    def retire(self, ref: ReleaseRef, *, warm_floor: int) -> Facts:
        facts = self._each("retire", lambda h: self._retire(h, ref, warm_floor))
        warm = all(a["state"] == "warm" for a in facts["hosts"].values())
        return {**facts, "state": "warm" if warm else "retained"}

    def stop(self, ref: ReleaseRef, *, resume_worker: ReleaseRef | None) -> Facts:
        return self._each("stop", lambda h: self._stop(h, ref, resume_worker))

    def _each(self, verb: str, act: Callable[[Host], Facts]) -> Facts:
        fence = self._fence
        assert fence is not None, f"{verb} without a fence"

        def wave() -> Facts:
            if not self._world.in_service():
                raise Unreachable("no host is in service", next="rmu host list")
            answers: Facts = {}
            for n, host in enumerate(self._world.in_service()):
                if n:
                    self._line.between(f"fleet.{verb}")
                answers[host.id] = host.once(fence, verb, lambda host=host: act(host))
                self._world.send_requests()
            return {"commands": 1, "hosts": answers}

        return self._line.call(f"fleet.{verb}", wave, changes=True)

    def _prepare(self, host: Host, release: Release, database: Database) -> Facts:
        name = self._slot_for(host, release, database)
        self._pull(host, release)
        slot = host.slots[name]
        if slot is not None and slot.release.ref == release.ref:
            if (slot.release.config, slot.database) == (release.config, database):
                return {"outcome": "already"}
            if name in (host.live, host.behind()):
                raise refused("serves_here", f"{release.version} serves on {host.id} with another config")
        host.slots[name] = Slot(release, database)
        return {"outcome": "changed"}

    def _slot_for(self, host: Host, release: Release, database: Database) -> SlotName:
        """Choose the slot that holds the release on this database, else on another where it does not serve."""
        here = host.slot_of(release.on(database.identifier))
        elsewhere = next(
            (n for n, s in host.filled() if s.holds(release.ref) and n not in (host.live, host.behind())), None
        )
        return here or elsewhere or self._free_slot(host, release)

    def _free_slot(self, host: Host, release: Release) -> SlotName:
        if host.backed:
            raise refused("serves_here", f"both slots of {host.id} are in use")
        if host.live:
            return other(host.live)
        return next((n for n, s in host.slots.items() if s is None), "blue")

    def _pull(self, host: Host, release: Release) -> None:
        if release.digest in host.images:
            return
        if host.disk_free < self._world.image_size * 1.5:
            raise refused("disk_full", f"{host.id} has no room for {release.version}")
        if self._world.image_of(release.digest) is None:
            raise refused("pull_failed", f"the registry does not give {release.digest}")
        host.images.add(release.digest)
        host.pulls += 1

    def _start(self, host: Host, ref: ReleaseRef, schema_head: str, deadline: timedelta) -> Facts:
        slot = self._slot(host, ref)
        host.worker_running = False
        running = slot.running
        if not running:
            slot.old_secrets.clear()
        slot.running = slot.was_started = True
        return {"outcome": "already" if running else "changed", **self._ready(host, ref, schema_head, deadline)}

    def _ready(self, host: Host, ref: ReleaseRef, schema_head: str, deadline: timedelta) -> Facts:
        slot = self._slot(host, ref)
        why = self._world.why_not_ready(slot, schema_head)
        if why:
            self._world.clock.sleep(deadline.total_seconds())
            raise Failed(
                f"{ref.version} never became ready on {host.id} within {deadline.total_seconds():.0f} s (last: {why})",
                state="Traffic was not moved.",
                next="rmu logs",
            )
        return {"ready": 3}

    def _serve(self, host: Host, ref: ReleaseRef | None, backup: ReleaseRef | None) -> Facts:
        before = (host.live, host.backed)
        name = self._name(host, ref) if ref else None
        if backup is not None and not self._slot(host, backup).running:
            raise refused("not_ready", f"{backup.version} does not run, so it cannot stand behind")
        if (name, backup is not None) == before:
            return {"outcome": "already"}
        if ref is not None and name != host.live and (why := self._world.why_not_ready(self._slot(host, ref), "")):
            raise refused("not_ready", f"{ref.version} cannot serve: {why}; traffic was not moved")
        host.live, host.backed = name, backup is not None
        return {"outcome": "changed"}

    def _worker(self, host: Host, ref: ReleaseRef | None) -> Facts:
        if ref is None:
            host.worker_running = False
            return {"outcome": "changed"}
        slot = self._slot(host, ref)
        if not host.worker_running:
            host.worker_old_secrets.clear()
        host.worker, host.worker_database, host.worker_running = slot.release.ref, slot.database.identifier, True
        return {"outcome": "changed"}

    def _retire(self, host: Host, ref: ReleaseRef, warm_floor: int) -> Facts:
        name = host.slot_of(ref)
        if name is None:
            return {"state": "gone"}
        if name == host.live:
            raise refused("serves_here", f"{ref.version} serves on {host.id}; it is not retired")
        host.backed = False
        slot = self._slot(host, ref)
        if slot.running and host.memory_available() < warm_floor:
            slot.running = False
        return {"state": "warm" if slot.running else "retained"}

    def _stop(self, host: Host, ref: ReleaseRef, resume_worker: ReleaseRef | None) -> Facts:
        name = host.slot_of(ref)
        if name is not None:
            if name in (host.live, host.behind()):
                raise refused("serves_here", f"{ref.version} serves on {host.id}; it is not stopped")
            slot = self._slot(host, ref)
            slot.running = slot.failed = False
        return self._worker(host, resume_worker) if resume_worker else {"outcome": "changed"}

    def _slot(self, host: Host, ref: ReleaseRef) -> Slot:
        slot = host.slots[self._name(host, ref)]
        assert slot is not None
        return slot

    def _name(self, host: Host, ref: ReleaseRef) -> SlotName:
        name = host.slot_of(ref)
        if name is None:
            raise refused("not_found", f"{ref.version} is in no slot of {host.id}")
        return name


class FakeGroup:
    """The group the hosts are members of: it replaces what is ended, and leaves alone what stands by."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def states(self) -> Mapping[str, str]:
        return self._line.call("group.states", lambda: {i.id: i.state for i in self._world.instances()})

    def health(self) -> Mapping[str, HostHealth]:
        def look() -> dict[str, HostHealth]:
            told = {h.id: h for h in self._world.hosts}
            return {i.id: self._health(i.state, told.get(i.id)) for i in self._world.instances()}

        return self._line.call("group.health", look)

    def _health(self, state: str, host: Host | None) -> HostHealth:
        well = host is not None and host.booted is not None
        return HostHealth(
            lifecycle=state,
            health="Healthy",
            machine="running",
            system="ok",
            instance="ok" if well else "impaired",
            target="healthy" if well and state == "InService" else "unhealthy",
            agent="Online" if well else "ConnectionLost",
        )

    def leftovers(self) -> GroupLeftovers:
        def look() -> GroupLeftovers:
            standing = tuple(i.id for i in self._world.instances() if i.state == "Standby")
            suspended = tuple(sorted(self._world.suspended))
            return GroupLeftovers(standing_by=standing, minimum=self._world.minimum_before, suspended=suspended)

        return self._line.call("group.leftovers", look)

    def booted(self, host: str) -> float | None:
        return self._line.call("group.booted", lambda: self._world.host(host).booted)

    def stand_by(self, host: str) -> None:
        self._line.call("group.stand_by", lambda: self._set(host, "Standby"), changes=True)

    def rejoin(self, host: str) -> None:
        self._line.call("group.rejoin", lambda: self._set(host, "InService"), changes=True)

    def reboot(self, host: str) -> None:
        self._line.call("group.reboot", lambda: self._world.reboot(host), changes=True)

    def replace(self, host: str) -> None:
        self._line.call("group.replace", lambda: self._world.replace_host(host), changes=True)

    def _set(self, host: str, state: Literal["InService", "Standby"]) -> None:
        self._world.host(host).state = state
        self._world.minimum_before = len(self._world.hosts) if state == "Standby" else None
        self._world.send_requests()


class FakeOneOff:
    """Migrations: one database head for the world, reached through a release some host holds."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeOneOff:
        return FakeOneOff(self._world, self._line, fence)

    def schema_head(self, ref: ReleaseRef, *, database: Database | None = None) -> str:
        def look() -> str:
            return (self._world.stores[database.identifier] if database else self._store(ref)).head

        return self._line.call("oneoff.schema_head", look)

    def has_roles(self, database: Database) -> bool:
        def look() -> bool:
            store = self._world.stores.get(database.identifier)
            return database.identifier in self._world.roles and store is not None and store.passwords == "today"

        return self._line.call("oneoff.has_roles", look)

    def make_roles(self, database: Database) -> Facts:
        return self._change("make_roles", lambda: self._make_roles(database))

    def migrate(
        self,
        ref: ReleaseRef,
        *,
        old: ReleaseRef | None = None,
        phase: Literal["expand", "contract"] = "expand",
        guest: Guest | None = None,
    ) -> Facts:
        def act() -> Facts:
            release = guest.release if guest else self._slot(ref).release
            store = self._world.stores[guest.database.identifier] if guest else self._store(ref)
            before = store.head
            self._migrate(release, store, phase)
            works = self._works(self._slot(old).release, store) if old else None
            return {
                "head_before": before,
                "head": store.head,
                "admits": store.admits,
                "ran": [store.head] if store.head != before else [],
                "took": {store.head: self._world.migration_takes} if store.head != before else {},
                "old_works": works.model_dump() if works else None,
                "new_works": self._works(release, store).model_dump() if guest else None,
            }

        return self._change("migrate", act)

    def pending(self, ref: ReleaseRef) -> MigrationsView:
        def look() -> MigrationsView:
            release, now = self._slot(ref).release, self._store(ref).head
            revisions = self._world.images[release.version].revisions
            tip = revisions[-1].revision if revisions else release.schema_head
            todo = tuple(r for r in revisions if r.revision > now)
            return MigrationsView(current=now, head=release.schema_head, tip=tip, pending=todo)

        return self._line.call("oneoff.pending", look)

    def works(self, ref: ReleaseRef) -> Works:
        return self._line.call("oneoff.works", lambda: self._works(self._slot(ref).release, self._store(ref)))

    def _works(self, release: Release, store: Store) -> Works:
        if release.version in self._world.cannot_tell:
            return Works(ok=None, why="no role check")
        if (release.version, store.head) in self._world.fails_on:
            return Works(ok=False, reads=1, failed="units.store", why="column does not exist")
        if not release.runs_on(store.head, store.admits):
            return Works(ok=False, failed="schema.fit", why=f"the schema {store.head} needs newer code")
        return Works(ok=True, reads=8, writes=11)

    def _change(self, verb: str, act: Callable[[], Facts]) -> Facts:
        fence = self._fence
        assert fence is not None, f"{verb} without a fence"
        host = self._world.in_service()[0]
        return self._line.call(f"oneoff.{verb}", lambda: host.once(fence, verb, act), changes=True)

    def _make_roles(self, database: Database) -> Facts:
        store = self._world.stores[database.identifier]
        if store.passwords == "all of then":
            raise refused("roles_failed", f"{database.identifier} does not take its master's password")
        made = database.identifier not in self._world.roles
        self._world.roles.add(database.identifier)
        store.passwords = "today"
        for role in ROLES:
            store.commit(self._world.clock.now(), "login", role, True)
        return {"outcome": "changed" if made else "already"}

    def _migrate(self, release: Release, store: Store, phase: str) -> None:
        if release.version in self._world.migration_fails:
            state = "Traffic was not moved."
            raise Failed(f"migrations of {release.version} ended with 1", state=state, next="rmu logs")
        image = self._world.image_of(release.digest)
        todo = [r for r in (image.revisions if image else ()) if r.revision > store.head]
        if phase == "expand":
            todo = [r for r in todo if r.revision <= release.schema_head]
        if phase == "expand" and store.head and any(r.phase == "contract" for r in todo):
            raise refused("contract_first", f"{release.version} has a contract revision before its head")
        stop = self._world.migration_stops_after
        if stop:
            done = [r for r in todo if r.revision <= stop]
            admits = max([store.admits, *(r.oldest_code for r in done)])
            store.commit(self._world.clock.now(), "schema", stop, admits)
            raise Failed("a later revision waited too long", state="Traffic was not moved.", next="rmu logs")
        head = max([store.head, release.schema_head, *(r.revision for r in todo)])
        admits = max([store.admits, release.schema_admits, *(r.oldest_code for r in todo)])
        if head > store.head:
            self._world.clock.sleep(0.5)
            store.commit(self._world.clock.now(), "schema", head, admits)
        self._world.send_requests()

    def _store(self, ref: ReleaseRef) -> Store:
        return self._world.stores[self._slot(ref).database.identifier]

    def _slot(self, ref: ReleaseRef) -> Slot:
        host = self._world.in_service()[0]
        name = host.slot_of(ref)
        slot = host.slots[name] if name else None
        if slot is None:
            raise refused("not_found", f"{ref.version} is in no slot of {host.id}")
        return slot


SSM_KEEPS = 24_000


class FakeShell:
    """Commands on hosts, answered from a table of what argv prints."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def run(self, argv: Sequence[str], *, hosts: Sequence[str], deadline: timedelta) -> tuple[CommandResult, ...]:
        return self._line.call("shell.run", lambda: tuple(self._one(argv, h) for h in hosts), changes=self._acts(argv))

    def _acts(self, argv: Sequence[str]) -> bool:
        return tuple(argv) in self._world.does

    def _one(self, argv: Sequence[str], host: str) -> CommandResult:
        if host not in {h.id for h in self._world.in_service()}:
            raise Unreachable(f"no host {host} is in service", next="rmu host list")
        if self._world.host(host).booted is None:
            raise Unreachable(f"the SSM agent of {host} does not answer", next="rmu host list")
        act = self._world.does.get(tuple(argv))
        if act is not None:
            return CommandResult(host=host, exit_code=0, stdout=act(), stderr="")
        found = self._world.prints.get(tuple(argv))
        said = found() if callable(found) else found
        if said is None:
            return CommandResult(host=host, exit_code=127, stdout="", stderr=f"{argv[0]}: not found")
        return CommandResult(host=host, exit_code=0, stdout=said[:SSM_KEEPS], stderr="", cut=len(said) > SSM_KEEPS)
