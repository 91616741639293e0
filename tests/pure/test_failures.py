"""Failures that users of other tools really had, on behaving fakes. Numbers as in docs/failures.md."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ratemyunit_ops.cli import carrying
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import ask_cancel
from ratemyunit_ops.errors import Failed, HalfWay, Refused, RolledBack, Unreachable
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.planning.infra import InfraRequest, plan_apply
from ratemyunit_ops.planning.rollback import RollbackRequest, plan_rollback
from ratemyunit_ops.records import unfinished
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.steps.kinds import parse_plan
from ratemyunit_ops.survey import ROLLBACK, facts, survey
from tests.fakes import FakeWorld, Killed
from tests.fakes.operator import KILLED, Ended, Operator, outcome, story


@pytest.fixture
def world() -> FakeWorld:
    """v41 serves; v42, v43 and v44 are pushed."""
    world = FakeWorld()
    for version in ("v41", "v42", "v43", "v44"):
        world.push(version)
    world.live("v41")
    return world


@pytest.fixture
def ann(world: FakeWorld) -> Operator:
    return Operator(world)


@pytest.fixture
def bob(world: FakeWorld) -> Operator:
    return Operator(world, "bob@ci")


def run_of(ended: Ended) -> str:
    assert ended.screen.planned is not None
    return ended.screen.planned.run


# -- F3, F4: look at what is, not at what was believed ---------------------------------------------------------------


def test_f03_a_release_whose_container_runs_another_digest_never_gets_traffic(world: FakeWorld, ann: Operator) -> None:
    world.runs_digest["v42"] = "sha256:of-last-month"

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "digest" in ended.why
    assert [h.log.count("serve") for h in world.hosts] == [0, 0]


def test_f03_the_digest_that_answers_at_the_front_door_is_compared(world: FakeWorld, ann: Operator) -> None:
    def swap() -> None:
        world.runs_digest["v42"] = "sha256:swapped-after-the-flip"

    world.on_call("fleet.serve", swap)

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "the front door did not answer as v42" in ended.why
    assert world.serving() == {"v41"}


def test_f04_traffic_is_never_moved_to_a_release_that_does_not_run(world: FakeWorld, ann: Operator) -> None:
    def dies() -> None:
        for host in world.hosts:
            slot = host.slots["green"]
            assert slot is not None
            slot.running = False

    world.on_call("fleet.ready", dies)

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "cannot serve: it does not run; traffic was not moved" in ended.why
    assert world.lost == []


# -- F12, F14, F28: a deploy takes nothing out of service ------------------------------------------------------------


def test_f12_f14_f28_no_deploy_and_no_rollback_takes_a_host_out_of_service(world: FakeWorld, ann: Operator) -> None:
    states: set[str] = set()
    for verb in ("prepare", "start", "serve", "worker", "retire"):
        world.on_call(f"fleet.{verb}", lambda: states.update(h.state for h in world.hosts))

    assert [ann.deploy("v42").code, ann.rollback().code] == [0, 0]

    assert states == {"InService"}
    assert not {call for call in world.faults.calls if call.startswith("group.")}


# -- F17, F18: no data, and one clock --------------------------------------------------------------------------------


def test_f17_a_probe_without_data_is_inconclusive_and_neither_passes_nor_rolls_back(
    world: FakeWorld, ann: Operator
) -> None:
    world.probe_sees_nothing = True

    ended = ann.deploy("v42")

    assert ended.code == 0
    assert ended.screen.document is not None
    assert ended.screen.document["probe"]["verdict"] == "inconclusive"


def test_f18_a_release_that_falls_over_in_the_bake_is_unwound_at_once_not_at_the_deadline(
    world: FakeWorld, ann: Operator
) -> None:
    world.clock.later(20, lambda: world.unhealthy.add("v42"))

    ended = ann.deploy("v42", bake="1h")

    assert ended.code == RolledBack.exit_code
    assert world.clock.seconds < 30
    assert world.serving() == {"v41"}
    assert world.lost == []  # v41 stood behind it


def test_f18_a_cancel_that_comes_while_a_person_is_asked_is_heeded_before_the_step(world: FakeWorld) -> None:
    def think(question: str) -> bool:
        if question.startswith("serve"):
            world.clock.sleep(3600)
            ask_cancel(world.outside("bob@ci"), "r-001", who="bob@ci", because="it is bad")
        return True

    ended = Operator(world, answer=think).deploy("v42", step=True)

    assert ended.code == RolledBack.exit_code
    assert [h.log.count("serve") for h in world.hosts] == [0, 0]
    assert world.running() == {"v41"}


def test_a_step_nobody_agrees_to_is_not_done_and_the_run_can_be_resumed(world: FakeWorld, bob: Operator) -> None:
    ended = Operator(world, answer=lambda question: not question.startswith("serve")).deploy("v42", step=True)

    assert ended.code == 130
    assert world.serving() == {"v41"}
    assert bob.resume().code == 0


def test_f18_a_bake_ends_by_the_clock_however_slow_each_look_is(world: FakeWorld, ann: Operator) -> None:
    world.front_door_takes = 7.0

    ended = ann.deploy("v42", bake="60s")

    assert ended.code == 0
    assert world.clock.seconds < 60 + 20 * 7


def test_f18_a_front_door_that_never_agrees_ends_at_its_deadline(world: FakeWorld, ann: Operator) -> None:
    world.on_call("fleet.serve", lambda: setattr(world, "front_door_down", True))

    ended = ann.deploy("v42", bake="1h")

    assert ended.code == RolledBack.exit_code
    assert 30 <= world.clock.seconds < 40
    assert world.serving() == {"v41"}


# -- F19, F20: the lock ----------------------------------------------------------------------------------------------


def test_f19_the_lease_is_taken_before_anything_is_pulled(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.kill_after_event(1)
    assert ann.deploy("v42").code == KILLED

    ended = bob.deploy("v43")

    assert ended.code == 4
    assert [h.pulls for h in world.hosts] == [0, 0]


def test_f19_a_cancelled_ci_job_locks_nobody_out_for_longer_than_half_a_minute(world: FakeWorld, bob: Operator) -> None:
    world.kill_after_event(6)
    killed = Operator(world, "ci@runner-1").deploy("v42")
    begin = world.clock.seconds

    assert bob.abandon(run_of(killed)).code == 0

    assert world.clock.seconds - begin <= 31
    assert bob.deploy("v43").code == 0


def test_f19_the_retry_of_a_cancelled_ci_job_goes_on_with_it(world: FakeWorld) -> None:
    world.kill_after_event(6)
    killed = Operator(world, "ci@runner-1").deploy("v42")

    ended = Operator(world, "ci@runner-2").deploy("v42")

    assert ended.code == 0
    assert outcome(world, run_of(killed)) == "done"
    assert len([sk for pk, sk in world.table.items if pk == "run"]) == 2  # v41's own, and this one


def test_f20_the_signal_handler_is_there_before_the_lease_is(
    world: FakeWorld, ann: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def listen(w: object) -> Any:
        order.append("listening")
        return lambda: False

    monkeypatch.setattr(carrying, "listen_for_interrupts", listen)
    world.on_call("ledger.put_lease", lambda: order.append("lease"))

    ann.deploy("v42")

    assert order[:2] == ["listening", "lease"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_f20_a_process_killed_between_lease_and_plan_locks_nobody_out(
    world: FakeWorld, ann: Operator, bob: Operator, when: str
) -> None:
    world.fail("ledger.put_lease", Killed(), acted=when == "after")
    assert ann.deploy("v42").code == KILLED

    assert bob.deploy("v43").code == 0

    assert world.serving() == {"v43"}


def test_f20_a_run_that_was_killed_once_it_had_ended_is_not_open_any_more(
    world: FakeWorld, ann: Operator, bob: Operator
) -> None:
    assert ann.deploy("v42").code == 0
    puts = world.faults.calls.count("ledger.put_lease")
    world.fail("ledger.put_lease", Killed(), nth=puts)  # the one that frees it
    assert ann.deploy("v43").code == KILLED

    ended = bob.resume()

    assert (ended.code, ended.why) == (Refused.exit_code, "no run is open here")
    assert bob.deploy("v44").code == 0


def test_f20_nobody_ends_a_lease_that_is_not_theirs(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.kill_after_event(6)
    assert ann.deploy("v42").code == KILLED
    before = LeaseView.model_validate(world.table.items[("lease", "lease")])

    assert bob.deploy("v43").code == 4
    assert bob.abandon("r-nobody").code == 3

    assert LeaseView.model_validate(world.table.items[("lease", "lease")]) == before


# -- F21, F22: zombies, and the rollback that destroyed --------------------------------------------------------------


def test_f21_failed_deploys_leave_no_zombies_however_many_there_are(world: FakeWorld, ann: Operator) -> None:
    world.never_ready |= {"v42", "v43", "v44"}

    codes = [ann.deploy(version).code for version in ("v42", "v43", "v44", "v42", "v43")]

    assert codes == [RolledBack.exit_code] * 5
    assert world.running() == {"v41"}
    assert world.workers() == {"v41"}


def test_f21_what_was_started_but_never_answered_is_cleaned_up_too(world: FakeWorld, ann: Operator) -> None:
    world.fail("fleet.start", Failed("no answer for 200 s", next="rmu logs"), acted=True)

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "undone start_release" in story(world)
    assert world.running() == {"v41"}


def test_f22_a_rollback_stops_nothing(world: FakeWorld, ann: Operator) -> None:
    assert ann.deploy("v42").code == 0
    logs = [len(h.log) for h in world.hosts]

    assert ann.rollback().code == 0

    done = {verb for h, n in zip(world.hosts, logs, strict=True) for verb in h.log[n:]}
    assert done == {"serve", "worker"}
    assert world.running() == {"v41", "v42"}
    assert world.lost == []


def test_f22_a_rollback_whose_worker_does_not_start_stays_with_the_good_release(
    world: FakeWorld, ann: Operator, bob: Operator
) -> None:
    assert ann.deploy("v42").code == 0
    world.fail("fleet.worker", Failed("the worker did not start", next="rmu logs"))

    ended = ann.rollback()

    assert ended.code == 6
    assert world.serving() == {"v41"} == {world.pointer().release}
    assert bob.resume().code == 0
    assert world.workers() == {"v41"}


def test_f22_a_rollback_that_is_unwound_condemns_nobody(world: FakeWorld, ann: Operator) -> None:
    assert ann.deploy("v42").code == 0
    world.keep_fails.add("v41")
    assert ann.rollback().code == RolledBack.exit_code

    assert (world.record("v41").verdict, world.record("v42").verdict) == ("good", "good")
    world.keep_fails.clear()
    assert ann.rollback().code == 0
    assert world.serving() == {"v41"}


def test_f22_a_host_refuses_to_stop_what_serves_whatever_the_plan_says(world: FakeWorld, ann: Operator) -> None:
    """The way back cannot be taken, so the release that serves is left serving, though its stop comes next."""
    world.smoke_fails.add("v42")
    world.on_call("fleet.serve", lambda: world.never_ready.add("v41"))

    ended = ann.deploy("v42")

    assert ended.code == 6
    assert world.serving() == {"v42"}
    assert "stop" not in {verb for h in world.hosts for verb in h.log}
    assert world.lost == []


# -- F24, F25: older after newer, and the second try -----------------------------------------------------------------


def test_f24_a_plan_made_before_a_newer_release_came_is_refused_when_it_begins(world: FakeWorld, bob: Operator) -> None:
    plan = Operator(world).deploy("v42", dry_run=True).screen.planned
    assert plan is not None
    assert bob.deploy("v43").code == 0

    with pytest.raises(Refused, match="planned on v41, now v43"):
        carry(world, plan)

    assert world.serving() == {"v43"}


def test_f24_ci_may_pin_the_base_it_was_built_on(world: FakeWorld, ann: Operator) -> None:
    ended = ann.deploy("v42", base="v40")

    assert ended.code == Refused.exit_code
    assert "made for base v40, but v41 is live" in ended.why


def test_f25_the_second_and_third_try_take_the_same_path_as_the_first(world: FakeWorld, ann: Operator) -> None:
    def cancelled_deploy(after: float) -> list[str]:
        def cancel() -> None:
            seen = unfinished(world.outside().ledger)
            assert seen is not None
            ask_cancel(world.outside(), seen.run, who="bob@ci", because="not yet")

        world.clock.later(after, cancel)
        ended = ann.deploy("v42", bake="60s")
        assert ended.code == RolledBack.exit_code
        return story(world, run_of(ended))

    first, second, third = (cancelled_deploy(after=20) for _ in range(3))

    assert first == second == third
    assert "started bake" in first
    assert ann.deploy("v42").code == 0
    assert world.lost == []


# -- F26: the route is lost ------------------------------------------------------------------------------------------


def test_f26_a_lost_route_is_called_a_lost_route_and_what_serves_goes_on(
    world: FakeWorld, ann: Operator, bob: Operator
) -> None:
    for nth in (1, 2, 3):
        world.fail("fleet.stop", Unreachable("no route to the hosts", next="rmu doctor"), nth=nth)
    world.fail("fleet.start", Unreachable("no route to the hosts", next="rmu doctor"), acted=True)

    ended = ann.deploy("v42")

    assert ended.code == 6
    assert ended.why.startswith("no route to the hosts")
    assert "ready" not in ended.why
    assert world.serving() == {"v41"}
    world.faults.waiting.clear()
    assert bob.resume().code == RolledBack.exit_code
    assert world.running() == {"v41"}
    assert world.lost == []


# -- F36: Terraform's lock -------------------------------------------------------------------------------------------


def apply_plan(world: FakeWorld, who: str, run: str) -> Plan:
    o = world.outside(who)
    world.wanted["stack"] = {"network", "web"}
    request = InfraRequest(run=run, rmu_version="1", database="rmu-test-db-1", variables={})
    return plan_apply(survey(o, "test", ()), request, o.infra.plan("stack", {}))


def carry(world: FakeWorld, plan: Plan, who: str = "ann@laptop") -> None:
    runs.execute(world.outside(who), plan, session(who))


def session(who: str) -> runs.Session:
    return runs.Session(who=who, because="a test", look_at=facts, parse=parse_plan)


def test_f36_a_resume_releases_the_state_lock_of_its_own_dead_try(world: FakeWorld) -> None:
    plan = apply_plan(world, "ann@laptop", "r-apply")
    world.kill_in_the_middle_of("infra.apply")
    with pytest.raises(Killed):
        carry(world, plan)
    assert world.state_locks["stack"].who == "ann@laptop"

    runs.resume(world.outside("ann@laptop"), "r-apply", session("ann@laptop"))

    assert outcome(world, "r-apply") == "done"
    assert world.state_locks == {}
    assert world.built["stack"] == {"network", "web"}


def test_f36_a_state_lock_of_somebody_else_is_never_released(world: FakeWorld) -> None:
    world.kill_in_the_middle_of("infra.apply")
    with pytest.raises(Killed):
        world.outside("eve@laptop").infra.apply("stack", {}, lambda name, action, seconds: None)
    world.clock.sleep(60)

    with pytest.raises(HalfWay, match="eve@laptop holds Terraform's state lock") as told:
        carry(world, apply_plan(world, "ann@laptop", "r-apply"))

    assert "force-unlock" in told.value.next
    assert world.state_locks["stack"].who == "eve@laptop"


def test_f36_an_own_lock_from_before_this_run_is_not_this_runs(world: FakeWorld) -> None:
    world.kill_in_the_middle_of("infra.apply")
    with pytest.raises(Killed):
        world.outside("ann@laptop").infra.apply("stack", {}, lambda name, action, seconds: None)
    world.clock.sleep(60)

    with pytest.raises(HalfWay, match="ann@laptop holds Terraform's state lock"):
        carry(world, apply_plan(world, "ann@laptop", "r-apply"))

    assert "stack" in world.state_locks


# -- F40: two people roll back at once -------------------------------------------------------------------------------


def rolled_out(world: FakeWorld, ann: Operator) -> None:
    assert ann.deploy("v42").code == 0
    assert ann.deploy("v43").code == 0


def test_f40_two_people_rolling_back_at_once_go_back_once(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    rolled_out(world, ann)

    ended = world.clock.together(ann.rollback, bob.rollback)

    assert sorted(e.code for e in ended)[0] == 0  # type: ignore[attr-defined]
    assert sorted(e.code for e in ended)[1] in {3, 4}  # type: ignore[attr-defined]
    assert world.serving() == {"v42"} == {world.pointer().release}
    assert world.lost == []


def test_f40_the_second_rollback_planned_on_the_same_world_is_refused(world: FakeWorld, ann: Operator) -> None:
    rolled_out(world, ann)
    plans = [planned_rollback(world, run) for run in ("r-x1", "r-x2")]

    carry(world, plans[0])
    with pytest.raises(Refused, match="planned on v43, now v42"):
        carry(world, plans[1], "bob@ci")

    assert world.serving() == {"v42"}


def test_f40_typing_rollback_twice_does_not_bring_the_bad_release_back(world: FakeWorld, ann: Operator) -> None:
    rolled_out(world, ann)

    codes = [ann.rollback().code, ann.rollback().code]

    assert codes == [0, Refused.exit_code]
    assert world.serving() == {"v42"}


def planned_rollback(world: FakeWorld, run: str) -> Plan:
    looked = survey(world.outside(), "test", ROLLBACK)
    return plan_rollback(looked, RollbackRequest(run=run, rmu_version="1", warm="v42"))


# -- bad days of a deploy --------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_refuses_the_pull_and_nothing_moves(world: FakeWorld, ann: Operator) -> None:
    world.hosts[1].disk_free = 10

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "disk_full" in ended.why
    assert world.serving() == {"v41"}
    assert world.running() == {"v41"}


def test_a_migration_that_fails_moves_nothing(world: FakeWorld, ann: Operator) -> None:
    world.migration_fails.add("v42")

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert world.serving() == {"v41"}


def test_a_host_replaced_in_the_bake_boots_the_old_release_and_fails_the_bake(world: FakeWorld, ann: Operator) -> None:
    """The pointer is written after the bake, by design: a newborn host serves what was proven."""
    world.clock.later(5, partial(world.replace_host, "i-1"))

    ended = ann.deploy("v42", bake="10m")

    assert ended.code == RolledBack.exit_code
    assert world.serving() == {"v41"}
    assert world.lost == []


def test_memory_that_is_short_stops_the_retired_release_and_keeps_its_image(world: FakeWorld, ann: Operator) -> None:
    for host in world.hosts:
        host.memory = 600 * 2**20

    assert ann.deploy("v42").code == 0

    assert world.running() == {"v42"}
    assert all(host.slot_of(world.record("v41").ref) for host in world.hosts)
