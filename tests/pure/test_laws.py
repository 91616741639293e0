"""The laws every kind of step must keep, tried on one sample of each in a behaving world.

A `done()` that lies breaks resume; a `do()` that is not safe to repeat breaks a retry; an undo that does not restore
breaks unwinding. A kind without a sample fails here.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from rmu_host import survey as host_survey

from ratemyunit_ops.model import Facts, Fence, PlanSummary
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change, Check, Step
from ratemyunit_ops.steps.checks import Bake, ImageFit, Proven, Ready, StillWorks
from ratemyunit_ops.steps.database import Migrate, NoteRestorePoint
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
from ratemyunit_ops.steps.kinds import AnyStep, parse_step
from ratemyunit_ops.steps.releases import RecordRelease
from ratemyunit_ops.steps.traffic import Serve
from tests.fakes import BEGIN, DATABASE, FakeWorld

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


def fresh() -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v42")
    world.live("v41")
    return world


def flipped(*, backed: bool) -> FakeWorld:
    """Make a world where v42 took over from v41 and the bake is on."""
    world = old_and_new()
    for host in world.hosts:
        host.live, host.backed = "green", backed
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


SAMPLES: dict[str, Callable[[], Sample]] = {
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
    "destroy_infra": lambda: (built(), DestroyInfra(root="stack", variables={}, fence=True)),
    "ensure_secrets": lambda: (fresh(), EnsureSecrets(names=("app/secret_key", "db/app_password"))),
    "host_back": lambda: (fresh(), HostBack(host="i-1", booted=10.0)),
    "hosts_in_service": lambda: (fresh(), HostsInService()),
    "image_fit": lambda: (w := fresh(), ImageFit(release=w.release("v42").ref, base="v41")),
    "make_roles": lambda: (fresh(), MakeRoles(database=DATABASE.identifier)),
    "migrate": lambda: (w := old_and_new(head="0002"), Migrate(release=w.record("v42").ref, head="0002")),
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
    "stop_release": lambda: (
        w := old_and_new(),
        StopRelease(release=w.record("v42").ref, schema_head="0001", resume_worker=w.record("v41").ref),
    ),
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
    "adopt_database",  # Terraform has no way back: a fence
    "apply_infra",  # the same
    "destroy_infra",  # the same
    "ensure_secrets",  # never touches an existing one
    "make_roles",  # today's roles are today's truth
    "migrate",  # expand only: the old code runs on the new schema
    "note_restore_point",  # a record with verdict unknown is no candidate for a rollback
    "prepare",  # beside what serves
    "reboot_host",  # it stands by, and comes back as it was
    "replace_host",  # a fence
    "retire",  # a fence: the deploy is recorded before it
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
    }
