"""Upkeep: images that nothing needs go, secrets get new values without a lost request, and no value is ever told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rmu_host.state import STATE

from ratemyunit_ops.errors import Failed, Refused, RolledBack
from ratemyunit_ops.steps.upkeep import TodaysSecrets
from tests.fakes import FakeWorld
from tests.fakes.host_machine import App, FakeCloud, FakeMachine
from tests.fakes.operator import KILLED, Ended, Operator, outcome
from tests.pure.test_host_program import Caller

SECRET = "app/secret_key"


# -- on a host ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def m(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.apps = {f"sha256:{v}": App(v) for v in ("v1", "v2", "v3")}
    return machine


@pytest.fixture
def ask(m: FakeMachine) -> Caller:
    cloud = FakeCloud()
    caller = Caller(m, cloud)
    caller.live("v1")
    caller.prepare("v2")
    m.pulled.add("sha256:v3")
    return caller


def test_only_an_image_that_no_slot_holds_is_removed(m: FakeMachine, ask: Caller) -> None:
    seen = ask("prune", look=True)
    answer = ask("prune")
    again = ask("prune")

    assert seen["unneeded"] == answer["removed"] == ["registry.example/rmu-test/app@sha256:v3"]
    assert m.pulled == {"sha256:v1", "sha256:v2"}
    assert (answer["outcome"], again["outcome"]) == ("changed", "already")


def test_an_image_that_a_container_uses_is_needed_whoever_started_it(m: FakeMachine, ask: Caller) -> None:
    m.units["by-hand"] = m.units["rmu-blue"].__class__("sha256:v3")

    assert ask("prune", look=True)["unneeded"] == []


def test_a_podman_that_says_nothing_leaves_every_image(m: FakeMachine, ask: Caller) -> None:
    m.before["podman images"] = lambda: setattr(m, "pulled", set())

    assert ask("prune")["outcome"] == "already"


def environment_of(m: FakeMachine, slot: str, **values: str) -> None:
    lines = {"DATABASE_URL": "postgresql://rmu_app:app%2Fpw@db.example:5432/ratemyunit?sslmode=verify-full"}
    lines["DATABASE_URL"] += "&sslrootcert=/etc/rmu/rds-ca.pem"
    m.write(f"/run/rmu/{slot}.env", "".join(f"{k}={v}\n" for k, v in {**lines, **values}.items()))


def test_a_secret_that_has_another_value_now_is_named_and_no_value_is_told(m: FakeMachine, ask: Caller) -> None:
    environment_of(m, "blue", SECRET_KEY="of last month")
    ask.cloud.secrets["/rmu/test/db/app_password"] = "another"

    answer = ask("stale")

    assert answer["stale"] == {"blue": ["app/secret_key", "db/app_password"]}
    assert "s3cret" not in json.dumps(answer) and "of last month" not in json.dumps(answer)


def test_what_holds_todays_values_or_does_not_run_is_not_stale(m: FakeMachine, ask: Caller) -> None:
    environment_of(m, "blue", SECRET_KEY="s3cret")

    assert ask("stale")["stale"] == {"blue": []}
    assert m.read(f"{STATE}/slots/green.json")


# -- as a person types it ----------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> FakeWorld:
    """v42 serves, and v41 is what it was before."""
    world = FakeWorld()
    world.secrets = {"secret_key", "admin_token"}
    for version in ("v41", "v42"):
        world.push(version)
    world.live("v41")
    assert Operator(world).deploy("v42").code == 0
    return world


@pytest.fixture
def ann(world: FakeWorld) -> Operator:
    return Operator(world)


def run_of(ended: Ended) -> str:
    assert ended.screen.planned is not None
    return ended.screen.planned.run


def test_pruning_leaves_what_serves_and_what_it_came_from(world: FakeWorld, ann: Operator) -> None:
    for host in world.hosts:
        host.images.add("sha256:nobody")
    kept = [host.images - {"sha256:nobody"} for host in world.hosts]

    assert ann.prune().code == 0

    assert [host.images for host in world.hosts] == kept


def test_a_rotated_secret_is_what_everything_runs_with_and_no_request_is_lost(world: FakeWorld, ann: Operator) -> None:
    ended = ann.renew(SECRET)

    assert ended.code == 0, ended.why
    assert world.renewed == {SECRET: run_of(ended)}
    assert world.outside().fleet.stale() == ()
    assert world.serving() == {"v42"} and world.workers() == {"v42"}
    assert world.lost == []


def test_what_holds_a_value_that_was_changed_by_hand_is_started_anew(world: FakeWorld, ann: Operator) -> None:
    world.outdate("db/app_password")

    ended = ann.renew()

    assert ended.code == 0, ended.why
    assert (world.outside().fleet.stale(), world.lost) == ((), [])


def test_a_rotation_that_is_killed_anywhere_is_finished_by_the_same_words(world: FakeWorld, ann: Operator) -> None:
    for seam in (3, 8, 13, 18, 23):
        world.kill_before_event(seam)
        ended = ann.renew(SECRET)
        if ended.code == KILLED:
            world.clock.sleep(60)
            assert ann.renew(SECRET).code == 0

        assert world.outside().fleet.stale() == ()
        assert world.serving() == {"v42"} and world.lost == []


def test_a_release_that_does_not_come_back_is_unwound_and_the_one_before_never_stays(
    world: FakeWorld, ann: Operator
) -> None:
    world.never_ready.add("v41")

    ended = ann.renew(SECRET)

    assert ended.code == RolledBack.exit_code
    assert outcome(world, run_of(ended)) == "rolled_back"
    assert world.serving() == {"v42"} and world.lost == []


def test_nobody_can_stand_in_for_the_first_release(ann: Operator, world: FakeWorld) -> None:
    alone = FakeWorld()
    alone.secrets = {"secret_key"}
    alone.push("v1")
    alone.live("v1")

    ended = Operator(alone).renew(SECRET)

    assert ended.code == Refused.exit_code
    assert "no other release can stand in for v1" in ended.why
    assert alone.renewed == {}


def test_a_secret_that_nobody_knows_is_refused_with_those_that_there_are(ann: Operator, world: FakeWorld) -> None:
    ended = ann.renew("app/nonsense")

    assert ended.code == Refused.exit_code
    assert "app/admin_token, app/secret_key" in ended.why


def test_who_holds_an_older_value_is_listed_by_name(world: FakeWorld, ann: Operator) -> None:
    world.outdate(SECRET)

    said = "\n".join(ann.secrets().screen.said)

    assert "app/secret_key | v41 on i-1, v42 on i-1, v42's worker on i-1" in said
    assert "app/admin_token | \n" in said
    with pytest.raises(Failed, match=r"app/secret_key \(v41 on i-1\)"):
        TodaysSecrets().look(world.outside())
