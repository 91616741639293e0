"""What a real account does that a rehearsal hardly shows: slow groups, another clock, a database that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from ratemyunit_ops.cli import places
from ratemyunit_ops.cli.carrying import Asked
from ratemyunit_ops.errors import Failed, LeaseLost, Refused
from ratemyunit_ops.ports import Group, Outside
from ratemyunit_ops.records import held, read_headers, read_lease, read_release
from ratemyunit_ops.steps.database import NoteRestorePoint
from ratemyunit_ops.steps.hosts import Rejoin, StandBy
from ratemyunit_ops.steps.infra import STALE_PLAN, ApplyInfra
from tests.fakes import FakeWorld
from tests.fakes.clock import BEGIN
from tests.fakes.operator import Ended, Operator


def agreed_to_make(names: set[str], world: FakeWorld) -> ApplyInfra:
    """Show and agree to a plan, now."""
    world.wanted["stack"] = names
    summary = world.outside().infra.plan("stack", {})
    return ApplyInfra(root="stack", variables={}, summary=summary, planned=world.clock.now(), fence=True)


class SlowGroup:
    """A group that answers at once and moves a host in its own time."""

    def __init__(self, *states: str) -> None:
        self.states_to_come = list(states)
        self.asked: list[tuple[str, str]] = []

    def states(self) -> Mapping[str, str]:
        state = self.states_to_come.pop(0) if len(self.states_to_come) > 1 else self.states_to_come[0]
        return {"i-1": state}

    def stand_by(self, host: str) -> None:
        self.asked.append(("stand by", self.states_to_come[0]))

    def rejoin(self, host: str) -> None:
        self.asked.append(("rejoin", self.states_to_come[0]))


def with_group(group: SlowGroup) -> Outside:
    return replace(FakeWorld().outside(), group=cast(Group, group))


def test_a_host_stands_by_only_when_the_group_has_drained_it() -> None:
    group = SlowGroup("EnteringStandby", "EnteringStandby", "Standby")

    facts = StandBy(host="i-1").do(with_group(group))

    assert facts == {"states": {"i-1": "Standby"}} and group.states_to_come == ["Standby"]


def test_a_host_that_is_still_being_drained_is_not_asked_back_yet() -> None:
    group = SlowGroup("EnteringStandby", "EnteringStandby", "Standby", "Pending", "InService")

    facts = Rejoin(host="i-1").do(with_group(group))

    assert facts == {"states": {"i-1": "InService"}} and group.asked == [("rejoin", "Pending")]


def test_a_restore_point_is_told_by_the_clock_of_the_account_not_of_a_laptop() -> None:
    world = FakeWorld()
    world.push("v1")
    seen = world.databases["rmu-test-db-1"]
    world.databases["rmu-test-db-1"] = seen.model_copy(update={"asked": BEGIN - timedelta(minutes=6)})

    assert Operator(world).deploy("v1").code == 0

    noted = read_release(world.outside().ledger, "v1")
    assert noted is not None and noted.restore_point is not None
    assert noted.restore_point.at == BEGIN - timedelta(minutes=6)
    assert NoteRestorePoint(release=noted, database="rmu-test-db-1").done(world.outside())


def test_a_rollback_stays_where_it_went_while_nothing_that_needs_the_database_answers() -> None:
    world = FakeWorld()
    ann = Operator(world)
    for version in ("v1", "v2"):
        world.push(version)
        assert ann.deploy(version).code == 0
    world.smoke_fails = {"v1", "v2"}

    ended = ann.rollback()

    assert ended.code == 0
    assert world.serving() == {"v1"} == {world.pointer().release}


def test_a_deploy_of_what_serves_already_says_as_much_to_programs_as_any_other() -> None:
    world = FakeWorld()
    world.push("v1")
    ann = Operator(world)
    first = ann.deploy("v1").screen.document or {}

    again = ann.deploy("v1").screen.document or {}

    assert set(first) <= set(again)
    assert again["outcome"] == "done" and again["run"] is None


def test_an_apply_that_is_resumed_days_later_takes_nothing_away_that_nobody_agreed_to() -> None:
    world = FakeWorld()
    world.built["stack"] = {"database"}
    step = agreed_to_make({"database", "web"}, world)
    world.clock.sleep(3 * 24 * 3600)
    world.wanted["stack"] = {"web"}

    with pytest.raises(Failed, match="replace or destroy database"):
        step.do(world.outside())

    assert world.built["stack"] == {"database"}


def test_an_apply_that_is_resumed_later_goes_on_when_it_takes_away_no_more_than_agreed() -> None:
    world = FakeWorld()
    world.built["stack"] = {"old"}
    step = agreed_to_make({"web"}, world)
    world.clock.sleep(3600)

    step.do(world.outside())

    assert world.built["stack"] == {"web"}


def test_an_apply_that_was_shown_as_nothing_is_done_until_that_answer_is_old() -> None:
    world = FakeWorld()
    world.built["stack"] = {"web"}
    step = agreed_to_make({"web"}, world)
    world.wanted["stack"] = {"web", "database"}

    at_once = step.done(world.outside())
    world.clock.sleep(STALE_PLAN.total_seconds())

    assert (at_once, step.done(world.outside())) == (True, False)


def test_the_journal_names_who_acts_to_the_cloud_too() -> None:
    world = FakeWorld()
    world.push("v1")
    ci = Operator(world, "runner@fv-az42")
    ci.identity = "assumed-role/rmu-production-ci/GitHubActions"

    assert ci.deploy("v1").code == 0

    assert read_headers(world.outside().ledger)[0].who == (
        "runner@fv-az42 as assumed-role/rmu-production-ci/GitHubActions"
    )


def scan_says(world: FakeWorld, version: str, scan: str) -> None:
    world.images[version] = world.images[version].model_copy(update={"scan": scan, "findings": scan == "critical"})


def test_a_deploy_right_after_the_push_waits_for_the_scan_and_heeds_it() -> None:
    world = FakeWorld()
    world.push("v1")
    scan_says(world, "v1", "pending")
    world.on_call("registry.image", lambda: scan_says(world, "v1", "critical"), nth=4)

    ended = Operator(world).deploy("v1")

    assert ended.code == Refused.exit_code and "CRITICAL" in ended.why
    assert world.serving() == {None}


def test_a_scan_that_never_ends_proves_nothing_and_holds_nobody_up_for_ever() -> None:
    world = FakeWorld()
    world.push("v1")
    scan_says(world, "v1", "pending")
    began = world.clock.seconds

    assert Operator(world).deploy("v1").code == 0

    assert world.clock.seconds - began > 180


def destroyed(world: FakeWorld) -> Ended:
    return Operator(world)._type(lambda w: places.destroy_it(w, Asked(because=None, dry_run=False, yes=True)))


def test_what_is_destroyed_leaves_no_pointer_for_the_hosts_of_the_next_apply() -> None:
    world = FakeWorld()
    world.push("v1")
    assert Operator(world).deploy("v1").code == 0
    world.databases["rmu-test-db-1"] = world.databases["rmu-test-db-1"].model_copy(update={"protected": False})
    world.built["stack"] = {"web"}

    assert destroyed(world).code == 0

    assert "stack" not in world.built
    assert world.pointer().release is None
    assert not held(read_lease(world.outside().ledger))


def test_a_destroy_that_was_cut_short_after_the_database_is_typed_again() -> None:
    world = FakeWorld()
    world.built["stack"] = {"web"}
    world.databases.clear()

    assert destroyed(world).code == 0
    assert "stack" not in world.built


def test_a_protected_database_is_not_destroyed() -> None:
    world = FakeWorld()
    world.built["stack"] = {"web"}

    assert destroyed(world).code == Refused.exit_code
    assert world.built["stack"] == {"web"}


def test_who_loses_the_lease_in_the_middle_does_not_say_that_nothing_was_changed() -> None:
    world = FakeWorld()
    world.push("v1")

    def taken_over() -> None:
        seen = read_lease(world.outside().ledger)
        assert seen is not None
        world.outside("bob@ci").ledger.put_lease(seen.model_copy(update={"token": "bobs"}), seen=seen)

    world.on_call("fleet.prepare", taken_over)

    ended = Operator(world).deploy("v1")

    assert ended.code == LeaseLost.exit_code
    assert "no longer ours" in ended.failure.state


def test_a_rollback_after_the_group_replaced_a_host_brings_the_old_release_there_first() -> None:
    world = FakeWorld()
    ann = Operator(world)
    for version in ("v1", "v2"):
        world.push(version)
        assert ann.deploy(version).code == 0
    world.replace_host("i-1")
    world.clock.sleep(90)

    ended = ann.rollback()

    assert ended.code == 0, ended.why
    assert world.serving() == {"v1"}
