"""Thinking is pure: the same world and request give the same plan; guards come first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.model import Known, PlanSummary, RunHeader, World
from ratemyunit_ops.planning.deploy import DeployRequest, already_serves, plan_deploy
from ratemyunit_ops.planning.hosts import HostRequest, plan_reboot, plan_replace
from ratemyunit_ops.planning.infra import InfraRequest, plan_apply
from ratemyunit_ops.planning.rollback import RollbackRequest, plan_rollback, target_of
from ratemyunit_ops.records import header_entry
from ratemyunit_ops.steps.base import Change, Plan
from ratemyunit_ops.steps.infra import HostsInService
from ratemyunit_ops.steps.kinds import parse_plan
from ratemyunit_ops.survey import DEPLOY, ROLLBACK, STATUS, survey
from tests.fakes import BEGIN, FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld()
    world.push("v41")
    world.push("v42", head="0002")
    world.live("v41")
    return world


def seen(world: FakeWorld, version: str = "v42", needs: frozenset[str] = DEPLOY) -> World:
    return survey(world.outside(), "test", needs, version=version)


def deploy(version: str = "v42", **more: Any) -> DeployRequest:
    return DeployRequest(run="r-1", version=version, rmu_version="1.0", repository="registry.example/app", **more)


def rollback(version: str | None = None, **more: Any) -> RollbackRequest:
    return RollbackRequest(run="r-2", version=version, rmu_version="1.0", **more)


def kinds(plan: Plan) -> list[str]:
    return [s.kind for s in plan.steps]


# -- deploy ----------------------------------------------------------------------------------------------------------


def test_a_deploy_reads_as_it_is_printed(world: FakeWorld) -> None:
    plan = plan_deploy(seen(world), deploy())

    assert plan.titles() == (
        "check digest, scan, base is live",
        "prepare v42 on every host (pull, render)",
        "a backup is there to go back to",
        "note restore point",
        "migrate (expand; one-off container, advisory lock, lock_timeout)",
        "the old release still reads and writes",
        "park the worker, start v42",
        "ready: digest + schema match, 3 in a row",
        "serve v42 [undo: serve v41]",
        "prove it through the front door, every host",
        "start v42's worker",
        "bake",
        "record the release",
        "retire v41 ── fence",
    )


def test_the_undo_of_a_first_deploys_serve_is_to_serve_nothing() -> None:
    world = FakeWorld()
    world.push("v41")

    plan = plan_deploy(seen(world, "v41"), deploy("v41"))

    assert "serve v41 [undo: serve nothing]" in plan.titles()
    assert "retire" not in kinds(plan)
    assert "still_works" not in kinds(plan)
    assert plan.expects["live"] is None


def test_the_same_world_and_request_give_the_same_plan(world: FakeWorld) -> None:
    looked = seen(world)

    assert plan_deploy(looked, deploy()) == plan_deploy(looked, deploy())


def test_a_plan_survives_the_journal(world: FakeWorld) -> None:
    plan = plan_deploy(seen(world), deploy(config={"MODE": "production"}, secrets=("SECRET_KEY",)))

    assert parse_plan(plan.model_dump(mode="json")) == plan


def test_a_plan_expects_what_it_was_made_on_and_holds_what_it_never_changes(world: FakeWorld) -> None:
    plan = plan_deploy(seen(world), deploy())

    assert plan.expects == {"live": "v41", "hosts": ["i-1", "i-2"]}
    assert plan.holds == {"hosts": ["i-1", "i-2"], "database": "rmu-test-db-1"}


def test_an_unknown_version_is_refused(world: FakeWorld) -> None:
    with pytest.raises(Refused, match="the registry has no image v99") as told:
        plan_deploy(seen(world, "v99"), deploy("v99"))

    assert told.value.next == "rmu image push v99"


def test_critical_findings_are_refused_unless_they_are_waived_by_name(world: FakeWorld) -> None:
    world.push("v43", scan="critical", findings=3)

    with pytest.raises(Refused, match="found 3 CRITICAL findings"):
        plan_deploy(seen(world, "v43"), deploy("v43"))

    assert plan_deploy(seen(world, "v43"), deploy("v43", allow_critical=True))


def test_an_image_that_does_not_say_its_schema_is_refused(world: FakeWorld) -> None:
    world.push("v43", head="")

    with pytest.raises(Refused, match=r"rmu\.schema\.head"):
        plan_deploy(seen(world, "v43"), deploy("v43"))


def test_an_archived_image_is_refused(world: FakeWorld) -> None:
    world.push("v43", active=False)

    with pytest.raises(Refused, match="archived"):
        plan_deploy(seen(world, "v43"), deploy("v43"))


def test_f24_a_deploy_whose_base_is_not_live_is_refused(world: FakeWorld) -> None:
    with pytest.raises(Refused, match="made for base v40, but v41 is live"):
        plan_deploy(seen(world), deploy(base="v40"))

    assert plan_deploy(seen(world), deploy(base="v41"))


def test_a_deploy_without_hosts_is_refused(world: FakeWorld) -> None:
    world.hosts.clear()

    with pytest.raises(Unreachable, match="no host is in service"):
        plan_deploy(seen(world), deploy())


def test_what_a_deploy_relies_on_must_have_been_read(world: FakeWorld) -> None:
    world.fail("registry.image", Unreachable("no route to the registry", next="rmu doctor"))

    with pytest.raises(Unreachable, match="the registry could not be read: no route to the registry"):
        plan_deploy(seen(world), deploy())


def test_a_release_that_still_stands_behind_is_retired_first(world: FakeWorld) -> None:
    world.beside("v42", running=True)
    world.push("v43")
    world.hosts[0].backed = True

    plan = plan_deploy(seen(world, "v43"), deploy("v43"))

    assert plan.titles()[:3] == (
        "check digest, scan, base is live",
        "retire v42",
        "prepare v43 on every host (pull, render)",
    )


def test_a_version_serves_already_only_with_the_same_digest_and_config(world: FakeWorld) -> None:
    looked = seen(world, "v41")

    assert already_serves(looked, deploy("v41"))
    assert not already_serves(looked, deploy("v41", config={"MODE": "other"}))
    assert not already_serves(seen(world, "v42"), deploy("v42"))


# -- rollback --------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed() -> FakeWorld:
    """v42 serves, v41 and v40 before it were good, v39 was rolled back."""
    world = FakeWorld()
    for version in ("v39", "v40", "v41", "v42"):
        world.push(version)
    world.live("v42")
    for age, version, verdict in ((2, "v41", "good"), (3, "v40", "good"), (4, "v39", "rolled_back")):
        world.record_of(version, verdict=verdict, age=age)
    return world


def test_a_warm_rollback_is_a_flip(deployed: FakeWorld) -> None:
    plan = plan_rollback(seen(deployed, needs=ROLLBACK), rollback(warm="v41"))

    assert kinds(plan) == ["serve", "proven", "record_release", "start_worker"]
    assert plan.titles()[0] == "serve v41 [undo: serve v42]"


def test_a_rollback_to_a_release_that_is_there_starts_it_first(deployed: FakeWorld) -> None:
    deployed.beside("v41", running=False)

    plan = plan_rollback(seen(deployed, needs=ROLLBACK | {"hosts"}), rollback())

    assert kinds(plan)[:3] == ["start_release", "ready", "serve"]


def test_a_cold_rollback_pulls_it_first(deployed: FakeWorld) -> None:
    plan = plan_rollback(seen(deployed, needs=ROLLBACK | {"hosts"}), rollback())

    assert kinds(plan)[:4] == ["prepare", "start_release", "ready", "serve"]


def test_a_plan_tells_which_release_it_brings_back_whatever_its_last_step_is(deployed: FakeWorld) -> None:
    plan = plan_rollback(seen(deployed, needs=ROLLBACK), rollback(warm="v41"))

    for steps in (plan.steps, plan.steps[::-1], (*plan.steps, HostsInService())):
        assert target_of(plan.model_copy(update={"steps": steps})) == "v41"


def test_a_rollback_goes_to_the_newest_good_release_older_than_the_live_one(deployed: FakeWorld) -> None:
    deployed.record_of("v41", verdict="rolled_back", age=2)

    plan = plan_rollback(seen(deployed, needs=ROLLBACK), rollback())

    assert "serve v40 [undo: serve v42]" in plan.titles()


def test_a_rollback_goes_where_it_is_told(deployed: FakeWorld) -> None:
    plan = plan_rollback(seen(deployed, needs=ROLLBACK), rollback("v39"))

    assert "serve v39 [undo: serve v42]" in plan.titles()


def test_a_rollback_works_while_the_database_is_down(deployed: FakeWorld) -> None:
    deployed.databases.clear()

    assert plan_rollback(seen(deployed, needs=ROLLBACK), rollback(warm="v41"))


def test_f32_old_code_that_cannot_run_on_the_new_schema_is_refused_and_the_restore_named(deployed: FakeWorld) -> None:
    live = deployed.record("v42").model_copy(update={"schema_head": "0009"})
    old = deployed.record("v41").model_copy(update={"schema_oldest": "0010"})
    deployed.put_release(live)
    deployed.put_release(old)

    with pytest.raises(Refused, match="v41 cannot run on the schema that v42 brought") as told:
        plan_rollback(seen(deployed, needs=ROLLBACK), rollback())

    assert told.value.next == "rmu db restore --before r-000-v42"


def test_f40_a_rollback_straight_after_a_rollback_never_toggles(deployed: FakeWorld) -> None:
    last = RunHeader(run="r-9", verb="rollback", who="ann@laptop", started=BEGIN, outcome="done")
    deployed.put(header_entry(last))

    with pytest.raises(Refused, match="the last run was a rollback already") as told:
        plan_rollback(seen(deployed, needs=ROLLBACK), rollback())

    assert told.value.next == "rmu rollback v41"
    assert plan_rollback(seen(deployed, needs=ROLLBACK), rollback("v41"))


@pytest.mark.parametrize(
    ("version", "what"),
    [("v42", "v42 is what serves already"), ("v98", "no release v98 was ever deployed here")],
)
def test_a_rollback_to_nowhere_is_refused(deployed: FakeWorld, version: str, what: str) -> None:
    with pytest.raises(Refused, match=what):
        plan_rollback(seen(deployed, needs=ROLLBACK), rollback(version))


def test_a_rollback_without_an_earlier_good_release_is_refused(world: FakeWorld) -> None:
    with pytest.raises(Refused, match="no earlier good release"):
        plan_rollback(seen(world, needs=ROLLBACK), rollback())


def test_a_rollback_before_the_first_deploy_is_refused() -> None:
    with pytest.raises(Refused, match="nothing is live"):
        plan_rollback(seen(FakeWorld(), needs=ROLLBACK), rollback())


# -- hosts, places ---------------------------------------------------------------------------------------------------


def test_only_a_host_in_service_is_rebooted_or_replaced(world: FakeWorld) -> None:
    looked = seen(world, needs=STATUS)

    assert kinds(plan_reboot(looked, HostRequest(run="r-3", rmu_version="1", host="i-1")))[0] == "stand_by"
    for plan in (plan_reboot, plan_replace):
        with pytest.raises(Refused, match="i-9 is not in service"):
            plan(looked, HostRequest(run="r-3", rmu_version="1", host="i-9"))


def test_an_apply_makes_the_secrets_before_terraform_reads_them(world: FakeWorld) -> None:
    outside = world.outside()
    world.wanted["stack"] = {"web"}
    request = InfraRequest(run="r-4", rmu_version="1", database="rmu-test-db-1", variables={})

    plan = plan_apply(seen(world), request, outside.infra.plan("stack", {}))

    assert kinds(plan)[:2] == ["ensure_secrets", "apply_infra"]


def test_what_has_no_way_back_is_a_fence(world: FakeWorld) -> None:
    outside = world.outside()
    infra = InfraRequest(run="r-4", rmu_version="1", database="rmu-test-db-1", variables={})
    plans = (
        plan_deploy(seen(world), deploy()),
        plan_apply(seen(world), infra, outside.infra.plan("stack", {})),
        plan_replace(seen(world, needs=STATUS), HostRequest(run="r-3", rmu_version="1", host="i-1")),
    )

    fences = {s.kind for p in plans for s in p.steps if isinstance(s, Change) and s.fence}

    assert fences == {"retire", "apply_infra", "replace_host"}


# -- looking ---------------------------------------------------------------------------------------------------------


def test_a_survey_reads_only_what_its_verb_needs(deployed: FakeWorld) -> None:
    seen(deployed, needs=ROLLBACK)

    assert not {"fleet.survey", "databases.view", "registry.image"} & set(deployed.faults.calls)


def test_a_survey_never_raises_for_a_field_it_could_not_read(world: FakeWorld) -> None:
    world.fail("traffic.look", Unreachable("no route", next="rmu doctor"))

    looked = seen(world, needs=STATUS)

    assert looked.unknown() == {"front_door": "no route"}
    assert isinstance(looked.hosts, Known)


def test_a_survey_changes_nothing(world: FakeWorld) -> None:
    before = world.everything()

    seen(world, needs=DEPLOY | ROLLBACK | STATUS)

    assert world.everything() == before
    assert timedelta(seconds=world.clock.seconds) == timedelta(0)


def test_an_apply_that_would_take_the_database_away_is_refused(world: FakeWorld) -> None:
    request = InfraRequest(run="r-infra", rmu_version="0", database="rmu-test-db-1", variables={})
    summary = PlanSummary(replace=("module.database.aws_db_instance.this",))

    with pytest.raises(Refused, match="destroy the database"):
        plan_apply(seen(world), request, summary)
