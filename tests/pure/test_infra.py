"""Terraform's runs: adopting a restored database, destroying, and whose state lock it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ratemyunit_ops.cli import places
from ratemyunit_ops.cli.carrying import Asked
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import HalfWay, Refused
from ratemyunit_ops.model import Database, Pointer
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.terraform import Folders, Terraform
from ratemyunit_ops.planning.infra import SECRETS
from ratemyunit_ops.records import held, pointer_entry, read_headers, read_lease
from tests.fakes import DATABASE, FakeWorld
from tests.fakes.operator import KILLED, Ended, Operator, outcome, story

RESTORED = "rmu-test-db-r1"
YES = Asked(because="a test", dry_run=False, yes=True)


@pytest.fixture
def restored() -> FakeWorld:
    """Make a world whose live database is a restored one; Terraform's state holds the superseded one still."""
    world = FakeWorld()
    world.push("v1")
    world.live("v1")
    world.built["stack"] = world.wanted["stack"] = {"network", "web"}
    world.databases[RESTORED] = world.databases[DATABASE.identifier].model_copy(update={"identifier": RESTORED})
    database = Database(identifier=RESTORED, address=f"{RESTORED}.example")
    world.put(pointer_entry(Pointer(release="v1", database=database)))
    return world


def types(
    world: FakeWorld, command: Callable[[Wired, Asked], None], asked: Asked = YES, who: str = "ann@laptop"
) -> Ended:
    return Operator(world, who)._type(lambda w: command(w, asked))


def newest_run(world: FakeWorld) -> str:
    return read_headers(world.outside().ledger)[-1].run


# -- adopting --------------------------------------------------------------------------------------------------------


def test_a_restored_database_is_taken_into_the_state_and_the_plan_is_empty_then(restored: FakeWorld) -> None:
    ended = types(restored, places.adopt_it)

    assert ended.code == 0, ended.why
    assert restored.state_holds == RESTORED
    assert story(restored, newest_run(restored)) == [
        "planned",
        "started adopt_database",
        "done adopt_database",
        "started nothing_left",
        "done nothing_left",
        "closed done",
    ]
    assert restored.outside().infra.plan("stack", {}).empty
    assert DATABASE.identifier in restored.databases  # the superseded one stays, for `rmu db forget`


def test_what_adopting_would_do_is_shown_before_anyone_agrees(restored: FakeWorld) -> None:
    before = restored.everything()

    ended = types(restored, places.adopt_it, Asked(because="a test", dry_run=True, yes=False))

    assert any("1 to change: module.database.aws_db_instance.this" in line for line in ended.screen.said)
    assert restored.everything() == before


def test_a_dry_run_of_a_dead_adoption_shows_what_is_still_to_do(restored: FakeWorld) -> None:
    restored.kill_after_event(2)
    assert types(restored, places.adopt_it).code == KILLED
    before = restored.everything()

    ended = types(restored, places.adopt_it, Asked(because="a test", dry_run=True, yes=False))

    assert ended.screen.document is not None
    assert (ended.screen.document["outcome"], len(ended.screen.document["steps"])) == ("dry_run", 1)
    assert restored.everything() == before


def test_f34_an_adoption_that_would_replace_something_is_refused_before_the_state_is_touched(
    restored: FakeWorld,
) -> None:
    restored.adopting_replaces = {"module.database.aws_db_instance.this"}

    ended = types(restored, places.adopt_it)

    assert ended.code == Refused.exit_code
    assert "replace or destroy module.database.aws_db_instance.this" in ended.why
    assert restored.state_holds == DATABASE.identifier


@pytest.mark.parametrize("command", [places.apply_it, places.destroy_it])
def test_f34_no_other_run_of_terraform_is_allowed_before_the_restored_database_is_adopted(
    restored: FakeWorld, command: Callable[[Wired, Asked], None]
) -> None:
    """Terraform would rename the superseded one to the live one's name, or destroy it and leave the live one behind."""
    for name, view in restored.databases.items():
        restored.databases[name] = view.model_copy(update={"protected": False})

    ended = types(restored, command)

    assert ended.code == Refused.exit_code
    assert ended.why == f"Terraform still holds {DATABASE.identifier}, but {RESTORED} serves since a restore"
    assert ended.failure.next == "rmu infra adopt"
    assert restored.built["stack"] == {"network", "web"}


@pytest.mark.parametrize("command", [places.show_plan, places.show_drift])
def test_a_plan_that_would_rename_the_superseded_database_is_not_shown(
    restored: FakeWorld, command: Callable[[Wired], None]
) -> None:
    ended = Operator(restored)._type(command)

    assert (ended.code, ended.failure.next) == (Refused.exit_code, "rmu infra adopt")


def test_there_is_nothing_to_adopt_where_no_restore_was(restored: FakeWorld) -> None:
    assert types(restored, places.adopt_it).code == 0

    again = types(restored, places.adopt_it)

    assert again.code == Refused.exit_code
    assert f"holds the live database {RESTORED} already" in again.why


def test_an_adoption_that_leaves_terraform_something_to_do_says_so(restored: FakeWorld) -> None:
    restored.on_call("infra.adopt", lambda: restored.drifted.add("module.web.aws_lb.this"))

    ended = types(restored, places.adopt_it)

    assert ended.code == HalfWay.exit_code
    assert "terraform still has something to do: 0 to make, 1 to change" in ended.why


@pytest.mark.parametrize("event", range(6))
def test_an_adoption_killed_after_any_event_and_inside_terraform_is_finished_by_typing_it_again(
    restored: FakeWorld, event: int
) -> None:
    restored.kill_after_event(event)
    restored.kill_in_the_middle_of("infra.adopt")

    codes = []
    while KILLED in codes[-1:] or not codes:
        codes.append(types(restored, places.adopt_it).code)
        restored.clock.sleep(40)

    assert codes.count(KILLED) == 2
    assert outcome(restored, newest_run(restored)) == "done"
    assert (restored.state_holds, restored.state_locks) == (RESTORED, {})


# -- destroying ------------------------------------------------------------------------------------------------------


@pytest.fixture
def standing() -> FakeWorld:
    """Make a world whose stack may be destroyed."""
    world = FakeWorld()
    world.push("v1")
    world.live("v1")
    world.built["stack"] = {"network", "web"}
    world.databases[DATABASE.identifier] = world.databases[DATABASE.identifier].model_copy(update={"protected": False})
    return world


def test_a_destruction_is_a_run_like_any_other(standing: FakeWorld) -> None:
    assert types(standing, places.destroy_it).code == 0

    assert story(standing, newest_run(standing)) == [
        "planned",
        "started destroy_infra",
        "done destroy_infra",
        "closed done",
    ]
    assert standing.pointer() == Pointer()
    assert not held(read_lease(standing.outside().ledger))


def test_a_destruction_killed_inside_terraform_is_finished_by_typing_it_again(standing: FakeWorld) -> None:
    standing.kill_in_the_middle_of("infra.destroy")
    assert types(standing, places.destroy_it).code == KILLED
    standing.clock.sleep(40)

    ended = types(standing, places.destroy_it)

    assert ended.code == 0, ended.why
    assert "stack" not in standing.built
    assert standing.pointer() == Pointer()
    assert standing.state_locks == {}


def test_a_destruction_wants_the_environments_name_typed(standing: FakeWorld) -> None:
    typed = {"wrong": Refused.exit_code, "test": 0}

    for answer, code in typed.items():
        operator = Operator(standing)
        ended = operator._type(lambda w, a=answer: destroy_answering(w, a))  # type: ignore[misc]

        assert ended.code == code, ended.why


def destroy_answering(w: Wired, answer: str) -> None:
    w.screen.ask = lambda question: answer  # type: ignore[method-assign]  # what a person types
    places.destroy_it(w, Asked(because=None, dry_run=False, yes=False))


def test_a_destruction_shows_its_plan_before_it_asks(standing: FakeWorld) -> None:
    ended = Operator(standing, types="wrong")._type(
        lambda w: places.destroy_it(w, Asked(because=None, dry_run=False, yes=False))
    )

    assert ended.screen.planned is not None and ended.screen.said == ["Type test to go on"]


def test_a_database_that_terraform_does_not_hold_is_not_left_behind_by_a_destruction(standing: FakeWorld) -> None:
    superseded = standing.databases[DATABASE.identifier].model_copy(update={"identifier": "rmu-test-db-old"})
    standing.databases["rmu-test-db-old"] = superseded

    ended = types(standing, places.destroy_it)

    assert ended.code == Refused.exit_code
    assert ended.failure.next == "rmu db forget rmu-test-db-old"
    assert standing.built["stack"] == {"network", "web"}


# -- whose state lock it is ------------------------------------------------------------------------------------------


def test_f36_a_third_person_finishes_an_apply_whose_two_carriers_died_inside_terraform() -> None:
    world = FakeWorld()
    world.wanted["stack"] = {"network", "web"}
    for who in ("ann@laptop", "bob@desk"):
        world.kill_in_the_middle_of("infra.apply")
        assert types(world, places.apply_it, who=who).code == KILLED
        assert world.state_locks["stack"].who == who
        world.clock.sleep(40)

    ended = types(world, places.apply_it, who="carol@tram")

    assert ended.code == 0, ended.why
    assert world.state_locks == {}
    assert world.built["stack"] == {"network", "web"}


def test_f36_a_lock_that_a_later_carrier_left_before_they_carried_the_run_is_not_the_runs() -> None:
    world = FakeWorld()
    world.wanted["stack"] = {"network", "web"}
    world.kill_before_event(2)  # within the apply's first step, before Terraform
    assert types(world, places.apply_it).code == KILLED
    world.kill_in_the_middle_of("infra.apply")
    assert _bare_apply(world, "bob@desk") == KILLED
    world.clock.sleep(40)

    ended = types(world, places.apply_it, who="bob@desk")

    assert ended.code == HalfWay.exit_code
    assert world.state_locks["stack"].by_hand in ended.failure.next
    assert world.state_locks["stack"].who == "bob@desk"


def _bare_apply(world: FakeWorld, who: str) -> int:
    """Let somebody run Terraform by hand, outside any run of rmu."""

    def by_hand(w: Wired) -> None:
        w.outside.infra.apply("stack", {}, lambda name, action, seconds: None)

    return Operator(world, who)._type(by_hand).code


def test_a_state_lock_is_released_by_hand_where_terraform_knows_the_state(tmp_path: Path) -> None:
    work = tmp_path / "a cache"
    account = Account(region="us-east-1", profile="rmu-test")
    terraform = Terraform("test", account, FakeWorld().outside().identity, Folders(sources=tmp_path, work=work))

    assert terraform._unlock_by_hand("stack", "1f2e") == (
        f"AWS_PROFILE=rmu-test TF_DATA_DIR='{work}/test/stack.data' "
        f"terraform -chdir='{work}/test/src/live/stack' force-unlock 1f2e"
    )


# -- the bootstrap ---------------------------------------------------------------------------------------------------


def test_a_bootstrap_that_is_only_tried_says_what_it_would_make_and_makes_nothing() -> None:
    world = FakeWorld()
    world.wanted["bootstrap"] = {"aws_s3_bucket.state"}
    world.secrets = set(SECRETS) - {"app/secret_key"}
    before = world.everything()

    ended = Operator(world)._type(lambda w: places.bootstrap_it(w, yes=False, dry_run=True))

    assert ended.code == 0, ended.why
    assert ended.screen.said == ["1 to make: aws_s3_bucket.state", "1 secrets to make: app/secret_key"]
    assert ended.screen.document == {
        "outcome": "dry_run",
        "steps": ["terraform apply bootstrap", "make the secrets that are missing"],
        "create": ("aws_s3_bucket.state",),
        "change": (),
        "replace": (),
        "destroy": (),
        "imports": (),
        "secrets": ("app/secret_key",),
    }
    assert world.everything() == before


def test_an_apply_with_nothing_to_do_is_planned_once_and_terraform_applies_nothing() -> None:
    world = FakeWorld()
    world.built["stack"] = world.wanted["stack"] = {"network", "web"}

    ended = types(world, places.apply_it)

    assert ended.code == 0, ended.why
    assert "nothing to change" in ended.screen.said
    assert world.faults.calls.count("infra.plan") == 1
    assert "infra.apply" not in world.faults.calls
