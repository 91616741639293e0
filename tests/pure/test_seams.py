"""kill -9 at every seam of every kind of run; then resume, the same command again, or abandon.

Seams are not listed by hand: each scenario is run once, undisturbed, and every event of its journal gives a kill just
before it is written, just after, and, where a change was started, one in the middle of the change (the first host has
acted, the answer is lost). Whatever happens, no request may be lost and nothing may be left half-done without a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, Literal

import pytest

from ratemyunit_ops.cli import restoring
from ratemyunit_ops.cli.moves import Asked
from ratemyunit_ops.cli.queues import set_queue
from ratemyunit_ops.engine.journal import KINDS, ask_cancel
from ratemyunit_ops.model import LiveNote, PendingMigration, QueueView
from ratemyunit_ops.records import holder, live_entry, read_databases
from ratemyunit_ops.shipped import shipped
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.kinds import parse_plan
from tests.fakes import BEGIN, DATABASE, FakeWorld
from tests.fakes.operator import KILLED, Ended, Operator, journal, outcome
from tests.fakes.patches import own_the_time, type_commands
from tests.fakes.sick import (
    hung_worker,
    leaking_app,
    old_certificate,
    runbook,
    shut_out,
    starving_host,
    waits_for,
)

RUN = "r-001"
When = Literal["before", "after", "cut off after"]


@dataclass(frozen=True)
class Scenario:
    """A command in a world, and how it ends when nobody kills it."""

    name: str
    world: Callable[[], FakeWorld]
    command: Callable[[Operator], Ended]
    code: int
    begun: Callable[[FakeWorld], None] = lambda world: None
    again: Callable[[Operator], Ended] | None = None
    cools: frozenset[str] = frozenset()
    """Releases that stop being warm on the way, which no undo makes good."""
    quick: frozenset[str] | None = None
    """Which of the tests below run on every commit; the rest of them are long. None: resume, and all for CORE."""


@dataclass(frozen=True)
class Seam:
    """Where the process is killed."""

    when: When
    number: int
    what: str
    first: bool
    """Whether the command had not written anything yet."""

    @property
    def leaves_work(self) -> bool:
        """Tell whether there is something to go on with: a run that had begun, and was not closed."""
        return not self.first and (self.when, self.what) != ("after", "closed")

    def arm(self, world: FakeWorld) -> None:
        arms = {
            "before": world.kill_before_event,
            "after": world.kill_after_event,
            "cut off after": world.cut_off_after_event,
        }
        arms[self.when](self.number)


# -- the worlds ------------------------------------------------------------------------------------------------------


def nothing_live() -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v43", head="0002")
    return world


def v41_live() -> FakeWorld:
    world = nothing_live()
    world.push("v42", head="0002")
    world.live("v41")
    return world


def v42_live(*, v41: Literal["warm", "stopped", "gone"]) -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v42")
    world.push("v43")
    world.live("v42")
    world.beside("v41", running=v41 == "warm")
    if v41 == "gone":
        for host in world.hosts:
            host.slots["green"] = None
            host.images.discard(world.images["v41"].digest)
    return world


def never_ready() -> FakeWorld:
    world = v41_live()
    world.never_ready.add("v42")
    return world


def wrong_answers() -> FakeWorld:
    world = v41_live()
    world.smoke_fails.add("v42")
    return world


def record_fails() -> FakeWorld:
    world = v41_live()
    world.keep_fails.add("v42")
    return world


def rollback_cannot_be_recorded() -> FakeWorld:
    world = v42_live(v41="warm")
    world.keep_fails.add("v41")
    return world


def first_record_fails() -> FakeWorld:
    world = nothing_live()
    world.keep_fails.add("v41")
    return world


def cancelled_in_the_bake() -> FakeWorld:
    world = v41_live()
    world.clock.later(4, lambda: ask_cancel(world.outside("bob@ci"), RUN, who="bob@ci", because="search is empty"))
    return world


def v42_prepared_before() -> FakeWorld:
    """Make a world whose hosts hold v42 already: a resume finds `prepare` true without having started it."""
    world = v41_live()
    world.beside("v42", running=False)
    return world


def something_to_contract() -> FakeWorld:
    """Make a world whose live release has a contract revision behind its head."""
    world = FakeWorld()
    phases: tuple[Literal["expand", "contract"], ...] = ("expand", "contract")
    listed = enumerate(phases, start=1)
    world.push(
        "v41", revisions=tuple(PendingMigration(revision=f"{n:04}", phase=p, oldest_code="0001") for n, p in listed)
    )
    world.push("v43", head="0002")
    world.live("v41")
    return world


def written_to(world: FakeWorld) -> FakeWorld:
    """Let clients write all the time, for seven minutes already: there is something to restore, and to leave behind."""
    world.clock.every(25, world.send_requests, owner=world)
    world.clock.sleep(420)
    return world


def something_to_restore() -> FakeWorld:
    return written_to(v41_live())


def v41_was_live() -> FakeWorld:
    """Make a world where v41 served until six minutes ago, when v42 brought its schema."""
    world = v42_live(v41="stopped")
    first, second = BEGIN - timedelta(hours=1), BEGIN + timedelta(minutes=1)
    for at, version in ((first, "v41"), (second, "v42")):
        note = LiveNote(at=at, release=version, database=DATABASE, resource_id="db-RESOURCE1", run=f"r-{version}")
        world.put(live_entry(note))
    return written_to(world)


def settings_get_lost() -> FakeWorld:
    world = something_to_restore()
    world.restore_drops["security_groups"] = ("sg-default",)
    world.never_settles.add("security_groups")
    return world


def fence_fails() -> FakeWorld:
    world = something_to_restore()
    world.sequences_stuck = True
    return world


def restored_once() -> FakeWorld:
    """Make a world with a restore behind it, not salvaged yet."""
    world = something_to_restore()
    numbers = count(900)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "new_run_id", lambda: f"r-{next(numbers)}")
        assert Operator(world).restore(to="130s ago").code == 0
    world.clock.sleep(100)
    return world


def salvaged() -> FakeWorld:
    """Make a world whose restore was salvaged and adopted: what it superseded may go."""
    world = restored_once()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "new_run_id", lambda: "r-950")
        assert Operator(world).salvage("r-900").code == 0
    world.places["database"] = world.live_database()
    return world


def something_to_rehearse() -> FakeWorld:
    """Make a world where the next release brings an expand and a contract revision."""
    world = v41_live()
    phases: tuple[Literal["expand", "contract"], ...] = ("expand", "expand", "contract")
    listed = enumerate(phases, start=1)
    revisions = tuple(PendingMigration(revision=f"{n:04}", phase=p, oldest_code="0001") for n, p in listed)
    world.push("v44", head="0002", revisions=revisions)
    return world


def paused_by_somebody() -> FakeWorld:
    world = v41_live()
    world.queue = QueueView(waiting=2, running=0, paused=True, paused_by="bob@ci", paused_at=BEGIN, because="it burns")
    return world


def images_that_nobody_needs() -> FakeWorld:
    world = v41_live()
    for host in world.hosts:
        host.images.add("sha256:nobody")
    return world


def password_changed_by_hand() -> FakeWorld:
    world = v42_live(v41="warm")
    world.outdate("db/app_password")
    return world


def killed_after(number: int) -> Callable[[FakeWorld], None]:
    def begin(world: FakeWorld) -> None:
        world.kill_after_event(number)
        assert Operator(world).deploy("v42").code == KILLED

    return begin


def interrupted(who: Operator) -> Ended:
    """Press Ctrl-C during the bake."""
    world = who.world
    return Operator(world, who.who, interrupted=lambda: world.clock.seconds > 4).deploy("v42")


def deploy(who: Operator) -> Ended:
    return who.deploy("v42")


def restore(who: Operator) -> Ended:
    return who.restore(to="130s ago")


def restore_older(who: Operator) -> Ended:
    return who.restore(to="7m ago")


def pause_restart_resume(who: Operator) -> Ended:
    return who.runbook("queue-stalled", "pause-restart-resume")


SICK: dict[tuple[str, str], Callable[[FakeWorld], object]] = {
    ("certificate-expiring", "import"): old_certificate,
    ("certificate-expiring", "validate"): old_certificate,
    ("database-connections", "end-idle-sessions"): leaking_app,
    ("host-unresponsive", "end-largest"): starving_host,
    ("queue-stalled", "pause-restart-resume"): hung_worker,
    ("queue-stalled", "restart-worker"): hung_worker,
    ("restore-wrong", "lift-fence"): shut_out,
}
"""Worlds of remedies that want more than that a command tells another thing afterwards."""


def step_remedies() -> Iterator[tuple[str, str]]:
    """Name every remedy of a runbook that ships and is no verb."""
    for path in sorted(shipped("runbooks").glob("*.yaml")):
        yield from ((path.stem, remedy.name) for remedy in runbook(path.stem).remedies if remedy.steps)


def remedy_alone(name: str, remedy: str) -> Scenario:
    """Make the scenario of a remedy that helps."""

    def world() -> FakeWorld:
        made = v41_live()
        SICK.get((name, remedy), lambda world: waits_for(world, name, remedy))(made)
        return made

    return Scenario(f"remedy {remedy} of {name}", world, lambda who: who.runbook(name, remedy), 0, quick=RESUME)


def pause(who: Operator) -> Ended:
    return who._type(lambda w: set_queue(w, "pause", Asked(because="a test", dry_run=False, yes=True)))


def let_go_on(who: Operator) -> Ended:
    return who._type(lambda w: set_queue(w, "resume", Asked(because="a test", dry_run=False, yes=True)))


RESUME = frozenset({"resume"})
CORE = frozenset({"deploy", "warm rollback"})
SCENARIOS = (
    Scenario("deploy", v41_live, deploy, 0),
    Scenario("first deploy", nothing_live, lambda who: who.deploy("v41"), 0),
    Scenario("warm rollback", lambda: v42_live(v41="warm"), lambda who: who.rollback(), 0),
    Scenario("rollback to a stopped release", lambda: v42_live(v41="stopped"), lambda who: who.rollback(), 0),
    Scenario("cold rollback", lambda: v42_live(v41="gone"), lambda who: who.rollback(), 0),
    Scenario("never ready", never_ready, deploy, 5),
    Scenario("wrong answers", wrong_answers, deploy, 5),
    Scenario("record fails", record_fails, deploy, 5),
    Scenario("first record fails", first_record_fails, lambda who: who.deploy("v41"), 5),
    Scenario("rollback whose record fails", rollback_cannot_be_recorded, lambda who: who.rollback(), 5),
    Scenario("cancelled in the bake", cancelled_in_the_bake, deploy, 5),
    Scenario("resume that finds", v42_prepared_before, lambda who: who.resume(), 0, begun=killed_after(2)),
    Scenario("resume of a flip", v41_live, lambda who: who.resume(), 0, begun=killed_after(15)),
    Scenario("abandon", v41_live, lambda who: who.abandon(), 0, begun=killed_after(20)),
    Scenario("host reboot", v41_live, lambda who: who.reboot("i-1"), 0),
    Scenario("host replace", v41_live, lambda who: who.replace("i-1"), 0),
    Scenario("interrupted", v41_live, interrupted, 130, again=deploy),
    Scenario("migrate up", v41_live, lambda who: who.migrate_up("v42"), 0, quick=RESUME),
    Scenario("contract", something_to_contract, lambda who: who.migrate_up(contract=True), 0, quick=RESUME),
    Scenario("rehearsal", v41_live, lambda who: who.rehearse("v42"), 0, quick=RESUME),
    Scenario("rehearsal of a contract", something_to_rehearse, lambda who: who.rehearse("v44"), 0, quick=RESUME),
    Scenario("restore", something_to_restore, restore, 0, quick=frozenset({"resume", "abandon"})),
    Scenario("restore of an older release", v41_was_live, restore_older, 0, quick=frozenset({"abandon"})),
    Scenario("second restore, to later", restored_once, lambda who: who.restore(latest=True), 0, quick=RESUME),
    Scenario("restore whose settings get lost", settings_get_lost, restore, 5, quick=RESUME),
    Scenario("restore that fails once fenced", fence_fails, restore, 5, quick=RESUME),
    Scenario(
        "remedy that does not help",
        lambda: hung_worker(v41_live(), a_restart_helps=False),
        pause_restart_resume,
        5,
        quick=RESUME,
    ),
    Scenario("queue pause", v41_live, pause, 0, quick=RESUME),
    Scenario("queue resume", paused_by_somebody, let_go_on, 0, quick=RESUME),
    Scenario("host prune", images_that_nobody_needs, lambda who: who.prune(), 0, quick=RESUME),
    Scenario(
        "secret renew",
        password_changed_by_hand,
        lambda who: who.renew(),
        0,
        cools=frozenset({"v41"}),
        quick=RESUME,
    ),
    *(remedy_alone(name, remedy) for name, remedy in step_remedies()),
    Scenario("salvage", restored_once, lambda who: who.salvage("r-900"), 0, quick=RESUME),
    Scenario("look of a salvage", restored_once, lambda who: who.salvage("r-900", apply=False), 0, quick=RESUME),
    Scenario(
        "forget",
        salvaged,
        lambda who: who.forget(DATABASE.identifier, types=DATABASE.identifier),
        0,
        quick=RESUME | {"again", "abandon"},
    ),
)


# -- the seams, from real journals -----------------------------------------------------------------------------------


def undisturbed(scenario: Scenario) -> tuple[FakeWorld, int]:
    """Run a scenario to its end; answer the world and the number of the command's first event."""
    world = scenario.world()
    scenario.begun(world)
    first = len(journal(world)) if ("run", RUN) in world.table.items else 0
    ended = scenario.command(Operator(world))
    assert ended.code == scenario.code, (scenario.name, ended)
    return world, first


def seams_of(scenario: Scenario) -> Iterator[Seam]:
    world, first = undisturbed(scenario)
    events = journal(world)
    steps = parse_plan(events[0].facts["plan"]).steps
    for e in events[first:]:
        what = e.kind if e.step is None else f"{e.kind} {steps[e.step].kind}"
        yield Seam("before", e.number, what, first=e.number == first)
        yield Seam("after", e.number, what, first=False)
        if e.kind in {"started", "undo-started"} and e.step is not None and isinstance(steps[e.step], Change):
            yield Seam("cut off after", e.number, what, first=False)


def all_seams() -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        own_the_time(patch)
        cases = []
        for scenario in SCENARIOS:
            type_commands(patch)
            cases += [
                pytest.param(scenario, seam, id=f"{scenario.name}: {seam.when} {seam.what} ({seam.number})")
                for seam in seams_of(scenario)
            ]
        return cases


SEAMS = all_seams()


def cases(test: str) -> list[Any]:
    """List the seams for a test; those of a scenario that is not quick there are long."""
    return [
        pytest.param(*case.values, id=case.id, marks=[] if is_quick(test, *case.values) else [pytest.mark.long])
        for case in SEAMS
        if test != "born" or (case.values[0].name.startswith("restore") and not case.values[1].first)
    ]


def is_quick(test: str, scenario: Scenario, seam: Seam) -> bool:
    """Tell whether a case runs on every commit. Before a start is where the step before it was done.

    Of the rarer restores only the worst seams do: the change has acted, and nobody heard of it.
    """
    if scenario.quick is None:
        return scenario.name in CORE or (test == "resume" and seam.when == "cut off after")
    if test == "born":
        return scenario.name == "restore" and seam.when == "after" and seam.what.split()[-1] in UNSERVED
    rare = scenario.name not in {"restore", "remedy import of certificate-expiring"}
    worth = seam.when == "cut off after" if rare else (seam.when, seam.what.split()[0]) != ("before", "started")
    return test in scenario.quick and worth


def killed(scenario: Scenario, seam: Seam) -> FakeWorld:
    world = scenario.world()
    scenario.begun(world)
    seam.arm(world)
    assert scenario.command(Operator(world)).code == KILLED, "the seam was not met"
    return world


def begun(world: FakeWorld) -> bool:
    return ("run", RUN) in world.table.items


def closed(world: FakeWorld) -> bool:
    return begun(world) and outcome(world) is not None


def converged(world: FakeWorld) -> None:
    """Assert that nothing is half-done: one release serves everywhere and works, nothing else is owned or lost."""
    assert world.lost == []
    assert holder(world.outside().ledger) is None
    assert world.serving() == {world.pointer().release}
    assert world.workers() == {world.pointer().release}
    assert {h.behind() for h in world.hosts} == {None}
    assert {i.state for i in world.instances()} == {"InService"}
    assert world.broken == []
    assert world.databases_served() == {world.live_database()}
    assert {h.held_until for h in world.hosts} == {None}


def nothing_acknowledged_is_lost(world: FakeWorld) -> None:
    """Salvage every superseded database, and compare with what clients were told: restored + salvaged is all of it.

    One that is gone by now gave its rows back before.
    """
    noted = read_databases(world.outside().ledger)
    superseded = [n for n in noted if n.state == "superseded" and n.identifier in world.databases]
    for note in sorted(superseded, key=lambda n: str(n.superseded_at), reverse=True):
        assert note.superseded_by is not None
        assert Operator(world).salvage(note.superseded_by).code == 0
    assert world.clients.acknowledged == {k: v for k, (v, _) in world.stores[world.live_database()].rows.items()}


UNSERVED = {"fence_database", "move_sequences", "point_to", "serve"}
"""Steps of a cut-over: who is killed between fence and flip leaves requests refused, which nobody acknowledged."""


def refused_only_between_fence_and_flip(world: FakeWorld, seam: Seam) -> None:
    assert not world.clients.refused or seam.what.split()[-1] in UNSERVED


def like(world: FakeWorld) -> dict[str, Any]:
    """Tell what a run has led to, whoever finished it and when. How far one came that was undone does not matter."""
    seen = world.footprint()
    if outcome(world) == "rolled_back":
        return {
            "serving": world.serving(),
            "running": world.running(),
            "pointer": world.pointer(),
            "databases": seen["databases"],
        }
    verdicts = {sk: world.record(sk.removeprefix("release#")).verdict for sk in seen["records"]}
    alike = {name: seen[name] for name in ("hosts", "pointer", "schema", "databases")}
    return {**alike, "verdicts": verdicts}


@cache
def as_if_undisturbed(scenario: Scenario) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        type_commands(patch)
        world, _ = undisturbed(scenario)
        if not closed(world):
            assert Operator(world).resume().code == 0
    converged(world)
    return like(world)


# -- the cases -------------------------------------------------------------------------------------------------------


def test_every_kind_of_event_is_a_seam_somewhere() -> None:
    kinds = {case.values[1].what.split()[0] for case in SEAMS}

    assert kinds == set(KINDS)


@pytest.mark.parametrize(("scenario", "seam"), cases("resume"))
def test_resume_ends_a_killed_run_as_if_nobody_had_killed_it(scenario: Scenario, seam: Seam) -> None:
    world = killed(scenario, seam)
    was_closed, had_begun = closed(world), begun(world)

    ended = Operator(world, "bob@ci").resume(RUN)

    assert (ended.code == 3) == (was_closed or not had_begun)
    assert not had_begun or closed(world)
    assert world.lease_is_free()
    assert world.lost == []
    refused_only_between_fence_and_flip(world, seam)
    if had_begun and not seam.first:
        converged(world)
        assert like(world) == as_if_undisturbed(scenario)
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize(("scenario", "seam"), cases("again"))
def test_the_same_command_again_ends_a_killed_run(scenario: Scenario, seam: Seam) -> None:
    world = killed(scenario, seam)
    was_closed = closed(world)

    ended = (scenario.again or scenario.command)(Operator(world, "bob@ci"))

    # Once it is over, the session or the process that it would end may be nobody's any more: 2.
    assert ended.code in ({0, 2, 3, 5} if was_closed else {0, 3, 5})
    assert not begun(world) or closed(world)
    converged(world)
    if not was_closed and not seam.first:
        assert like(world) == as_if_undisturbed(scenario)


@pytest.mark.parametrize("again", ["after resumed", "cut off in its first step"])
@pytest.mark.parametrize(("scenario", "seam"), [case for case in cases("twice") if case.values[1].leaves_work])
def test_a_resume_that_is_killed_too_is_finished_by_the_next_one(scenario: Scenario, seam: Seam, again: str) -> None:
    world = killed(scenario, seam)
    resumed = len(journal(world))
    if again == "after resumed":
        world.kill_after_event(resumed)
    else:
        world.cut_off_after_event(resumed + 1)

    ended = Operator(world, "bob@ci").resume(RUN)
    if ended.code == KILLED and not closed(world):
        Operator(world, "eve@laptop").resume(RUN)

    assert closed(world)
    converged(world)
    assert like(world) == as_if_undisturbed(scenario)


@pytest.mark.parametrize("way", ["resume", "abandon"])
@pytest.mark.parametrize(("scenario", "seam"), cases("born"))
def test_a_host_born_while_a_restore_is_dead_ends_up_on_the_one_database_that_takes_writes(
    scenario: Scenario, seam: Seam, way: str
) -> None:
    """Before the pointer is moved it boots the old database, and from then on the restored one: never both."""
    world = killed(scenario, seam)
    world.bear_host()
    world.clock.sleep(120)

    ended = getattr(Operator(world, "bob@ci"), way)(RUN)
    for _ in range(2):
        if begun(world) and not closed(world):
            other = "abandon" if "rmu abandon" in ended.failure.next else "resume"
            ended = getattr(Operator(world, "bob@ci"), other)(RUN)

    assert not begun(world) or closed(world)
    if outcome(world) != "half_way":
        converged(world)
    assert world.broken == []
    assert world.databases_served() == {world.live_database()}
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize(("scenario", "seam"), cases("abandon"))
def test_abandon_unwinds_a_killed_run_or_says_that_it_is_too_late(scenario: Scenario, seam: Seam) -> None:
    world = killed(scenario, seam)
    before, was_closed, had_begun = scenario.world(), closed(world), begun(world)

    ended = Operator(world, "bob@ci").abandon(RUN)

    assert world.lost == []
    assert world.lease_is_free() == (closed(world) or not had_begun)
    if was_closed or not had_begun:
        assert ended.code == 3
        return
    if not closed(world):  # killed while it moved traffic, past its fence
        assert (ended.code, ended.failure.next) == (6, f"rmu resume {RUN}")
        assert Operator(world, "bob@ci").resume(RUN).code == 0
        converged(world)
    elif outcome(world) == "half_way":
        assert ended.code == 6
        assert "past the point of no return" in ended.failure.state
        assert world.serving() == {world.pointer().release}
        assert world.databases_served() == {world.live_database()}
    else:
        assert (ended.code, outcome(world)) == (0, "rolled_back")
        converged(world)
        assert world.serving() == before.serving()
        assert before.running() - scenario.cools <= world.running() <= before.running()
        assert world.footprint()["databases"] == before.footprint()["databases"]
    world.clock.sleep(120)  # a host that was ended has its successor by now
    after_all = Operator(world, "eve@laptop").deploy("v43")
    assert after_all.code == 0, after_all
    converged(world)
    nothing_acknowledged_is_lost(world)
