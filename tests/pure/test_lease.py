"""Who may act: the heartbeat, the take-over, and what a laptop that wakes up may still do (nothing)."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

import pytest

from ratemyunit_ops.engine import lease as leases
from ratemyunit_ops.engine.journal import begin
from ratemyunit_ops.engine.lease import LET_GO, Lease, acquire, take_over
from ratemyunit_ops.errors import Busy, LeaseLost, LedgerDown
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.records import held, read_lease
from tests.fakes import BEGIN, FakeWorld
from tests.fakes.operator import KILLED, Operator, outcome

START = Lease.start
"""The product's own, before the fixture of this directory lets leases beat by the fake clock."""


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v42")
    world.live("v41")
    return world


def item(world: FakeWorld) -> LeaseView:
    seen = read_lease(world.outside().ledger)
    assert seen is not None
    return seen


def test_a_lease_beats_every_five_seconds_in_a_thread_of_its_own(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "start", START)
    monkeypatch.setattr(leases, "BEAT_EVERY", timedelta(milliseconds=5))

    lease = acquire(world.outside(), "r-1", "ann@laptop")
    until = time.monotonic() + 5
    while item(world).heartbeat < 2 and time.monotonic() < until:
        time.sleep(0.005)
    lease.free()

    assert timedelta(seconds=30) == leases.STALE_AFTER
    assert item(world).heartbeat >= 2
    assert not held(item(world))


def test_a_lease_beats_through_a_long_wait(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop")

    world.clock.sleep(300)

    assert item(world).heartbeat == 60


def test_a_held_lease_is_busy_and_says_who_and_what_to_type(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop").beat("serve v42")

    with pytest.raises(Busy, match="ann@laptop holds this environment: run r-1, now at: serve v42") as told:
        acquire(world.outside(), "r-2", "bob@ci")

    assert "rmu resume r-1" in told.value.next


def test_a_living_run_is_never_taken_over(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop")

    with pytest.raises(Busy):
        take_over(world.outside(), "r-1", "bob@ci")

    assert world.clock.seconds < 10  # the first beat seen is enough
    assert item(world).owner == "ann@laptop"


def test_a_dead_run_is_taken_over_after_thirty_seconds_by_the_takers_own_clock(world: FakeWorld) -> None:
    o = world.outside()
    acquire(o, "r-1", "ann@laptop")
    world.clock.forget(o.clock._line)  # type: ignore[attr-defined]  # the process is gone, and its thread with it
    world.clock.sleep(3600)  # however long it has been dead: the item's own times mean nothing
    begun = world.clock.seconds

    lease = take_over(world.outside(), "r-1", "bob@ci")

    assert world.clock.seconds - begun == 30
    assert lease.view.generation == 2
    assert item(world).owner == "bob@ci"


def test_a_run_that_let_go_is_taken_over_at_once(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop").let_go()
    assert item(world).heartbeat == LET_GO

    take_over(world.outside(), "r-1", "bob@ci")

    assert world.clock.seconds == 0


def test_a_run_that_let_go_still_keeps_others_out(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop").let_go()

    with pytest.raises(Busy, match="was left half-done"):
        acquire(world.outside(), "r-2", "bob@ci")


def test_a_freed_lease_is_taken_at_once_and_its_generation_grows(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop").free()

    lease = acquire(world.outside(), "r-2", "bob@ci")

    assert (world.clock.seconds, lease.view.generation) == (0, 2)


def test_of_two_takers_one_wins(world: FakeWorld) -> None:
    acquire(world.outside(), "r-1", "ann@laptop").let_go()
    bob, eve = world.outside("bob@ci"), world.outside("eve@laptop")
    seen = read_lease(bob.ledger)

    leases.take(bob, seen, "r-1", "bob@ci")
    with pytest.raises(LeaseLost):
        leases.take(eve, seen, "r-1", "eve@laptop")

    assert item(world).owner == "bob@ci"


def test_of_two_people_watching_a_dead_run_one_resumes_it(world: FakeWorld) -> None:
    world.kill_after_event(10)
    assert Operator(world).deploy("v42").code == KILLED

    ended = world.clock.together(
        partial(Operator(world, "bob@ci").resume, "r-001"), partial(Operator(world, "eve@laptop").resume, "r-001")
    )

    assert sorted(e.code for e in ended) == [0, 4]  # type: ignore[attr-defined]
    assert outcome(world, "r-001") == "done"
    assert world.lost == []


def test_a_carrier_that_wakes_after_a_take_over_cannot_write_so_cannot_act(world: FakeWorld) -> None:
    """A laptop sleeps through its own bake: closed lid, no beat. Somebody resumes; then the lid opens."""
    asleep = world.outside("ann@laptop")
    lease = acquire(asleep, "r-1", "ann@laptop")
    plan = Operator(world).deploy("v42", dry_run=True).screen.planned
    assert plan is not None
    journal = begin(asleep, plan, token=lease.view.token, who="ann@laptop", because="")
    world.clock.forget(asleep.clock._line)  # type: ignore[attr-defined]
    take_over(world.outside("bob@ci"), "r-1", "bob@ci")

    with pytest.raises(LeaseLost):
        journal.write("started", 0)
    with pytest.raises(LeaseLost):
        lease.beat()

    assert not lease.may_act()
    assert item(world).owner == "bob@ci"


def test_ending_a_lease_that_was_taken_over_leaves_the_new_holder_alone(world: FakeWorld) -> None:
    old = acquire(world.outside(), "r-1", "ann@laptop")
    old.let_go()
    take_over(world.outside(), "r-1", "bob@ci")

    old.free()

    assert item(world).owner == "bob@ci"
    assert held(item(world))


def test_no_step_is_started_after_twenty_seconds_without_a_beat(world: FakeWorld) -> None:
    o = world.outside()
    lease = acquire(o, "r-1", "ann@laptop")
    world.clock.forget(o.clock._line)  # type: ignore[attr-defined]

    world.clock.sleep(19)
    assert lease.may_act()
    world.clock.sleep(1)
    assert not lease.may_act()


def test_a_carrier_that_could_not_beat_for_twenty_seconds_stops_before_its_next_step(world: FakeWorld) -> None:
    def no_beats() -> None:
        for nth in range(1, 40):
            world.fail("ledger.put_lease", LedgerDown("no route", next=""), nth=nth)

    world.clock.later(1, no_beats)

    ended = Operator(world).deploy("v42", bake="60s")

    assert ended.code == LeaseLost.exit_code
    assert "no further step was started" in ended.why
    assert "record" in ended.failure.state
    assert world.pointer().release == "v41"
    assert world.serving() == {"v42"}


def test_a_beat_that_fails_now_and_then_stops_nothing(world: FakeWorld) -> None:
    for nth in (2, 3, 20):
        world.fail("ledger.put_lease", LedgerDown("a hiccup", next=""), nth=nth)
    lease = acquire(world.outside(), "r-1", "ann@laptop")

    world.clock.sleep(300)

    assert lease.may_act()
    assert item(world).heartbeat == 57


def test_the_item_tells_the_step_that_runs(world: FakeWorld) -> None:
    seen: list[str] = []
    world.clock.later(30, lambda: seen.append(item(world).step))

    Operator(world).deploy("v42", bake="60s")

    assert seen == ["bake"]
    assert world.clock.now() > BEGIN
