"""The only loop: forward, back, and every way a run may end. Commands are the product's own, the world is a fake."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import ask_cancel, event_key
from ratemyunit_ops.engine.lease import LET_GO
from ratemyunit_ops.errors import (
    AlreadyThere,
    Bug,
    Failed,
    HalfWay,
    Interrupted,
    LeaseLost,
    LedgerDown,
    Refused,
    RolledBack,
    Unreachable,
)
from ratemyunit_ops.ports import Entry
from ratemyunit_ops.records import read_lease
from ratemyunit_ops.reports.runs import RunReport, cost_lines
from ratemyunit_ops.steps.kinds import parse_plan
from ratemyunit_ops.survey import facts
from tests.fakes import FakeWorld
from tests.fakes.operator import KILLED, Operator, journal, make_unreadable, outcome, story
from tests.fakes.patches import type_commands

RUN = "r-001"


def made() -> FakeWorld:
    """Make a world where v41 serves, and v42, which migrates, is pushed."""
    world = FakeWorld()
    world.push("v41")
    world.push("v42", head="0002")
    world.live("v41")
    return world


@pytest.fixture
def world() -> FakeWorld:
    return made()


@pytest.fixture
def ann(world: FakeWorld) -> Operator:
    return Operator(world)


@pytest.fixture
def bob(world: FakeWorld) -> Operator:
    return Operator(world, "bob@ci")


@cache
def usual_story(*, answers_wrongly: bool = False) -> list[str]:
    """Tell what a deploy of v42 writes that nobody disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        type_commands(patch)
        world = made()
        if answers_wrongly:
            world.smoke_fails.add("v42")
        Operator(world).deploy("v42")
        return story(world)


def number_of(line: str) -> int:
    """Find the number an event of an undisturbed deploy has."""
    return usual_story().index(line)


def kill_deploy(world: FakeWorld, after: str) -> str:
    """Kill a deploy of v42 after an event; answer its run."""
    world.kill_after_event(number_of(after))
    ended = Operator(world).deploy("v42")
    assert ended.code == KILLED
    assert ended.screen.planned is not None
    return ended.screen.planned.run


# -- forward ---------------------------------------------------------------------------------------------------------


def test_every_step_is_started_before_it_acts_and_done_after(world: FakeWorld, ann: Operator) -> None:
    ended = ann.deploy("v42")

    assert ended.code == 0
    told = story(world)
    kinds = [line.removeprefix("started ") for line in told if line.startswith("started")]
    assert told == ["planned", *(f"{e} {k}" for k in kinds for e in ("started", "done")), "closed done"]
    assert outcome(world) == "done"


def test_event_0_holds_the_plan_who_and_why(world: FakeWorld, ann: Operator) -> None:
    ended = ann.deploy("v42")

    facts = journal(world)[0].facts
    assert ended.screen.planned is not None
    assert facts["plan"] == ended.screen.planned.model_dump(mode="json")
    assert (facts["who"], facts["because"]) == ("ann@laptop", "a test")


@pytest.mark.parametrize("verb", ["prepare", "serve", "retire"])
def test_nothing_acts_before_its_started_is_written(world: FakeWorld, ann: Operator, verb: str) -> None:
    world.fail(event_key(number_of(f"started {verb}")), LedgerDown("no ledger", next=""))

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert [h.log.count(verb) for h in world.hosts] == [0, 0]


def test_a_plan_whose_written_answer_is_lost_is_said_to_have_perhaps_begun(world: FakeWorld, ann: Operator) -> None:
    world.fail(event_key(0), LedgerDown("no answer", next=""), acted=True)

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert "may have been written down" in ended.failure.state
    assert ann.resume(RUN).code == 0
    assert world.serving() == {"v42"}


def test_a_plan_that_could_not_be_written_is_refused_and_frees_the_lease(world: FakeWorld, ann: Operator) -> None:
    world.fail(event_key(0), LedgerDown("no answer", next="rmu doctor"))

    ended = ann.deploy("v42")

    assert ended.code == LedgerDown.exit_code
    assert journal(world) == []
    assert ann.deploy("v42").code == 0


def test_a_dry_run_writes_and_changes_nothing(world: FakeWorld, ann: Operator) -> None:
    before = world.everything()

    ended = ann.deploy("v42", dry_run=True)

    assert ended.code == 0
    assert world.everything() == before


def test_a_dry_run_of_a_dead_runs_own_command_does_not_resume_it(world: FakeWorld, bob: Operator) -> None:
    kill_deploy(world, "done prepare")
    before = world.everything()

    ended = bob.deploy("v42", dry_run=True)

    assert ended.code == 0
    assert world.everything() == before


def test_it_shows_what_is_still_to_do(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done prepare")

    ended = bob.deploy("v42", dry_run=True)

    document = ended.screen.document
    assert document is not None
    assert (document["run"], document["outcome"], len(document["steps"])) == (run, "dry_run", 12)
    assert document["steps"][:2] == ["a backup is there to go back to", "note restore point"]
    assert [line for line in ended.screen.said if line.startswith("3 ")] == [f"3 {document['steps'][0]}"]


def test_it_shows_what_is_still_to_undo_of_a_run_that_has_turned_back(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done serve")
    ask_cancel(world.outside(), run, who="ann", because="empty")
    world.kill_after_event(number_of("done serve") + 3)
    assert bob.resume().code == KILLED
    assert story(world, run)[-2:] == ["cancelled", "undo-started serve"]

    ended = bob.deploy("v42", dry_run=True)

    assert ended.screen.document is not None
    assert ended.screen.document["steps"] == ["serve v41", "stop v42"]


def test_deploying_what_serves_ends_with_0_and_says_so(world: FakeWorld, ann: Operator) -> None:
    before = world.everything()

    ended = ann.deploy("v41")

    assert (ended.code, ended.screen.said) == (0, ["v41 serves already; nothing to do."])
    assert world.everything() == before


def test_pointer_and_record_are_written_in_the_transaction_of_their_done(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v42")

    done = next(e for e in journal(world) if e.kind == "done" and "releases" in e.facts)
    together = next(keys for keys in world.table.writes if event_key(done.number) in keys)
    assert {"pointer", "release#v42"} <= set(together)


def test_a_record_whose_done_cannot_be_written_is_not_written_either(world: FakeWorld, ann: Operator) -> None:
    world.fail(event_key(number_of("done record_release")), LedgerDown("no ledger", next=""))

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert world.pointer().release == "v41"
    assert world.record("v42").verdict == "unknown"


# -- refused: before anything was changed ----------------------------------------------------------------------------


def test_a_check_that_fails_before_any_change_is_a_refusal(world: FakeWorld, ann: Operator) -> None:
    world.fail("registry.image", Failed("the registry lost it", next=""), nth=2)

    ended = ann.deploy("v42")

    assert ended.code == Refused.exit_code
    assert ended.failure.state == "Nothing was changed."
    assert outcome(world) == "refused"
    assert world.lease_is_free()


def test_a_stale_plan_is_refused(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.push("v43")
    plan = ann.deploy("v42", dry_run=True).screen.planned
    assert plan is not None
    assert bob.deploy("v43").code == 0

    with pytest.raises(Refused, match="live changed between the plan and its begin: planned on v41, now v43"):
        runs.execute(world.outside(), plan, session())

    assert world.serving() == {"v43"}


# -- back ------------------------------------------------------------------------------------------------------------


def test_unwinding_undoes_newest_first(world: FakeWorld, ann: Operator) -> None:
    world.smoke_fails.add("v42")

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    told = story(world)
    assert told[told.index("failed proven") :] == [
        "failed proven",
        "undo-started serve",
        "undone serve",
        "undo-started start_release",
        "undone start_release",
        "closed rolled_back",
    ]
    assert world.serving() == {"v41"} == world.workers()
    assert "v41 still serves test" in ended.failure.state


def test_what_was_found_true_is_never_unwound(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done still_works")
    for host in world.hosts:  # somebody started v42 by hand
        slot = host.slots["green"]
        assert slot is not None
        slot.running = True
    world.smoke_fails.add("v42")

    ended = bob.resume(run)

    assert ended.code == RolledBack.exit_code
    assert "found start_release" in story(world, run)
    assert "undo-started start_release" not in story(world, run)
    assert world.running() == {"v41", "v42"}


def test_unwinding_covers_a_step_that_acted_and_then_timed_out(world: FakeWorld, ann: Operator) -> None:
    world.fail("fleet.serve", Failed("no answer for 45 s", next="rmu status"), acted=True)

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert "undone serve" in story(world)
    assert world.serving() == {"v41"}
    assert world.lost == []


def test_unwinding_covers_a_step_that_reached_one_host_of_two(world: FakeWorld, ann: Operator) -> None:
    world.cut_off_after_event(number_of("started serve"), Unreachable("the network is gone", next="rmu status"))

    ended = ann.deploy("v42")

    assert ended.code == RolledBack.exit_code
    assert world.serving() == {"v41"}
    assert world.running() == {"v41"}
    assert world.lost == []


def test_a_failing_undo_stops_there_and_resume_tries_it_again(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.smoke_fails.add("v42")
    world.fail("fleet.serve", Unreachable("the agent is dead", next="rmu host list"), nth=2)

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert "v42" in world.running()  # what still serves is not stopped by a later undo
    assert world.serving() == {"v42"}
    assert bob.resume().code == RolledBack.exit_code
    assert world.serving() == {"v41"}
    assert world.running() == {"v41"}
    assert world.lost == []


def test_a_bug_in_a_step_is_a_failed_step_and_exits_70_after_unwinding(world: FakeWorld, ann: Operator) -> None:
    world.fail("traffic.smoke", KeyError("units"), nth=2)

    ended = ann.deploy("v42")

    assert ended.code == Bug.exit_code
    assert "KeyError" in ended.why
    failed = next(e for e in journal(world) if e.kind == "failed")
    assert "Traceback" in failed.facts["traceback"]
    assert world.serving() == {"v41"}
    assert world.lease_is_free()


# -- the fence -------------------------------------------------------------------------------------------------------


def test_a_failure_past_the_fence_stops_and_never_unwinds(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.fail("fleet.retire", Failed("no answer", next="rmu status"))

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert "past the point of no return" in ended.failure.state
    assert not any("undo" in line for line in story(world))
    assert world.serving() == {"v42"} == {world.pointer().release}
    assert bob.resume().code == 0
    assert not any("undo" in line for line in story(world))
    assert [h.backed for h in world.hosts] == [False, False]


def test_a_bug_past_the_fence_names_the_run_whose_journal_has_its_traceback(world: FakeWorld, ann: Operator) -> None:
    world.fail("fleet.retire", KeyError("units"))

    ended = ann.deploy("v42")

    assert ended.code == HalfWay.exit_code
    assert ended.failure.next == "(rmu show r-001) rmu resume r-001"


def test_a_cancel_past_the_fence_comes_too_late(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "started retire")
    ask_cancel(world.outside(), run, who="eve@laptop", because="too late")

    ended = bob.resume(run)

    assert ended.code == 0
    assert outcome(world, run) == "done"


def test_abandoning_past_the_fence_closes_the_run_and_says_what_stays(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "started retire")

    ended = bob.abandon(run)

    assert ended.code == HalfWay.exit_code
    assert outcome(world, run) == "half_way"
    assert world.lease_is_free()
    assert world.serving() == {"v42"}


# -- resume looks at the frontier ------------------------------------------------------------------------------------


def test_a_resume_stops_when_a_held_fact_has_changed(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done prepare")
    world.replace_host("i-1")
    world.clock.sleep(100)

    ended = bob.resume(run)

    assert ended.code == HalfWay.exit_code
    assert "hosts changed while the run was dead" in ended.why
    assert "rmu abandon" in ended.failure.next
    assert outcome(world, run) is None
    assert bob.abandon(run).code == 0


def test_a_resume_stops_when_something_else_serves_than_the_run_left(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done proven")
    for host in world.hosts:  # somebody flipped by hand
        host.live, host.backed = "blue", False

    ended = bob.resume(run)

    assert ended.code == HalfWay.exit_code
    assert "serving is not what this run left: v42 is now v41" in ended.why
    assert not any("undo" in line for line in story(world, run))


def test_a_resume_that_cannot_look_does_nothing_and_can_be_tried_again(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done proven")
    world.fail("fleet.instances", Unreachable("no network", next=""))

    ended = bob.resume(run)

    assert ended.code == HalfWay.exit_code
    assert f"rmu resume {run}" in ended.failure.next
    assert bob.resume(run).code == 0


def test_a_resume_that_cannot_ask_whether_its_step_is_true_does_not_unwind(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done still_works")
    world.fail("fleet.survey", Unreachable("the agents do not answer", next=""))

    ended = bob.resume(run)

    assert ended.code == HalfWay.exit_code
    assert not any("undo" in line for line in story(world, run))
    assert bob.resume(run).code == 0


def test_a_check_that_passed_stays_passed(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done ready")
    asked = world.faults.calls.count("fleet.ready")

    bob.resume(run)

    assert world.faults.calls.count("fleet.ready") == asked


def test_done_is_asked_at_the_frontier_only(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done still_works")
    asked = world.faults.calls.count("fleet.survey")

    bob.resume(run)

    assert world.faults.calls.count("fleet.survey") == asked + 1


def test_a_resumed_step_that_had_acted_is_done_not_found(world: FakeWorld, bob: Operator) -> None:
    world.fail(event_key(number_of("done start_release")), LedgerDown("no ledger", next=""))
    run = Operator(world).deploy("v42")
    assert run.code == HalfWay.exit_code

    assert bob.resume().code == 0

    assert "found start_release" not in story(world)
    assert story(world).count("started start_release") == 1
    assert [h.log.count("start") for h in world.hosts] == [1, 1]


def test_a_run_that_ended_is_neither_resumed_nor_abandoned(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v42")
    before = world.everything()

    assert ann.resume(RUN).code == Refused.exit_code
    assert ann.abandon(RUN).code == Refused.exit_code
    assert ann.resume("r-nobody").code == Refused.exit_code
    assert world.everything() == before


def test_a_command_of_another_kind_is_told_how_to_finish_the_dead_run(world: FakeWorld, bob: Operator) -> None:
    world.push("v43")
    run = kill_deploy(world, "done serve")

    ended = bob.deploy("v43")

    assert ended.code == 4
    assert f"rmu resume {run}" in ended.failure.next
    assert outcome(world, run) is None


# -- cancel ----------------------------------------------------------------------------------------------------------


def test_a_cancel_is_read_at_the_next_event(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done prepare")
    ask_cancel(world.outside(), run, who="eve@laptop", because="wrong version")

    ended = bob.resume(run)

    assert ended.code == RolledBack.exit_code
    assert "eve@laptop cancelled this run: wrong version" in ended.why
    assert story(world, run)[-2:] == ["cancelled", "closed rolled_back"]


def test_a_cancel_is_read_at_every_poll_of_a_wait(world: FakeWorld, ann: Operator) -> None:
    world.clock.later(7, lambda: ask_cancel(world.outside(), RUN, who="eve@laptop", because="search is empty"))

    ended = ann.deploy("v42", bake="60s")

    assert ended.code == RolledBack.exit_code
    assert world.clock.seconds < 10
    assert world.serving() == {"v41"} == world.workers()


def test_the_first_of_two_cancels_is_the_one_that_is_kept(world: FakeWorld) -> None:
    o = world.outside()
    ask_cancel(o, RUN, who="ann@laptop", because="first")
    ask_cancel(o, RUN, who="bob@ci", because="second")

    kept = json.loads(str(world.table.items[(f"run#{RUN}#cancel", "cancel")]["body"]))
    assert kept["because"] == "first"


def test_a_rollback_during_the_bake_unwinds_the_deploy_and_is_never_busy(
    world: FakeWorld, ann: Operator, bob: Operator
) -> None:
    def after_ten_seconds() -> Any:
        world.clock.sleep(10)
        return bob.rollback()

    deployed, rolled_back = world.clock.together(lambda: ann.deploy("v42", bake="300s"), after_ten_seconds)

    assert (deployed.code, rolled_back.code) == (RolledBack.exit_code, 0)  # type: ignore[attr-defined]
    assert world.serving() == {"v41"} == world.workers()
    assert world.clock.seconds < 20
    assert world.lost == []
    assert world.lease_is_free()


def test_a_rollback_behind_a_dead_deploy_takes_over_and_unwinds_it(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done start_worker")
    begun = world.clock.seconds

    ended = bob.rollback()

    assert ended.code == 0
    assert world.clock.seconds - begun < 32  # thirty to see that it is dead; the rest is unwinding
    assert outcome(world, run) == "rolled_back"
    assert world.serving() == {"v41"} == world.workers()


@pytest.fixture
def with_v40(world: FakeWorld) -> FakeWorld:
    """Make a world where v40 was deployed before what serves."""
    world.push("v40")
    world.record_of("v40", verdict="good", age=9)
    return world


def test_a_rollback_to_an_older_release_during_a_deploy_cancels_it_and_goes_there(
    with_v40: FakeWorld, ann: Operator, bob: Operator
) -> None:
    def after_ten_seconds() -> Any:
        with_v40.clock.sleep(10)
        return bob.rollback("v40")

    deployed, rolled_back = with_v40.clock.together(lambda: ann.deploy("v42", bake="300s"), after_ten_seconds)

    assert (deployed.code, rolled_back.code) == (RolledBack.exit_code, 0)  # type: ignore[attr-defined]
    assert with_v40.serving() == {"v40"} == with_v40.workers()
    assert rolled_back.screen.document["release"] == "v40"  # type: ignore[attr-defined]
    assert with_v40.lost == []


def test_a_rollback_to_what_serves_once_the_deploy_is_unwound_is_done_then(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done serve")

    ended = bob.rollback("v41")

    assert (ended.code, outcome(world, run)) == (0, "rolled_back")
    assert ended.screen.said[-1] == f"Deploy {run} is unwound; v41 serves."


def test_a_rollback_to_a_release_nobody_knows_cancels_nothing(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done serve")
    before = world.everything()

    ended = bob.rollback("v4l")

    assert ended.code == Refused.exit_code
    assert ended.why == f"no release v4l was ever deployed here; deploy {run} goes on"
    assert world.everything() == before


def test_a_rollback_that_cancels_but_cannot_go_where_it_was_told_says_both(world: FakeWorld, bob: Operator) -> None:
    world.push("v40", head="0000")
    world.record_of("v40", verdict="good", age=9)
    run = kill_deploy(world, "done serve")
    world.shut_out_older_code_than("0001", run="r-x")

    ended = bob.rollback("v40")

    assert ended.code == RolledBack.exit_code
    assert "v40 cannot run on the schema" in ended.why
    assert ended.failure.state == f"Deploy {run} is unwound; v41 serves. It stays: v40 was not brought back."
    assert world.serving() == {"v41"}


def test_a_dry_rollback_during_a_deploy_shows_what_would_be_undone_and_asks_nobody(
    world: FakeWorld, bob: Operator
) -> None:
    run = kill_deploy(world, "done serve")
    before = world.everything()

    ended = bob.rollback(dry_run=True)

    document = ended.screen.document
    assert document is not None
    assert (ended.code, document["run"], document["outcome"]) == (0, run, "dry_run")
    assert document["steps"] == ["serve v41", "stop v42"]
    assert ended.screen.said[-2:] == ["9 serve v41", "7 stop v42"]
    assert world.everything() == before


def test_a_dry_rollback_past_the_fence_shows_that_the_deploy_would_go_on(world: FakeWorld, bob: Operator) -> None:
    kill_deploy(world, "started retire")

    ended = bob.rollback(dry_run=True)

    assert ended.screen.document is not None
    assert [title.split()[0] for title in ended.screen.document["steps"]] == ["retire"]


# -- interrupt -------------------------------------------------------------------------------------------------------


def test_an_interrupt_finishes_the_step_journals_and_is_resumable(world: FakeWorld, bob: Operator) -> None:
    ann = Operator(world, interrupted=lambda: "fleet.serve" in world.faults.calls)

    ended = ann.deploy("v42")

    assert ended.code == Interrupted.exit_code
    assert story(world)[-2:] == ["done serve", "interrupted"]
    begin = world.clock.seconds
    assert bob.resume().code == 0
    assert world.clock.seconds - begin < 65  # the bake, and no watching: the run had let go
    assert world.serving() == {"v42"}


# -- what people are told ----------------------------------------------------------------------------------------------


def ended_report(**more: Any) -> RunReport:
    seen = {"sent": 214, "failed": 0, "p99_ms": 9.0, "added_p99_ms": 2.8, "verdict": "pass", "fell_back": False}
    known = {"run": RUN, "verb": "deploy", "outcome": "done", "release": "v42", "seconds": 34.0, "phases": {}}
    return RunReport.model_validate({**known, "probe": seen, "ssm_commands": 8, **more})


def test_what_a_run_cost_and_what_the_probe_saw_is_one_line() -> None:
    inconclusive = {"sent": 3, "failed": 0, "p99_ms": 9.0, "added_p99_ms": -1.2, "verdict": "inconclusive"}

    assert cost_lines(ended_report()) == ["  8 SSM commands · probe: 214 sent, 0 failed, +3 ms p99, pass"]
    assert cost_lines(ended_report(probe=inconclusive)) == [
        "  8 SSM commands · probe: 3 sent, 0 failed, -1 ms p99, inconclusive"
    ]
    assert cost_lines(ended_report(probe=None, ssm_commands=2)) == ["  2 SSM commands"]
    assert cost_lines(ended_report(probe=None, ssm_commands=1)) == ["  1 SSM command"]


def test_a_deploy_and_a_rollback_end_with_it(world: FakeWorld, ann: Operator) -> None:
    for ended in (ann.deploy("v42"), ann.rollback()):
        document = ended.screen.document
        assert document is not None
        assert ended.screen.said[-1].startswith(f"  {document['ssm_commands']} SSM command")
        assert ("probe" in ended.screen.said[-1]) == (document["probe"] is not None)


# -- the ledger, the journal -----------------------------------------------------------------------------------------


def test_without_the_ledger_nothing_is_done_and_resume_goes_on(world: FakeWorld, ann: Operator, bob: Operator) -> None:
    world.clock.later(3, lambda: setattr(world.table, "down", True))

    ended = ann.deploy("v42", bake="60s")

    assert ended.code == HalfWay.exit_code
    assert f"rmu resume {RUN}" in ended.failure.next
    assert world.serving() == {"v42"}
    world.table.down = False
    assert bob.resume().code == 0


def test_a_ledger_that_dies_while_unwinding_leaves_a_run_that_resume_unwinds(
    world: FakeWorld, ann: Operator, bob: Operator
) -> None:
    world.smoke_fails.add("v42")
    undone = usual_story(answers_wrongly=True).index("undone serve")
    world.fail(event_key(undone), LedgerDown("no ledger", next=""))

    assert ann.deploy("v42").code == HalfWay.exit_code

    assert bob.resume().code == RolledBack.exit_code
    assert world.running() == {"v41"}


def test_a_ledger_that_dies_under_a_resumed_unwinding_is_half_way_not_refused(world: FakeWorld, bob: Operator) -> None:
    world.smoke_fails.add("v42")
    told = usual_story(answers_wrongly=True)
    world.kill_after_event(told.index("failed proven"))
    assert Operator(world).deploy("v42").code == KILLED
    world.fail(event_key(told.index("failed proven") + 2), LedgerDown("no ledger", next=""))

    ended = bob.resume(RUN)

    assert ended.code == HalfWay.exit_code
    assert bob.resume(RUN).code == RolledBack.exit_code


def test_a_lease_that_is_lost_while_a_run_is_given_up_is_not_called_no_change(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done ready")
    abandoned, undone = number_of("done ready") + 1, 2
    world.fail(event_key(abandoned + undone + 1), LeaseLost("the lease holds another token", next="rmu status"))

    ended = bob.abandon(run)

    assert story(world, run)[-1] == "undone start_release"
    assert (ended.code, ended.failure.state) == (
        LeaseLost.exit_code,
        f"Run {run} is no longer ours; what it had done until then is in its journal.",
    )
    let_go = read_lease(world.outside().ledger)
    assert let_go is not None and let_go.heartbeat == LET_GO


def test_an_event_is_never_written_over(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v42")
    before = world.table.items[(f"run#{RUN}", event_key(3))]
    forged = Entry(pk=f"run#{RUN}", sk=event_key(3), attributes={"body": "{}", "nonce": "other"}, if_absent=True)

    with pytest.raises(AlreadyThere):
        world.outside().ledger.write([forged], token=None)

    assert world.table.items[(f"run#{RUN}", event_key(3))] == before


def test_events_are_numbered_without_a_gap_through_kill_and_resume(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "started serve")
    bob.resume(run)

    keys = sorted(sk for pk, sk in world.table.items if pk == f"run#{run}")

    assert keys == [event_key(n) for n in range(len(keys))]


def test_a_step_this_version_does_not_know_is_not_resumed(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done start_release")
    make_unreadable(world, run)
    before = world.footprint()

    ended = bob.resume(run)

    assert ended.code == HalfWay.exit_code
    assert "cannot read a step" in ended.why
    assert world.footprint() == before
    assert outcome(world, run) is None


def test_abandon_reads_a_plan_of_another_version_closes_it_and_unwinds_nothing(world: FakeWorld, bob: Operator) -> None:
    run = kill_deploy(world, "done start_release")
    make_unreadable(world, run)
    before = world.footprint()

    ended = bob.abandon(run)

    assert ended.code == HalfWay.exit_code
    assert outcome(world, run) == "half_way"
    assert world.lease_is_free()
    assert world.footprint() == before


def session() -> runs.Session:
    return runs.Session(who="ann@laptop", because="a test", look_at=facts, parse=parse_plan)
