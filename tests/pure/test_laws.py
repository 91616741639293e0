"""The laws every kind of step must keep, tried on one sample of each in a behaving world.

A `done()` that lies breaks resume; a `do()` that is not safe to repeat breaks a retry; an undo that does not restore
breaks unwinding. A kind without a sample fails here.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count

import pytest
from rmu_host import survey as host_survey

from ratemyunit_ops.model import (
    Database,
    DatabaseNote,
    Facts,
    Fence,
    PendingMigration,
    PlanSummary,
    Pointer,
    RestorePoint,
    SalvageNote,
    SalvageView,
    SchemaNote,
)
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import database_entry, pointer_entry, salvage_entry
from ratemyunit_ops.runbooks.binding import Look
from ratemyunit_ops.runbooks.conditions import Condition
from ratemyunit_ops.runbooks.schema import Judged, Read
from ratemyunit_ops.steps.base import Change, Check, Step
from ratemyunit_ops.steps.checks import Bake, ImageFit, Proven, Ready, StillWorks
from ratemyunit_ops.steps.data import (
    ApplySalvage,
    ComputeSalvage,
    FenceDatabase,
    MoveSequences,
    UnfenceDatabase,
    WarmDatabase,
)
from ratemyunit_ops.steps.database import (
    BackedUp,
    Contract,
    Migrate,
    NotePoint,
    NoteRestorePoint,
    Rehearse,
    RehearseContract,
    Unneeded,
)
from ratemyunit_ops.steps.drill import (
    AdmitAgain,
    AdmitHosts,
    AppAnswers,
    CompareData,
    DrillHostAnswers,
    EndDrillHost,
    FenceFromOutside,
    LaunchDrillHost,
    MoveReminder,
    NothingElseServes,
    StandsInCorner,
)
from ratemyunit_ops.steps.fleet import Prepare, Retire, StartRelease, StartWorker, StopRelease
from ratemyunit_ops.steps.hosts import HostBack, NewHostServes, RebootHost, Rejoin, ReplaceHost, StandBy
from ratemyunit_ops.steps.infra import (
    AdoptDatabase,
    ApplyInfra,
    DestroyInfra,
    EnsureSecrets,
    HostsInService,
    MakeRoles,
    NothingLeft,
)
from ratemyunit_ops.steps.kinds import AnyStep, ChangeInCorner, CheckInCorner, parse_step
from ratemyunit_ops.steps.people import Ask
from ratemyunit_ops.steps.queue import PauseQueue, ResumeQueue
from ratemyunit_ops.steps.releases import RecordRelease
from ratemyunit_ops.steps.restore import (
    DatabaseAvailable,
    DropDatabase,
    PointTo,
    RecordRestore,
    RenewPasswords,
    Restorable,
    RestoreDatabase,
    RetireDatabase,
    SameSettings,
    SettleDatabase,
)
from ratemyunit_ops.steps.runbook import Back, Command, Holds, Settled, Sql
from ratemyunit_ops.steps.traffic import BringAlong, HoldRequests, LetRequestsGo, Serve
from ratemyunit_ops.steps.upkeep import PruneImages, RenewSecret, TodaysSecrets
from tests.fakes import BEGIN, DATABASE, FakeWorld
from tests.fakes.databases import SETTINGS
from tests.fakes.hosts import Slot

FLOOR = 150 * 2**20
LONG = timedelta(seconds=60)

KINDS: tuple[type[Step], ...] = typing.get_args(typing.get_args(AnyStep)[0])
Sample = tuple[FakeWorld, Step]


def old_and_new(*, head: str = "0001", schema: str = "0001", running: bool = True, backed: bool = False) -> FakeWorld:
    """Make a world where v41 serves with its worker, and v42 lies in the other slot of each host."""
    world = FakeWorld()
    world.push("v41")
    world.push("v42", head=head)
    world.live("v41")
    world.beside("v42", running=running)
    world.schema_head = schema
    for host in world.hosts:
        host.backed = backed
        host.worker_running = not running
    return world


def with_a_worker_to_stop() -> FakeWorld:
    """Let one host know the commands that stop and start its worker, and tell whether it runs."""
    world = fresh()
    host = world.hosts[0]

    def run(on: bool) -> str:
        host.worker_running = on
        return ""

    world.does[("systemctl", "stop", "rmu-worker")] = lambda: run(False)
    world.does[("systemctl", "start", "rmu-worker")] = lambda: run(True)
    world.does[("systemctl", "is-active", "rmu-worker")] = lambda: "active" if host.worker_running else "inactive"
    return world


def stop_the_worker() -> Command:
    def systemctl(*words: str) -> Look:
        return Look(check="worker", says="the worker", command=("systemctl", *words, "rmu-worker"), host="i-1")

    return Command(
        label="stop the worker",
        deed=systemctl("stop"),
        settled=Settled(look=systemctl("is-active"), prints="inactive"),
        back=Back(
            label="start the worker",
            deed=systemctl("start"),
            settled=Settled(look=systemctl("is-active"), prints="active"),
        ),
    )


def with_a_session() -> FakeWorld:
    """Let one session be open, until somebody ends it."""
    world, pids = fresh(), {"42"}

    def answer(sql: str, variables: Mapping[str, str]) -> list[dict[str, str | None]]:
        if "terminate" not in sql:
            return [{"count": str(int(variables["pid"] in pids))}]
        pids.discard(variables["pid"])
        return [{"pg_terminate_backend": "t"}]

    world.sql = answer
    return world


def of_session(sql: str) -> Look:
    return Look(check="session", says="the session", sql=sql, variables={"pid": "42"}, database=DATABASE)


def fresh() -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v42")
    world.live("v41")
    return world


def contractible() -> FakeWorld:
    """Make a world where v41 serves, and its image has a contract revision behind its head."""
    world = FakeWorld()
    revisions = (
        PendingMigration(revision="0001", phase="expand", oldest_code="0001"),
        PendingMigration(revision="0002", phase="contract", oldest_code="0001"),
    )
    world.push("v41", revisions=revisions)
    world.live("v41")
    return world


def littered() -> FakeWorld:
    """Make a world whose hosts have an image that nothing needs."""
    world = fresh()
    for host in world.hosts:
        host.images.add("sha256:nobody")
    return world


def flipped(*, backed: bool) -> FakeWorld:
    """Make a world where v42 took over from v41 and the bake is on."""
    world = old_and_new()
    for host in world.hosts:
        host.live, host.backed = "green", backed
    return world


def paused() -> FakeWorld:
    """Make a world whose queue somebody has paused."""
    world = fresh()
    world.outside().queue.at(Fence(generation=1, sequence=0)).pause(by="ann@laptop", because="the site is down")
    return world


def terraform() -> FakeWorld:
    world = fresh()
    world.wanted["stack"] = {"network", "web"}
    return world


def built() -> FakeWorld:
    world = fresh()
    world.built["stack"] = {"network", "web"}
    return world


def standing_by() -> FakeWorld:
    world = fresh()
    world.hosts[0].state = "Standby"
    return world


def replaced() -> FakeWorld:
    world = fresh()
    world.replace_host("i-1")
    world.clock.sleep(100)
    return world


RESTORE = "r-restore"
BEFORE = SchemaNote(at=BEGIN, database=DATABASE.identifier, head="0001", run="r-001")
PLANNED = Database(identifier="rmu-test-db-restore")
COPY = Database(identifier="rmu-test-db-restore", address="rmu-test-db-restore.example")
POINT = RestorePoint(resource_id="db-RESOURCE1", at=BEGIN)


def copied(*, settled: bool = True, passwords: bool = True, noted: bool = False) -> FakeWorld:
    """Make a world with a restored database beside the one that serves, and rows that it lacks."""
    world = fresh()
    world.outside().databases.restore(POINT, identifier=COPY.identifier, like=SETTINGS, run=RESTORE)
    world.clock.sleep(300)
    store = world.stores[COPY.identifier]
    if settled:
        world.database_settings[COPY.identifier] = SETTINGS
    if passwords:
        store.passwords = "today"
        world.roles.add(COPY.identifier)
    if noted:
        store.noted[RESTORE] = frozenset(store.rows)
    for _ in range(5):
        world.send_requests()
    return world


def to_rehearse() -> FakeWorld:
    """Make a world with a copy of the live database, and a version that would migrate it."""
    world = copied()
    world.push("v43", head="0002")
    return world


def superseded() -> FakeWorld:
    world = copied()
    noted = DatabaseNote(identifier=COPY.identifier, resource_id="db-X", state="superseded", run=RESTORE)
    world.put(database_entry(noted))
    return world


def salvaged() -> FakeWorld:
    world = copied(noted=True)
    note = SalvageNote(restore=RESTORE, run="r-salvage", at=BEGIN, found=SalvageView())
    world.put(salvage_entry(note))
    world.bucket[RESTORE] = {"1-insert.sql": b'[["units", 77, "given back", null]]'}
    return world


def held() -> FakeWorld:
    world = fresh()
    for host in world.hosts:
        world.hold(host, timedelta(hours=1))
    return world


def shut() -> FakeWorld:
    world = copied()
    for role in ("rmu_app", "rmu_migrate"):
        world.stores[COPY.identifier].commit(world.clock.now(), "login", role, False)
    return world


def strayed() -> FakeWorld:
    """Make a world after a cut-over, but for one host that still serves on the database of before."""
    world = copied()
    world.put(pointer_entry(Pointer(release="v41", database=COPY)))
    moved, stray = world.hosts
    moved.slots["green"], moved.live = Slot(world.record("v41"), COPY, running=True), "green"
    moved.worker_running = stray.worker_running = False
    for role in ("rmu_app", "rmu_migrate"):
        world.stores[DATABASE.identifier].commit(world.clock.now(), "login", role, False)
    return world


CORNER = SETTINGS.model_copy(update={"security_groups": ("sg-drill",)})


def in_the_corner(*, prepared: bool = False, serving: bool = False) -> FakeWorld:
    """Make a world with a restored database and a drill's host, which can be reached by nobody but each other."""
    world = copied()
    world.database_settings[COPY.identifier] = CORNER
    world.outside().corner.launch(RESTORE, image=None)
    world.clock.sleep(100)
    if prepared:
        world.drill_hosts[RESTORE][0].slots["blue"] = Slot(world.record("v41"), COPY, running=serving)
        world.drill_hosts[RESTORE][0].live = "blue" if serving else None
    return world


def dead(*, closed: bool = False) -> FakeWorld:
    """Make a world whose database does not answer."""
    world = fresh()
    world.dead.add(DATABASE.identifier)
    if closed:
        world.outside().databases.close(DATABASE.identifier)
    return world


SAMPLES: dict[str, Callable[[], Sample]] = {
    "admit_again": lambda: (
        dead(closed=True),
        AdmitAgain(identifier=DATABASE.identifier, admits=SETTINGS.security_groups),
    ),
    "admit_hosts": lambda: (in_the_corner(), AdmitHosts(identifier=COPY.identifier, like=SETTINGS, corner=CORNER)),
    "app_answers": lambda: (
        w := in_the_corner(prepared=True, serving=True),
        AppAnswers(run=RESTORE, release=w.record("v41").on(COPY.identifier)),
    ),
    "change_in_corner": lambda: (
        w := in_the_corner(prepared=True),
        ChangeInCorner(
            run=RESTORE,
            step=StartRelease(release=w.record("v41").ref, schema_head="0001", worker_before=None),
        ),
    ),
    "check_in_corner": lambda: (
        in_the_corner(),
        CheckInCorner(run=RESTORE, step=DatabaseAvailable(identifier=COPY.identifier, verb="dr drill")),
    ),
    "compare_data": lambda: (
        w := in_the_corner(),
        CompareData(run=RESTORE, restored=PLANNED, source=DATABASE, at=BEGIN, head=w.stores[COPY.identifier].head),
    ),
    "drill_host_answers": lambda: (in_the_corner(), DrillHostAnswers(run=RESTORE)),
    "end_drill_host": lambda: (in_the_corner(), EndDrillHost(run=RESTORE)),
    "fence_from_outside": lambda: (
        dead(),
        FenceFromOutside(identifier=DATABASE.identifier, admits=SETTINGS.security_groups),
    ),
    "nothing_else_serves": lambda: (
        w := fresh(),
        NothingElseServes(was=w.pointer(), instances=("rmu-test-db-gone",)),
    ),
    "stands_in_corner": lambda: (in_the_corner(), StandsInCorner(identifier=COPY.identifier, group="sg-drill")),
    "launch_drill_host": lambda: (fresh(), LaunchDrillHost(run=RESTORE, image="ami-1")),
    "move_reminder": lambda: (fresh(), MoveReminder(until=BEGIN + timedelta(days=91))),
    "command": lambda: (with_a_worker_to_stop(), stop_the_worker()),
    "holds": lambda: (
        fresh(),
        Holds(
            label="both hosts serve",
            looks=(Look(check="group", says="", source="group", reads={"n": Read(path="in_service", type="number")}),),
            judged=Judged(all=(Condition.parse("n == 2"),)),
            otherwise="rmu host list",
        ),
    ),
    "sql": lambda: (
        with_a_session(),
        Sql(
            label="end the session",
            deed=of_session("select pg_terminate_backend(:'pid'::int)"),
            settled=Settled(look=of_session("select count(*) from pg_stat_activity where pid = :'pid'"), prints="0"),
        ),
    ),
    "adopt_database": lambda: (
        fresh(),
        AdoptDatabase(
            root="stack",
            address="database",
            database="rmu-test-db-2",
            variables={},
            summary=PlanSummary(change=("database",)),
            fence=True,
        ),
    ),
    "apply_infra": lambda: (
        terraform(),
        ApplyInfra(
            root="stack",
            variables={},
            summary=PlanSummary(create=("network", "web")),
            planned=BEGIN,
            fence=True,
        ),
    ),
    "bake": lambda: (w := flipped(backed=True), Bake(release=w.record("v42").ref, length=LONG, probe=True)),
    "bring_along": lambda: (w := strayed(), BringAlong(release=w.record("v41"), database=PLANNED)),
    "destroy_infra": lambda: (built(), DestroyInfra(root="stack", variables={}, fence=True)),
    "ensure_secrets": lambda: (fresh(), EnsureSecrets(names=("app/secret_key", "db/app_password"))),
    "host_back": lambda: (fresh(), HostBack(host="i-1", booted=10.0)),
    "hosts_in_service": lambda: (fresh(), HostsInService()),
    "image_fit": lambda: (w := fresh(), ImageFit(release=w.release("v42").ref, base="v41")),
    "make_roles": lambda: (fresh(), MakeRoles(database=DATABASE.identifier)),
    "contract": lambda: (
        w := contractible(),
        Contract(
            release=w.record("v41").ref,
            tip="0002",
            live=w.record("v41").ref,
            database=DATABASE.identifier,
            run="r-001",
            fence=True,
        ),
    ),
    "migrate": lambda: (
        w := old_and_new(head="0002"),
        Migrate(
            release=w.record("v42").ref,
            head="0002",
            old=w.record("v41").ref,
            database=DATABASE.identifier,
            run="r-001",
        ),
    ),
    "ask": lambda: (fresh(), Ask(question="is the engineer on call at hand?")),
    "rehearse": lambda: (
        w := to_rehearse(),
        Rehearse(release=w.release("v43"), live=w.record("v41").ref, database=PLANNED),
    ),
    "rehearse_contract": lambda: (
        w := to_rehearse(),
        RehearseContract(release=w.release("v43"), live=w.record("v41").ref, database=PLANNED, tip="0002"),
    ),
    "backed_up": lambda: (fresh(), BackedUp(database=DATABASE.identifier)),
    "unneeded": lambda: (contractible(), Unneeded(admits="0001", tip="0002")),
    "note_point": lambda: (fresh(), NotePoint(database=DATABASE.identifier, run="r-001", schema_before=BEFORE)),
    "new_host_serves": lambda: (replaced(), NewHostServes(before=("i-1", "i-2"), release="v41")),
    "note_restore_point": lambda: (
        w := fresh(),
        NoteRestorePoint(release=w.release("v42"), database=DATABASE.identifier),
    ),
    "nothing_left": lambda: (fresh(), NothingLeft(root="stack", variables={})),
    "prepare": lambda: (w := fresh(), Prepare(release=w.release("v42"), database=DATABASE)),
    "proven": lambda: (w := flipped(backed=True), Proven(release=w.record("v42").ref)),
    "ready": lambda: (w := old_and_new(), Ready(release=w.record("v42").ref, schema_head="0001")),
    "reboot_host": lambda: (standing_by(), RebootHost(host="i-1", booted=1000.0)),
    "record_release": lambda: (
        flipped(backed=False),
        RecordRelease(release="v42", instead_of="v41", database=DATABASE),
    ),
    "rejoin": lambda: (standing_by(), Rejoin(host="i-1")),
    "replace_host": lambda: (fresh(), ReplaceHost(host="i-1", fence=True)),
    "retire": lambda: (w := flipped(backed=True), Retire(release=w.record("v41").ref, warm_floor=FLOOR)),
    "serve": lambda: (
        w := old_and_new(),
        Serve(release=w.record("v42").ref, instead_of=w.record("v41").ref, stand_by=True, probe=True),
    ),
    "stand_by": lambda: (fresh(), StandBy(host="i-1")),
    "start_release": lambda: (
        w := old_and_new(running=False),
        StartRelease(release=w.record("v42").ref, schema_head="0001", worker_before=w.record("v41").ref),
    ),
    "start_worker": lambda: (
        w := old_and_new(running=False),
        StartWorker(release=w.record("v42").ref, instead_of=w.record("v41").ref),
    ),
    "still_works": lambda: (w := fresh(), StillWorks(release=w.record("v41").ref)),
    "prune_images": lambda: (littered(), PruneImages()),
    "renew_secret": lambda: (fresh(), RenewSecret(name="app/secret_key", run="r-renew")),
    "todays_secrets": lambda: (fresh(), TodaysSecrets()),
    "stop_release": lambda: (
        w := old_and_new(),
        StopRelease(release=w.record("v42").ref, schema_head="0001", resume_worker=w.record("v41").ref),
    ),
    "apply_salvage": lambda: (salvaged(), ApplySalvage(restore=RESTORE, new=COPY, run="r-salvage", fence=True)),
    "compute_salvage": lambda: (
        copied(noted=True),
        ComputeSalvage(restore=RESTORE, base=RESTORE, old=DATABASE, new=COPY, since=BEGIN, run="r-salvage"),
    ),
    "database_available": lambda: (copied(), DatabaseAvailable(identifier=COPY.identifier, verb="dr drill")),
    "drop_database": lambda: (copied(), DropDatabase(identifier=COPY.identifier, run=RESTORE)),
    "fence_database": lambda: (held(), FenceDatabase(database=DATABASE, hold=timedelta(seconds=30))),
    "hold_requests": lambda: (fresh(), HoldRequests(at_most=timedelta(minutes=10))),
    "let_requests_go": lambda: (held(), LetRequestsGo()),
    "move_sequences": lambda: (copied(), MoveSequences(old=DATABASE, new=PLANNED)),
    "pause_queue": lambda: (fresh(), PauseQueue(by="ann@laptop", because="the site is down")),
    "resume_queue": lambda: (paused(), ResumeQueue(by="bob@desk", paused_by="ann@laptop", because="the site is down")),
    "point_to": lambda: (
        shut(),
        PointTo(
            pointer=Pointer(release="v41", database=PLANNED),
            was=Pointer(release="v41", database=DATABASE),
            run=RESTORE,
            restored_from=POINT,
        ),
    ),
    "record_restore": lambda: (
        copied(),
        RecordRestore(release="v41", left=None, database=PLANNED, head="", admits="", run=RESTORE),
    ),
    "renew_passwords": lambda: (copied(passwords=False), RenewPasswords(database=PLANNED)),
    "restorable": lambda: (fresh(), Restorable(point=POINT, verb="db restore")),
    "restore_database": lambda: (
        fresh(),
        RestoreDatabase(identifier=COPY.identifier, point=POINT, like=SETTINGS, run=RESTORE),
    ),
    "retire_database": lambda: (superseded(), RetireDatabase(identifier=COPY.identifier)),
    "same_settings": lambda: (copied(), SameSettings(identifier=COPY.identifier, like=SETTINGS)),
    "settle_database": lambda: (copied(settled=False), SettleDatabase(identifier=COPY.identifier, like=SETTINGS)),
    "unfence_database": lambda: (shut(), UnfenceDatabase(database=COPY)),
    "warm_database": lambda: (copied(), WarmDatabase(database=PLANNED, run=RESTORE)),
}
CHANGES = sorted(k.model_fields["kind"].default for k in KINDS if issubclass(k, Change))
CHECKS = sorted(k.model_fields["kind"].default for k in KINDS if issubclass(k, Check))


def change(kind: str) -> tuple[FakeWorld, Outside, Change]:
    world, step = SAMPLES[kind]()
    assert isinstance(step, Change)
    return world, world.outside(), step


numbers = count(1)


def act(o: Outside, step: Change, *, fence: Fence | None = None) -> Facts:
    """Do a change as the engine does: under a fence, and its ledger items with its `done`."""
    facts = step.do(o.at(fence or Fence(generation=1, sequence=next(numbers))))
    o.ledger.write(step.entries(facts), token=None)
    return facts


def test_every_kind_of_step_has_a_sample_of_its_own_kind() -> None:
    kinds = {k.model_fields["kind"].default for k in KINDS}

    assert set(SAMPLES) == kinds
    assert {kind: make()[1].kind for kind, make in SAMPLES.items()} == {kind: kind for kind in kinds}


@pytest.mark.parametrize("kind", CHANGES)
def test_done_is_false_before_and_true_after_do(kind: str) -> None:
    world, o, step = change(kind)
    assert not step.done(o)

    act(o, step)

    world.clock.sleep(120)  # what was asked for has come about: a reboot, a new host
    assert step.done(o)


def test_a_release_prepared_with_another_config_is_not_prepared() -> None:
    _, o, step = change("prepare")
    assert isinstance(step, Prepare)
    act(o, step)

    other = step.model_copy(update={"release": step.release.model_copy(update={"config": {"MODE": "other"}})})

    assert step.done(o)
    assert not other.done(o)


def test_a_host_and_rmu_fingerprint_a_setup_alike() -> None:
    release = fresh().release("v42").model_copy(update={"config": {"B": "2", "A": "1"}, "secrets": ("KEY", "A")})
    record = {"config": {"A": "1", "B": "2"}, "secrets": ["KEY", "A"], "database": DATABASE.model_dump()}

    assert release.setup(DATABASE) == host_survey.setup(record)


@pytest.mark.parametrize("kind", CHANGES)
def test_done_has_no_effect(kind: str) -> None:
    world, o, step = change(kind)
    before = world.everything()

    step.done(o)

    assert world.everything() == before


@pytest.mark.parametrize("kind", CHANGES)
def test_doing_twice_is_doing_once(kind: str) -> None:
    world, o, step = change(kind)
    act(o, step)
    world.clock.sleep(120)
    once = world.footprint()

    act(o, step)

    world.clock.sleep(120)
    assert world.footprint() == once


@pytest.mark.parametrize("kind", CHANGES)
def test_a_request_sent_twice_under_one_fence_acts_once(kind: str) -> None:
    world, o, step = change(kind)
    fence = Fence(generation=1, sequence=7)
    act(o, step, fence=fence)
    logs = [list(h.log) for h in world.hosts]

    act(o, step, fence=fence)

    assert [h.log for h in world.hosts] == logs


@pytest.mark.parametrize("kind", CHANGES)
def test_undo_restores(kind: str) -> None:
    world, o, step = change(kind)
    undo = step.undo()
    if undo is None:
        assert kind in LEAVES_TRACES_THAT_HARM_NOTHING
        return
    before = seen_by_people(world)
    act(o, step)
    assert seen_by_people(world) != before

    act(o, undo)

    assert seen_by_people(world) == before
    assert undo.done(o)


@pytest.mark.parametrize("kind", CHANGES)
def test_the_undo_of_what_was_started_but_never_acted_is_harmless(kind: str) -> None:
    world, o, step = change(kind)
    undo = step.undo()
    before = seen_by_people(world)
    if undo is None:
        return

    act(o, undo)

    assert seen_by_people(world) in (before, {**before, "workers": {"v41"}})
    assert not world.lost


@pytest.mark.parametrize("kind", CHANGES)
def test_no_change_loses_a_request(kind: str) -> None:
    world, o, step = change(kind)

    act(o, step)
    if undo := step.undo():
        act(o, undo)

    assert world.lost == []
    assert world.broken == []


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_never_changes_anything(kind: str) -> None:
    world, step = SAMPLES[kind]()
    assert isinstance(step, Check)
    before = world.everything()

    step.look(world.outside())

    assert world.everything() == before


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_a_step_survives_the_journal(kind: str) -> None:
    _, step = SAMPLES[kind]()

    assert parse_step(step.model_dump(mode="json")) == step


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_a_title_reads_after_a_number(kind: str) -> None:
    title = SAMPLES[kind]()[1].title()

    assert title == title.strip() and "\n" not in title and not title.endswith(".") and title[0].islower()


LEAVES_TRACES_THAT_HARM_NOTHING = {
    "prune_images",  # what is needed again is pulled again
    "renew_secret",  # the value of before may be known to somebody
    "bring_along",  # after the fence
    "apply_salvage",  # a fence: rows that were given back stay
    "compute_salvage",  # files in the bucket, which expire
    "change_in_corner",  # goes with the drill's host and database
    "end_drill_host",  # itself the undo of its launch
    "move_reminder",  # at the end of a drill that went well
    "drop_database",  # itself the undo of a restore
    "let_requests_go",  # a hold ends by itself anyway
    "move_sequences",  # a gap between keys
    "record_restore",  # after the fence
    "renew_passwords",  # on an instance that the undo of its restore drops
    "retire_database",  # a fence
    "settle_database",  # as renew_passwords
    "warm_database",  # as renew_passwords
    "adopt_database",  # Terraform has no way back: a fence
    "apply_infra",  # the same
    "contract",  # a fence: only a restore leads back
    "rehearse_contract",  # as rehearse
    "rehearse",  # on a copy that the undo of its restore drops
    "note_point",  # a moment that nobody needs to go back to
    "destroy_infra",  # the same
    "ensure_secrets",  # never touches an existing one
    "make_roles",  # today's roles are today's truth
    "migrate",  # expand only: the old code runs on the new schema
    "note_restore_point",  # a record with verdict unknown is no candidate for a rollback
    "prepare",  # beside what serves
    "reboot_host",  # it stands by, and comes back as it was
    "replace_host",  # a fence
    "retire",  # a fence: the deploy is recorded before it
    "sql",  # a session that was ended: its client connects anew
}


def seen_by_people(world: FakeWorld) -> dict[str, object]:
    """Tell the state without the records' verdicts and protected images, which are history and stay."""
    return {
        "serving": world.serving(),
        "behind": [h.behind() for h in world.hosts],
        "running": world.running(),
        "workers": world.workers(),
        "pointer": world.pointer(),
        "states": {h.id: h.state for h in world.hosts},
        "held": [h.held_until is not None for h in world.hosts],
        "databases": {name: world.stores[name].open for name in world.databases},
        "admitted": {name: world.database_settings[name].security_groups for name in world.databases},
        "corner": {run: [s.running for _, s in host.filled()] for run, (host, _) in world.drill_hosts.items()},
        "paused": world.queue.paused if world.queue else None,
    }
