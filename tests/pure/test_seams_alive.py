"""The process lives, but something else goes wrong at every seam: a step, the ledger, a person, a host.

As in test_seams, the seams are those of a real run's journal.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ratemyunit_ops.engine.journal import ask_cancel, event_key
from ratemyunit_ops.errors import Failed, LedgerDown
from tests.fakes import FakeWorld
from tests.fakes.operator import Operator, outcome
from tests.pure.test_seams import (
    RUN,
    SCENARIOS,
    SEAMS,
    UNSERVED,
    Scenario,
    Seam,
    as_if_undisturbed,
    converged,
    like,
    nothing_acknowledged_is_lost,
)

NAMES = ("deploy", "first deploy", "warm rollback", "cold rollback", "wrong answers", "restore")
MENDS = {"note_restore_point", "renew_passwords"}
"""Steps that have another way where their first one fails."""
MOVES = [s for s in SCENARIOS if s.name in NAMES]


def seams(*, when: str, kinds: tuple[str, ...] = (), first: int = 0) -> list[pytest.ParameterSet]:  # type: ignore[name-defined]
    """List the seams of the moves: of all events, or of some kinds, from a number on. Quick: a restore's worst ones."""
    return [
        pytest.param(*case.values, id=case.id, marks=[] if is_quick(*case.values) else [pytest.mark.long])
        for case in SEAMS
        if case.values[0] in MOVES
        and case.values[1].when == when
        and case.values[1].number >= first
        and (not kinds or case.values[1].what.split()[0] in kinds)
    ]


def is_quick(scenario: Scenario, seam: Seam) -> bool:
    return scenario.name != "restore" or worst(seam)


def worst(seam: Seam) -> bool:
    return seam.what.split()[-1] in UNSERVED | {"hold_requests"}


def finish(world: FakeWorld) -> None:
    """Resume what is open, as the failure told to, until it is closed."""
    for _ in range(3):
        if outcome(world, RUN) is None:
            Operator(world, "bob@ci").resume(RUN)


def at_event(world: FakeWorld, number: int, do: Callable[[], object]) -> None:
    """Let something happen right after an event was written."""
    world.on_event(event_key(number), do)


@pytest.mark.parametrize("acted", ["nowhere", "on one host", "everywhere"])
@pytest.mark.parametrize(("scenario", "seam"), seams(when="cut off after", kinds=("started",)))
def test_a_change_that_fails_is_unwound_however_far_it_came(scenario: Scenario, seam: Seam, acted: str) -> None:
    world = scenario.world()
    before = scenario.world()
    why = Failed("no answer", next="rmu status")
    if acted == "on one host":
        world.cut_off_after_event(seam.number, why)
    else:
        call, when = ("*", "before") if acted == "nowhere" else ("*", "after")
        at_event(world, seam.number, lambda: world.faults.add(call, when, why))

    ended = scenario.command(Operator(world))

    assert ended.code in {5, 6} or (ended.code == 0 and seam.what.split()[-1] in MENDS)
    finish(world)
    converged(world)
    if outcome(world, RUN) == "rolled_back":
        assert (world.serving(), world.running()) == (before.serving(), before.running())
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(("scenario", "seam"), seams(when="before", first=1))
def test_a_ledger_that_fails_at_any_event_leaves_a_run_that_resume_ends(
    scenario: Scenario, seam: Seam, written: bool
) -> None:
    world = scenario.world()
    world.fail(event_key(seam.number), LedgerDown("no answer", next=""), acted=written)

    ended = scenario.command(Operator(world))

    assert ended.code == 6
    finish(world)
    converged(world)
    assert like(world) == as_if_undisturbed(scenario)
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize(("scenario", "seam"), seams(when="after"))
def test_a_cancel_at_any_event_unwinds_or_comes_too_late(scenario: Scenario, seam: Seam) -> None:
    world = scenario.world()
    before = scenario.world()
    at_event(world, seam.number, lambda: ask_cancel(world.outside("bob@ci"), RUN, who="bob@ci", because="not this one"))

    ended = scenario.command(Operator(world))

    assert ended.code in {0, 5}
    converged(world)
    if ended.code == 5:
        assert (world.serving(), world.running()) == (before.serving(), before.running())
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize(("scenario", "seam"), seams(when="after"))
def test_an_interrupt_at_any_event_is_resumable(scenario: Scenario, seam: Seam) -> None:
    world = scenario.world()
    pressed: list[bool] = []
    at_event(world, seam.number, lambda: pressed.append(True))

    ended = scenario.command(Operator(world, interrupted=lambda: bool(pressed)))

    assert ended.code in {130, scenario.code}
    finish(world)
    converged(world)
    assert like(world) == as_if_undisturbed(scenario)
    nothing_acknowledged_is_lost(world)


@pytest.mark.parametrize(("scenario", "seam"), seams(when="after"))
def test_f28_a_host_that_is_replaced_at_any_event_ends_up_serving_what_the_others_serve(
    scenario: Scenario, seam: Seam
) -> None:
    world = scenario.world()
    at_event(world, seam.number, lambda: world.replace_host("i-1"))

    scenario.command(Operator(world))
    world.clock.sleep(120)
    if outcome(world, RUN) is None:
        Operator(world, "bob@ci").abandon(RUN)

    assert world.lost == []
    assert outcome(world, RUN) is not None
    assert world.serving() == {world.pointer().release}
    assert world.databases_served() == {world.live_database()}
    assert world.broken == []


def seams_of_restores() -> list[pytest.ParameterSet]:  # type: ignore[name-defined]
    """List the events of the restore; those at which a host is worst born run on every commit."""
    return [
        pytest.param(*case.values, id=case.id, marks=[] if worst(case.values[1]) else [pytest.mark.long])
        for case in SEAMS
        if case.values[0].name == "restore" and case.values[1].when == "after"
    ]


@pytest.mark.parametrize("reads_after", [0, 5])
@pytest.mark.parametrize(("scenario", "seam"), seams_of_restores())
def test_a_host_that_is_born_at_any_event_of_a_restore_ends_up_on_the_database_that_takes_writes(
    scenario: Scenario, seam: Seam, reads_after: int
) -> None:
    world = scenario.world()
    at_event(world, seam.number, lambda: world.bear_host(reads_after=reads_after))

    ended = scenario.command(Operator(world))
    world.clock.sleep(120)
    finish(world)

    assert ended.code in {0, 3, 5}
    converged(world)
    assert len(world.hosts) == 3
    nothing_acknowledged_is_lost(world)
