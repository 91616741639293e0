"""Restores on their good and bad days: what is refused and why, what is held, what is given back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from ratemyunit_ops.engine.journal import event_key, read_events
from ratemyunit_ops.errors import Failed, Mistyped, Unreachable
from ratemyunit_ops.model import RestorePoint, RunHeader
from ratemyunit_ops.planning.restore import read_time
from ratemyunit_ops.records import (
    header_entry,
    read_database,
    read_databases,
    read_live_notes,
    read_salvage,
    read_schema_notes,
)
from ratemyunit_ops.reports.schemas import RestoreDocument
from ratemyunit_ops.reports.status import report_status, status_lines
from ratemyunit_ops.steps.restore import DatabaseAvailable, Restorable, SameSettings
from ratemyunit_ops.survey import STATUS, survey
from tests.fakes import BEGIN, DATABASE, FakeWorld
from tests.fakes.databases import SETTINGS
from tests.fakes.operator import KILLED, Operator, make_unreadable, outcome, story
from tests.fakes.patches import own_the_time, type_commands

OLD = DATABASE.identifier
DEPLOY, RESTORE, NEXT = "r-001", "r-002", "r-003"
NEW = "rmu-test-db-002"


@pytest.fixture
def world() -> FakeWorld:
    """v42 came seven minutes after v41 had been live for a day, and brought a schema; clients write all the time."""
    world = FakeWorld()
    world.push("v41")
    world.push("v42", head="0002")
    world.push("v43", head="0002")
    world.live("v41")
    world.clock.every(20, world.send_requests, owner=world)
    world.clock.sleep(420)
    assert Operator(world).deploy("v42").code == 0
    world.clock.sleep(240)
    return world


@pytest.fixture
def ann(world: FakeWorld) -> Operator:
    return Operator(world)


def rows(world: FakeWorld) -> dict[tuple[str, int], str]:
    return {key: value for key, (value, _) in world.stores[world.live_database()].rows.items()}


# -- the good day ----------------------------------------------------------------------------------------------------


def test_a_restore_before_a_deploy_brings_data_schema_and_release_of_then_back(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(before=DEPLOY)

    assert ended.code == 0, ended
    assert world.serving() == {"v41"} == world.workers()
    assert world.databases_served() == {NEW} == {world.live_database()}
    assert world.schema_head == "0001"
    assert (world.record("v41").verdict, world.record("v42").verdict) == ("good", "rolled_back")


def test_requests_are_held_and_not_failed_while_a_restore_cuts_over(world: FakeWorld, ann: Operator) -> None:
    waiting: list[int] = []
    world.on_call("data.fence", lambda: world.clock.sleep(4))
    world.on_call("data.move_sequences", lambda: waiting.extend(h.waiting for h in world.hosts))
    written = len(world.stores[OLD].commits)

    assert ann.restore(latest=True).code == 0

    assert min(waiting) > 0
    assert (world.lost, world.clients.refused, world.broken) == ([], [], [])
    assert len(world.stores[OLD].commits) >= written


def test_a_request_that_the_hold_did_not_see_answered_is_warned_of(world: FakeWorld, ann: Operator) -> None:
    world.answers_late = True

    ended = ann.restore(latest=True)

    assert ended.code == 0
    assert [line for line in ended.screen.said if line.startswith("warning: ")] == [
        "warning: a request from before the hold has no answer yet; the fence ends its session, and it fails"
    ]


def test_a_hold_that_saw_every_request_answered_warns_of_nothing(world: FakeWorld, ann: Operator) -> None:
    assert not any(line.startswith("warning") for line in ann.restore(latest=True).screen.said)


def test_a_hold_that_a_resumed_restore_begins_anew_warns_too(world: FakeWorld, ann: Operator) -> None:
    world.kill_after_event(events_of_a_restore().index("started fence_database"))
    assert ann.restore(latest=True).code == KILLED
    world.clock.sleep(31)
    world.answers_late = True

    ended = Operator(world, "bob@ci").resume(RESTORE)

    assert ended.code == 0
    assert sum(line.startswith("warning: a request") for line in ended.screen.said) == 1


def test_a_hold_ends_by_itself_whatever_becomes_of_its_run(world: FakeWorld, ann: Operator) -> None:
    number = events_of_a_restore().index("started fence_database")
    world.kill_after_event(number)
    assert ann.restore(latest=True).code == KILLED

    world.clock.sleep(31)

    assert [h.held_until for h in world.hosts] == [None, None]
    assert (world.lost, world.clients.refused) == ([], [])


@cache
def events_of_a_restore() -> list[str]:
    """Tell the events of a restore that nobody disturbs, in a world of its own."""
    with pytest.MonkeyPatch.context() as patch:
        own_the_time(patch)
        type_commands(patch)
        world = FakeWorld()
        world.push("v41")
        world.live("v41")
        assert Operator(world).restore(latest=True).code == 0
        return story(world, "r-001")


def test_what_is_restored_and_salvaged_is_all_that_was_acknowledged(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(before=DEPLOY)
    assert ended.screen.document is not None
    assert ended.screen.document["left_behind"]
    lost = {k: v for k, v in world.clients.acknowledged.items() if k not in rows(world)}
    world.clock.sleep(60)

    assert lost, "the control: without a salvage rows are lost"
    assert ann.salvage(RESTORE).code == 0
    assert rows(world) == world.clients.acknowledged


def test_a_salvage_leaves_files_to_read_and_applies_nothing_by_itself(
    world: FakeWorld, ann: Operator, tmp_path: Path
) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    ended = ann.salvage(RESTORE, tmp_path, apply=False)

    assert ended.code == 0
    assert ended.screen.document is not None
    assert sorted(ended.screen.document["files"]) == sorted(f.name for f in tmp_path.iterdir())
    assert ended.screen.document["tables"]["ratings"]["inserted"] > 0
    assert not world.stores[NEW].given_back
    noted = read_salvage(world.outside().ledger, RESTORE)
    assert noted is not None
    assert not noted.applied


def test_programs_are_told_what_a_restore_was(world: FakeWorld, ann: Operator) -> None:
    document = ann.restore(before=DEPLOY).screen.document

    assert document is not None
    assert (document["run"], document["outcome"], document["release"]) == (RESTORE, "done", "v41")
    assert (document["instance"], document["superseded"]) == (NEW, OLD)
    assert document["restore_point"]["resource_id"] == "db-RESOURCE1"
    assert document["seconds"] > 0


def test_a_dry_run_tells_programs_the_same_keys_and_that_nothing_was_superseded(
    world: FakeWorld, ann: Operator
) -> None:
    document = ann.restore(before=DEPLOY, dry_run=True).screen.document

    assert document is not None
    assert (document["run"], document["outcome"], document["instance"]) == (RESTORE, "dry_run", NEW)
    assert (document["superseded"], document["seconds"]) == (None, None)
    assert document["left_behind"] and document["restore_point"]["resource_id"] == "db-RESOURCE1"
    assert RestoreDocument.model_validate(document)
    assert set(world.databases) == {OLD}


def test_a_restore_that_was_taken_back_superseded_nothing(world: FakeWorld, ann: Operator) -> None:
    world.sequences_stuck = True

    document = ann.restore(before=DEPLOY).screen.document

    assert document is not None
    assert (document["outcome"], document["superseded"]) == ("rolled_back", None)


def test_what_a_database_that_does_not_date_its_rows_leaves_behind_is_unknown(world: FakeWorld, ann: Operator) -> None:
    world.undated.add(OLD)

    ended = ann.restore(before=DEPLOY)

    assert ended.screen.document is not None
    assert ended.screen.document["left_behind"] is None
    assert any("unknown, the database does not date its rows" in line for line in ended.screen.said)


def test_what_is_left_behind_is_said_to_count_no_deletes(ann: Operator) -> None:
    said = ann.restore(before=DEPLOY, dry_run=True).screen.said

    assert any(line.startswith("left behind, rows written since (deletes not counted): ") for line in said)


def test_a_restore_says_that_terraform_still_holds_the_old_one(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(before=DEPLOY)
    seen = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)

    assert f"Terraform still holds {OLD}, not {NEW}: rmu infra adopt" in ended.screen.said
    assert f"  terraform  holds {OLD}, not what serves: rmu infra adopt" in status_lines(seen)
    world.places["database"] = NEW
    adopted = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)
    assert not any("infra adopt" in line for line in status_lines(adopted))


def test_status_names_the_new_database_and_what_a_restore_left(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    seen = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)

    assert seen.database.identifier == NEW
    assert seen.database.latest_restorable_time == world.outside().databases.view(NEW).latest_restorable.isoformat()
    assert [d.identifier for d in seen.database.superseded] == [OLD]
    assert f"  left       {OLD}: rmu db salvage {RESTORE}" in status_lines(seen)


def test_the_ledger_tells_what_served_when(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    notes = read_live_notes(world.outside().ledger)

    assert [(n.release, n.database.identifier if n.database else "") for n in notes] == [("v42", OLD), ("v41", NEW)]
    assert [n.resource_id for n in notes] == ["db-RESOURCE1", f"db-RESOURCE-{NEW}"]
    schemas = {n.database: n.head for n in read_schema_notes(world.outside().ledger)}
    assert schemas[NEW] == "0001"


# -- which moment, which release -------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, 12, 30, 15, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("2026-03-01 12:05 UTC", "2026-03-01 12:05:00"),
        ("2026-03-01T12:05:07Z", "2026-03-01 12:05:07"),
        ("2026-03-01 13:05:07.9+01:00", "2026-03-01 12:05:07"),
        ("12m ago", "2026-03-01 12:18:15"),
        ("90s ago", "2026-03-01 12:28:45"),
        ("2h ago", "2026-03-01 10:30:15"),
    ],
)
def test_a_time_is_read_as_people_type_it(typed: str, read: str) -> None:
    assert f"{read_time(typed, NOW):%Y-%m-%d %H:%M:%S}" == read


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ("2026-03-01 12:05", "names no time zone"),
        ("2026-03-01 12:31 UTC", "is still to come"),
        ("yesterday", "is no time that rmu can read"),
        ("2026-03-01 12:05 CEST", "is no time that rmu can read"),
        ("12m", "is no time that rmu can read"),
    ],
)
def test_a_time_that_could_be_misread_is_not_guessed(typed: str, what: str) -> None:
    with pytest.raises(Mistyped, match=what) as told:
        read_time(typed, NOW)

    assert told.value.next.startswith("--to '")


@pytest.mark.parametrize("typed", [{}, {"latest": True, "to": "12m ago"}, {"before": "r-1", "latest": True}])
def test_a_restore_wants_exactly_one_moment(ann: Operator, typed: dict[str, object]) -> None:
    ended = ann.restore(**typed)  # type: ignore[arg-type]

    assert ended.code == Mistyped.exit_code
    assert "wants one moment" in ended.why


def test_a_moment_between_two_deploys_says_which_release_will_run(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(to="2026-03-01 12:05 UTC")

    assert ended.code == 0
    assert "v41 will run on it (schema 0001)" in " ".join(ended.screen.said)
    assert world.serving() == {"v41"}


def test_a_moment_after_the_migration_and_before_the_flip_runs_old_code_on_the_new_schema(
    world: FakeWorld, ann: Operator
) -> None:
    migrated = max(n.at for n in read_schema_notes(world.outside().ledger) if n.run == DEPLOY)

    ended = ann.restore(to=f"{migrated + timedelta(seconds=1):%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 0, ended
    assert "v41 will run on it (schema 0002)" in " ".join(ended.screen.said)
    assert (world.serving(), world.schema_head) == ({"v41"}, "0002")


def test_a_moment_at_which_only_an_unproven_release_runs_is_refused_and_the_moment_before_named(
    world: FakeWorld, ann: Operator
) -> None:
    """v44's expand shut out what served; v44 itself never served, and was taken back."""
    world.push("v44", head="0003")
    world.fails_on.add(("v42", "0003"))
    assert ann.deploy("v44").code == 5
    migrated = max(n.at for n in read_schema_notes(world.outside().ledger) if n.run == RESTORE)
    world.clock.sleep(600)

    ended = ann.restore(to=f"{migrated + timedelta(seconds=1):%Y-%m-%d %H:%M:%S} UTC")

    assert (ended.code, world.serving()) == (3, {"v42"})
    assert ended.why == "no good release of then runs on the schema of then (0003)"
    point = world.record("v44").restore_point
    assert point is not None
    assert ended.failure.next == f"rmu db restore --to '{point.at:%Y-%m-%d %H:%M:%S} UTC'"
    assert ann.restore(to=ended.failure.next.split("'")[1]).code == 0
    assert (world.serving(), world.schema_head) == ({"v42"}, "0002")


def test_a_moment_whose_release_cannot_run_takes_the_newest_good_one_that_can(world: FakeWorld, ann: Operator) -> None:
    world.push("v44", head="0002")
    assert ann.deploy("v43").code == 0
    world.shut_out_older_code_than("0002", run=RESTORE)
    world.put_release(world.record("v43").model_copy(update={"schema_head": "0001", "verdict": "rolled_back"}))
    world.put_release(world.release("v44").model_copy(update={"created": world.clock.now()}))
    world.clock.sleep(600)

    ended = ann.restore(to="1m ago")

    assert ended.code == 0, ended
    assert world.serving() == {"v42"}


def test_a_moment_that_is_not_shipped_yet_is_said_and_waited_for(world: FakeWorld, ann: Operator) -> None:
    at = world.clock.now()

    ended = ann.restore(to="1s ago")

    assert ended.code == 0
    assert any(line.startswith("possible from 12:") for line in ended.screen.said)
    assert world.clock.now() - at > timedelta(seconds=60)


def test_now_is_the_accounts_and_not_a_laptops(world: FakeWorld, ann: Operator) -> None:
    view = world.databases[OLD]
    world.databases[OLD] = view.model_copy(update={"asked": world.clock.now() + timedelta(minutes=2)})

    ended = ann.restore(to=f"{world.clock.now() + timedelta(seconds=30):%Y-%m-%d %H:%M:%S} UTC")

    assert "is still to come" not in ended.why


def test_a_moment_before_the_window_is_refused_and_the_first_one_named(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(to="2026-02-01 12:00 UTC")

    assert (ended.code, ended.failure.state) == (3, "Nothing was changed.")
    assert "nothing was live at" in ended.why or "is before what can be restored" in ended.why

    ended = ann.restore(to=f"{BEGIN - timedelta(days=7, seconds=30):%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 3


def test_a_moment_when_nothing_was_live_is_refused(world: FakeWorld, ann: Operator) -> None:
    ended = ann.restore(to=f"{BEGIN - timedelta(days=2):%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 3
    assert "nothing was live at 2026-02-27" in ended.why


def test_a_moment_before_the_first_backup_is_refused_and_the_first_moment_named(
    world: FakeWorld, ann: Operator
) -> None:
    world.record_of("v41", verdict="good", age=30)

    ended = ann.restore(to=f"{BEGIN - timedelta(days=8):%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 3
    assert "is before what can be restored: backups of rmu-test-db-1 begin at 2026-02-22 12:00:00 UTC" in ended.why
    assert ended.failure.next == "rmu db restore --to '2026-02-22 12:00:00 UTC'"


def test_a_run_that_noted_no_restore_point_is_none_to_go_back_before(ann: Operator) -> None:
    ended = ann.restore(before="r-999")

    assert ended.code == 3
    assert "there is no run r-999 that noted a restore point" in ended.why


def test_the_image_of_then_must_still_be_there(world: FakeWorld, ann: Operator) -> None:
    world.images["v41"] = world.images["v41"].model_copy(update={"active": False})

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 3
    assert "the registry has no such image any more" in ended.why


# -- who may, and when -----------------------------------------------------------------------------------------------


def test_a_restore_wants_the_environment_typed(world: FakeWorld) -> None:
    before = world.everything()

    ended = Operator(world, types="tset").restore(before=DEPLOY, yes=False)

    assert (ended.code, ended.why) == (3, "test was not typed")
    assert set(world.everything()["databases"]) == set(before["databases"])
    assert Operator(world, types="test").restore(before=DEPLOY, yes=False).code == 0


def test_a_restore_while_a_deploy_is_running_is_busy(world: FakeWorld, ann: Operator) -> None:
    world.kill_after_event(6)
    assert ann.deploy("v43").code == KILLED

    ended = Operator(world, "bob@ci").restore(before=DEPLOY)

    assert ended.code == 4
    assert set(world.databases) == {OLD}


def test_the_same_words_go_on_with_a_dead_restore_and_other_words_do_not(world: FakeWorld, ann: Operator) -> None:
    world.kill_after_event(8)
    assert ann.restore(to="8m ago").code == KILLED
    world.clock.sleep(60)

    assert Operator(world, "bob@ci").restore(latest=True).code == 4
    assert Operator(world, "bob@ci").restore(to="8m ago").code == 0

    assert outcome(world, RESTORE) == "done"


def test_credentials_that_end_before_a_restore_would_are_refused_at_its_begin(world: FakeWorld) -> None:
    ann = Operator(world, credentials_end=world.clock.now() + timedelta(minutes=20))

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 3
    assert ended.why == "these credentials end in 20 min, and a restore may take 45"
    assert set(world.databases) == {OLD}


def test_credentials_have_to_outlast_what_restores_took_until_now(world: FakeWorld) -> None:
    took = timedelta(minutes=60)
    begun = world.clock.now() - timedelta(days=90)
    header = RunHeader(run="r-0", verb="dr drill", who="ann", started=begun, finished=begun + took, outcome="done")
    world.put(header_entry(header))
    ann = Operator(world, credentials_end=world.clock.now() + timedelta(minutes=70))

    ended = ann.restore(before=DEPLOY)

    assert ended.why == "these credentials end in 70 min, and a restore may take 90"


def test_credentials_that_end_too_early_do_not_resume_a_restore_that_has_yet_to_wait(world: FakeWorld) -> None:
    world.kill_after_event(events_of_a_restore().index("done restore_database"))
    assert Operator(world).restore(before=DEPLOY).code == KILLED
    bob = Operator(world, "bob@ci", credentials_end=world.clock.now() + timedelta(minutes=20))

    ended, again = bob.resume(RESTORE), bob.restore(before=DEPLOY)

    assert (ended.code, again.code, outcome(world, RESTORE)) == (3, 3, None)
    assert ended.why == "these credentials end in 20 min, and a restore may take 45"


def test_credentials_that_end_soon_are_good_enough_for_what_is_left_of_a_cut_over(world: FakeWorld) -> None:
    world.kill_after_event(events_of_a_restore().index("done fence_database"))
    assert Operator(world).restore(before=DEPLOY).code == KILLED

    ended = Operator(world, "bob@ci", credentials_end=world.clock.now() + timedelta(minutes=5)).resume(RESTORE)

    assert (ended.code, world.databases_served()) == (0, {NEW})


def test_a_live_database_that_does_not_answer_is_no_database_to_fence(world: FakeWorld, ann: Operator) -> None:
    world.databases[OLD] = world.databases[OLD].model_copy(update={"status": "storage-full"})

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 3
    assert "does not answer" in ended.why


# -- what RDS does ---------------------------------------------------------------------------------------------------


def test_a_quota_is_named_and_nothing_has_moved(world: FakeWorld, ann: Operator) -> None:
    world.database_quota = 1

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 5
    assert "InstanceQuotaExceeded" in ended.why
    assert (world.serving(), set(world.databases), world.broken) == ({"v42"}, {OLD}, [])


def test_f35_a_setting_that_a_restore_drops_is_set_again(world: FakeWorld, ann: Operator) -> None:
    world.restore_drops |= {
        "security_groups": ("sg-default",),
        "parameter_group": "default.postgres17",
        "log_exports": (),
    }

    assert ann.restore(before=DEPLOY).code == 0

    assert world.database_settings[NEW] == world.database_settings[OLD] == SETTINGS


@pytest.mark.parametrize("name", sorted(set(type(SETTINGS).model_fields) - {"parameter_group_status", "storage_gb"}))
def test_f35_every_attribute_that_stays_different_is_named_and_the_copy_is_dropped(
    world: FakeWorld, ann: Operator, name: str
) -> None:
    world.restore_drops[name] = other_than(name)
    world.never_settles.add(name)

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 5
    assert f"{NEW} is not like the source: {name} is " in ended.why
    assert ended.failure.next == "rmu runbook run restore-wrong"
    assert set(world.databases) == {OLD}
    assert world.serving() == {"v42"}


def other_than(name: str) -> object:
    value, kind = getattr(SETTINGS, name), str(type(SETTINGS).model_fields[name].annotation)
    if isinstance(value, bool):
        return not value
    if "int" in kind:
        return (value or 0) + 1
    return ("other",) if isinstance(value, tuple) else {"other": "other"} if isinstance(value, dict) else "other"


def test_f35_a_parameter_group_that_is_not_in_sync_is_not_the_sources(world: FakeWorld) -> None:
    world.database_settings[OLD] = SETTINGS.model_copy(update={"parameter_group_status": "pending-reboot"})

    with pytest.raises(Failed, match="parameter_group_status is pending-reboot, wanted in-sync"):
        SameSettings(identifier=OLD, like=SETTINGS).look(world.outside())


def test_f35_a_restored_database_is_warmed_and_takes_todays_passwords_before_anything_starts_on_it(
    world: FakeWorld, ann: Operator
) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    told = [line.removeprefix("done ") for line in story(world, RESTORE) if line.startswith("done ")]
    assert told.index("renew_passwords") < told.index("warm_database") < told.index("start_release")
    assert world.stores[NEW].passwords == "today"
    assert RESTORE in world.stores[NEW].noted


@pytest.mark.parametrize("changed", [False, True])
def test_the_masters_password_is_asked_of_rds_only_where_it_has_changed_since(
    world: FakeWorld, ann: Operator, changed: bool
) -> None:
    world.stores[OLD].master_changed = changed

    assert ann.restore(before=DEPLOY).code == 0

    assert world.faults.calls.count("databases.renew_master") == (1 if changed else 0)
    assert world.stores[NEW].passwords == "today"


def test_f41_nothing_is_renamed_and_both_databases_keep_their_names(world: FakeWorld, ann: Operator) -> None:
    resources = {name: view.resource_id for name, view in world.databases.items()}

    assert ann.restore(before=DEPLOY).code == 0

    assert {n: v.resource_id for n, v in world.databases.items() if n == OLD} == resources
    assert world.pointer().database is not None
    assert world.pointer().database.identifier == NEW == world.databases[NEW].identifier
    assert not {call for call in world.faults.calls if "rename" in call}
    assert (world.lost, world.clients.refused, world.broken) == ([], [], [])


def test_f41_an_instance_is_available_once_it_looks_so_three_times_with_nothing_pending(world: FakeWorld) -> None:
    view = world.databases[OLD]
    looks = iter(
        [
            {"status": "available"},
            {"status": "modifying"},
            {"status": "available", "pending": ("MasterUserPassword",)},
            {"status": "available", "address": ""},
        ]
    )

    def change() -> None:
        world.databases[OLD] = view.model_copy(update=next(looks, {}))
        world.on_call("databases.view", change)

    change()
    asked = world.faults.calls.count("databases.view")

    DatabaseAvailable(identifier=OLD, verb="db restore").look(world.outside())

    assert world.faults.calls.count("databases.view") - asked == 4 + 3


def test_a_backup_that_is_corrupt_is_named_and_the_one_before_it_offered(world: FakeWorld, ann: Operator) -> None:
    world.restore_ends_as = "incompatible-restore"

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 5
    assert ended.why == f"{NEW} is incompatible-restore; the restore began from the backup of 2026-02-28 12:00:00 UTC"
    assert ended.failure.next == "rmu db restore --to '2026-02-28 11:59:59 UTC'"
    assert set(world.databases) == {OLD}


def test_of_a_corrupt_backup_that_is_the_only_one_no_older_one_is_offered(world: FakeWorld, ann: Operator) -> None:
    world.restore_ends_as = "incompatible-restore"
    world.backups = world.backups[-1:]

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 5
    assert ended.why.endswith("the restore began from the backup of 2026-02-28 12:00:00 UTC, and there is no older one")
    assert ended.failure.next == "rmu runbook run restore-wrong"


@pytest.mark.parametrize("status", ["storage-full", "insufficient-capacity", "incompatible-network"])
def test_an_instance_that_no_waiting_mends_is_named_and_no_backup_is_blamed(
    world: FakeWorld, ann: Operator, status: str
) -> None:
    world.restore_ends_as = status

    ended = ann.restore(before=DEPLOY)

    assert (ended.code, ended.why) == (5, f"{NEW} is {status}")
    assert ended.failure.next == "rmu runbook run restore-wrong"
    assert (world.serving(), set(world.databases)) == ({"v42"}, {OLD})


def test_an_instance_that_is_never_available_names_the_runbook(world: FakeWorld, ann: Operator) -> None:
    world.restore_ends_as = "backing-up"

    ended = ann.restore(before=DEPLOY)

    assert (ended.code, ended.failure.next) == (5, "rmu runbook run restore-wrong")
    assert "did not become available in time (last: backing-up)" in ended.why


def test_a_moment_that_leaves_the_window_while_it_is_waited_for_names_the_first_one_left(world: FakeWorld) -> None:
    window = world.outside().databases.windows()[0]
    point = RestorePoint(resource_id=window.resource_id, at=window.earliest - timedelta(minutes=1))

    with pytest.raises(Failed, match="can be restored no more") as told:
        Restorable(point=point, verb="db restore").look(world.outside())

    assert told.value.next == f"rmu db restore --to '{window.earliest:%Y-%m-%d %H:%M:%S} UTC'"


def test_a_laptop_that_loses_its_network_while_it_waits_does_not_give_the_restore_up(
    world: FakeWorld, ann: Operator
) -> None:
    for nth in (3, 4, 5):
        world.fail("databases.view", Unreachable("no route", next="rmu doctor"), nth=nth)

    assert ann.restore(before=DEPLOY).code == 0


def test_a_database_that_is_gone_with_its_backups_is_no_history_to_restore_from(
    world: FakeWorld, ann: Operator
) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    del world.databases[OLD], world.stores[OLD]

    ended = ann.restore(to="2026-03-01 12:05 UTC")

    assert ended.code == 3
    assert "db-RESOURCE1, which served at 2026-03-01 12:05:00 UTC, is gone with all its backups" in ended.why


# -- the fence, and giving up ----------------------------------------------------------------------------------------


def test_a_fence_that_cannot_be_proven_opens_the_database_again(world: FakeWorld, ann: Operator) -> None:
    world.fail("data.fence", Failed("a session from before could still write", next="rmu logs"), acted=True)

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 5
    assert world.stores[OLD].open
    assert [h.held_until for h in world.hosts] == [None, None]
    assert (world.serving(), world.lost, set(world.databases)) == ({"v42"}, [], {OLD})


def test_a_restore_given_up_before_its_fence_leaves_everything_as_it_was(world: FakeWorld, ann: Operator) -> None:
    number = events_of_a_restore().index("done warm_database")
    world.kill_after_event(number)
    assert ann.restore(before=DEPLOY).code == KILLED

    assert Operator(world, "bob@ci").abandon(RESTORE).code == 0

    assert (world.serving(), world.workers(), set(world.databases)) == ({"v42"}, {"v42"}, {OLD})
    assert read_databases(world.outside().ledger) == ()


def test_a_restore_in_the_middle_of_its_flip_cannot_be_given_up_only_finished(world: FakeWorld, ann: Operator) -> None:
    number = events_of_a_restore().index("started serve")
    world.cut_off_after_event(number)
    assert ann.restore(before=DEPLOY).code == KILLED

    ended = Operator(world, "bob@ci").abandon(RESTORE)

    assert (ended.code, ended.failure.next) == (6, f"rmu resume {RESTORE}")
    assert Operator(world, "bob@ci").resume(RESTORE).code == 0
    assert (world.serving(), world.broken, world.lost) == ({"v41"}, [], [])


def test_a_restore_past_its_flip_that_is_given_up_is_closed_as_it_is(world: FakeWorld, ann: Operator) -> None:
    number = events_of_a_restore().index("done let_requests_go")
    world.kill_after_event(number)
    assert ann.restore(before=DEPLOY).code == KILLED

    ended = Operator(world, "bob@ci").abandon(RESTORE)

    assert (ended.code, outcome(world, RESTORE)) == (6, "half_way")
    assert world.databases_served() == {world.live_database()} == {NEW}
    noted = read_database(world.outside().ledger, OLD)
    assert noted is not None
    assert (noted.state, noted.superseded_by) == ("superseded", RESTORE)


def test_a_host_born_after_the_pointer_moved_takes_writes_so_the_restore_can_only_go_on(
    world: FakeWorld, ann: Operator
) -> None:
    number = events_of_a_restore().index("done point_to")
    world.kill_after_event(number)
    assert ann.restore(before=DEPLOY).code == KILLED
    world.bear_host()
    world.clock.sleep(120)
    written = len(world.stores[NEW].commits)
    world.clock.sleep(60)

    ended = Operator(world, "bob@ci").abandon(RESTORE)

    assert len(world.stores[NEW].commits) > written
    assert (ended.code, ended.failure.next) == (6, f"rmu resume {RESTORE}")
    assert not world.stores[OLD].open
    assert Operator(world, "bob@ci").resume(RESTORE).code == 0
    assert (world.serving(), world.databases_served(), world.broken) == ({"v41"}, {NEW}, [])


def test_a_pointer_that_could_not_be_moved_is_no_fence_yet(world: FakeWorld, ann: Operator) -> None:
    """What a pointer does is in the transaction of its `done`: before that, the old database is opened again."""
    number = events_of_a_restore().index("started point_to")
    world.kill_after_event(number)
    assert ann.restore(before=DEPLOY).code == KILLED

    assert Operator(world, "bob@ci").abandon(RESTORE).code == 0

    assert world.stores[OLD].open
    assert (world.serving(), world.live_database(), world.broken) == ({"v42"}, OLD, [])


def test_a_failure_past_the_fence_says_that_requests_are_refused_and_what_goes_on(
    world: FakeWorld, ann: Operator
) -> None:
    world.fail("fleet.serve", Failed("the proxy does not answer", next="rmu logs --role proxy"))

    ended = ann.restore(before=DEPLOY)

    assert (ended.code, ended.why) == (6, "the proxy does not answer")
    assert ended.failure.state.endswith("was not unwound. Requests are refused until it goes on.")
    assert ended.failure.next == f"(rmu logs --role proxy) rmu resume {RESTORE}"


@pytest.mark.parametrize("step", ["hold_requests", "fence_database", "move_sequences", "point_to"])
def test_nobody_stops_a_restore_between_its_hold_and_its_flip(world: FakeWorld, step: str) -> None:
    pressed: list[bool] = []
    number = events_of_a_restore().index(f"started {step}")
    world.on_event(event_key(number), lambda: pressed.append(True))

    ended = Operator(world, interrupted=lambda: bool(pressed)).restore(before=DEPLOY)

    assert ended.code == 130
    assert "done serve" in story(world, RESTORE)
    assert (world.databases_served(), world.clients.refused) == ({NEW}, [])


def test_nobody_is_asked_between_the_hold_and_the_flip(world: FakeWorld) -> None:
    questions: list[str] = []

    def answer(question: str) -> bool:
        questions.append(question.split(":")[0])
        return True

    assert Operator(world, answer=answer).restore(before=DEPLOY, step=True).code == 0

    asked = [q for q in questions if q.startswith(("hold", "fence", "move", "point", "serve", "let"))]
    assert asked == ["hold requests, 30 s at most", "let requests go"]


@pytest.mark.parametrize("done", ["fence_database", "move_sequences"])
def test_a_resume_holds_requests_anew_where_the_hold_has_ended(world: FakeWorld, ann: Operator, done: str) -> None:
    world.kill_after_event(events_of_a_restore().index(f"done {done}"))
    assert ann.restore(before=DEPLOY).code == KILLED
    world.clock.sleep(60)
    held: list[bool] = []
    serve = events_of_a_restore().index("started serve") + 1  # behind `resumed`
    world.on_event(event_key(serve), lambda: held.extend(h.held_until is not None for h in world.hosts))

    assert Operator(world, "bob@ci").resume(RESTORE).code == 0

    assert held == [True, True]


# -- hosts that come while it runs -----------------------------------------------------------------------------------


def test_a_host_that_is_still_booting_is_waited_for_before_anything_is_prepared(
    world: FakeWorld, ann: Operator
) -> None:
    world.bear_host(boots_in=600)

    assert ann.restore(before=DEPLOY).code == 0

    assert len(world.in_service()) == 3
    assert (world.serving(), world.databases_served(), world.clients.refused) == ({"v41"}, {NEW}, [])


def test_a_host_that_is_born_while_a_restore_prepares_ends_it_before_anybody_is_held(
    world: FakeWorld, ann: Operator
) -> None:
    number = events_of_a_restore().index("done ready")
    world.on_event(event_key(number), world.bear_host)

    ended = ann.restore(before=DEPLOY)

    assert (ended.code, "started hold_requests" in story(world, RESTORE)) == (5, False)
    assert ended.why.startswith("members changed in the middle of the run")
    assert (world.serving(), world.clients.refused) == ({"v42"}, [])


def test_a_host_that_read_the_pointer_just_before_it_moved_is_brought_along(world: FakeWorld, ann: Operator) -> None:
    number = events_of_a_restore().index("started point_to")
    world.on_event(event_key(number), lambda: world.bear_host(reads_after=0))

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 0, ended
    assert len(world.in_service()) == 3
    assert (world.serving(), world.workers(), world.databases_served()) == ({"v41"}, {"v41"}, {NEW})
    assert world.broken == []


def test_a_host_that_stands_by_is_no_host_to_restore_behind(world: FakeWorld, ann: Operator) -> None:
    world.hosts[1].state = "Standby"

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 3
    assert "i-2 is Standby: it would come back with the database it holds now" in ended.why


def test_a_restore_is_proven_once_every_host_has_answered(world: FakeWorld, ann: Operator) -> None:
    world.front_door_skips.add("i-2")

    ended = ann.restore(before=DEPLOY)

    assert ended.code == 6
    assert ended.why == "the front door did not answer as v41 (last: nothing from i-2)"


def test_status_says_who_holds_requests_and_that_what_serves_takes_no_writes(world: FakeWorld, ann: Operator) -> None:
    world.kill_after_event(events_of_a_restore().index("done fence_database"))
    assert ann.restore(before=DEPLOY).code == KILLED

    held = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)
    world.clock.sleep(60)
    refused = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)

    assert (held.holding, held.fenced) == (("i-1", "i-2"), (OLD,))
    assert "  held       requests wait at the proxy of i-1, i-2" in status_lines(held)
    assert (refused.holding, refused.fenced) == ((), (OLD,))
    assert f"  fenced     {OLD} takes no writes, requests are refused: rmu resume {RESTORE}" in status_lines(refused)
    assert Operator(world, "bob@ci").resume(RESTORE).code == 0
    after = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)
    assert (after.holding, after.fenced) == ((), ())


# -- afterwards ------------------------------------------------------------------------------------------------------


def test_f32_a_rollback_that_cannot_be_names_the_restore_that_helps_ready_to_paste(
    world: FakeWorld, ann: Operator
) -> None:
    world.put_release(world.record("v42").model_copy(update={"schema_head": "0002"}))
    world.shut_out_older_code_than("0002", run=DEPLOY)

    ended = ann.rollback()

    assert ended.code == 3
    assert ended.why.startswith(f"v41 cannot run on the schema that run {DEPLOY} brought (0002, which lets no code")
    assert ended.failure.next == f"rmu db restore --before {DEPLOY}"
    assert ann.restore(before=DEPLOY).code == 0
    assert world.serving() == {"v41"}


def test_a_rollback_after_a_restore_sets_its_release_up_with_the_new_database(world: FakeWorld, ann: Operator) -> None:
    """The slot beside what serves still holds v42, set up with the fenced database: never flip to it."""
    assert ann.restore(latest=True).code == 0
    assert world.serving() == {"v42"}

    ended = ann.rollback("v41")

    assert ended.code == 0, ended
    assert "done prepare" in story(world, NEXT)
    assert world.databases_served() == {NEW}
    assert (world.lost, world.clients.refused, world.broken) == ([], [], [])


def test_going_forward_again_after_a_restore_migrates_the_new_database(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    assert ann.deploy("v43").code == 0

    assert (world.schema_head, world.databases_served()) == ("0002", {NEW})
    assert world.broken == []


def test_a_dead_salvage_without_apply_is_not_what_apply_goes_on_with(
    world: FakeWorld, ann: Operator, tmp_path: Path
) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    world.kill_after_event(1)
    assert ann.salvage(RESTORE, tmp_path, apply=False).code == KILLED
    world.clock.sleep(60)

    applied = Operator(world, "bob@ci").salvage(RESTORE, tmp_path, apply=True)
    again = Operator(world, "bob@ci").salvage(RESTORE, tmp_path / "new", apply=False)

    assert (applied.code, again.code) == (4, 0)
    assert list((tmp_path / "new").iterdir()), "the folder is made for a resumed one too"


def test_the_note_of_a_salvage_that_an_older_rmu_wrote_is_read(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    assert ann.salvage(RESTORE).code == 0
    item = world.table.items["salvage", RESTORE]
    body = json.loads(str(item["body"]))
    body["found"]["conflicts"] = []
    world.table.items["salvage", RESTORE] = {**item, "body": json.dumps(body)}

    noted = read_salvage(world.outside().ledger, RESTORE)

    assert noted is not None and noted.found.files


def test_keys_of_rows_are_in_no_journal_and_no_ledger(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    world.clock.sleep(600)  # clients change and delete on the restored side what was changed on the other too

    document = ann.salvage(RESTORE).screen.document

    assert document is not None and document["conflicts"]
    assert {name for conflict in document["conflicts"] for name in conflict} == {"table", "why", "rows"}
    noted = read_salvage(world.outside().ledger, RESTORE)
    assert noted is not None and noted.found.conflicts_by
    assert not any('"key"' in str(item.get("body", "")) for item in world.table.items.values())


def test_rows_that_could_not_be_put_are_counted_and_nothing_is_called_given_back(
    world: FakeWorld, ann: Operator
) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    lost = {key for key in world.clients.acknowledged if key not in rows(world)}
    world.cannot_be_put.add(min(lost))

    document = ann.salvage(RESTORE).screen.document

    noted = read_salvage(world.outside().ledger, RESTORE)
    assert document is not None and noted is not None
    assert (document["left"], noted.applied) == (1, False)


def test_a_resumed_salvage_says_where_its_files_are_got(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    world.kill_after_event(1)
    assert ann.salvage(RESTORE, apply=True).code == KILLED

    ended = Operator(world, "bob@ci").resume(NEXT)

    assert ended.code == 0
    assert f"its files are got by: rmu db salvage {RESTORE} --dir salvage" in ended.screen.said


def test_a_plain_rollback_after_a_rollback_and_a_restore_is_none_straight_after_one(
    world: FakeWorld, ann: Operator
) -> None:
    world.push("v40")
    world.record_of("v40", verdict="good", age=9)
    assert ann.rollback().code == 0
    world.clock.sleep(600)
    assert ann.restore(latest=True).code == 0

    ended = ann.rollback()

    assert ended.code == 0, ended
    assert world.serving() == {"v40"}


def test_a_salvage_applied_twice_is_applied_once(world: FakeWorld, ann: Operator) -> None:
    """In between clients delete rows that were given back: those must not come back again."""
    assert ann.restore(before=DEPLOY).code == 0
    first = ann.salvage(RESTORE)
    assert first.screen.document is not None
    assert first.screen.document["applied"] > 0
    world.clock.sleep(600)

    again = ann.salvage(RESTORE)

    assert again.screen.document is not None
    assert (again.code, again.screen.document["applied"]) == (0, 0)
    assert rows(world) == world.clients.acknowledged


def test_two_restores_in_a_row_lose_nothing_that_was_acknowledged(world: FakeWorld, ann: Operator) -> None:
    """The first went too far back; the second goes to a later moment of the first database."""
    assert ann.restore(to="2026-03-01 12:05 UTC").code == 0
    world.clock.sleep(200)
    second = ann.restore(to="2026-03-01 12:09 UTC")
    assert second.code == 0, second
    world.clock.sleep(200)
    assert second.screen.document is not None

    for run in (second.screen.document["run"], RESTORE):
        assert ann.salvage(run).code == 0

    assert rows(world) == world.clients.acknowledged
    assert world.broken == []


def test_a_restore_can_be_taken_back_by_a_restore(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    world.clock.sleep(400)

    ended = ann.restore(before=RESTORE)

    assert ended.code == 0, ended
    assert ended.screen.document is not None
    assert ended.screen.document["restore_point"]["resource_id"] == "db-RESOURCE1"
    assert world.serving() == {"v42"}
    assert world.schema_head == "0002"


def test_a_salvage_into_a_folder_that_cannot_be_does_not_begin(world: FakeWorld, ann: Operator, tmp_path: Path) -> None:
    ann.restore(before=DEPLOY)
    (tmp_path / "taken").write_text("a file")

    ended = ann.salvage(RESTORE, tmp_path / "taken" / "left")

    assert ended.code == 2 and "cannot be written" in ended.why
    assert world.lease_is_free() and not read_events(world.outside().ledger, NEXT)


def test_a_salvage_whose_files_cannot_be_written_says_that_it_is_done_all_the_same(
    world: FakeWorld, ann: Operator, tmp_path: Path
) -> None:
    ann.restore(before=DEPLOY)
    (tmp_path / "2-update.sql").mkdir()

    ended = ann.salvage(RESTORE, tmp_path, apply=True)

    assert ended.code == 6 and "2-update.sql cannot be written" in ended.why
    assert "is done" in ended.failure.state and ended.failure.next.startswith(f"rmu db salvage {RESTORE}")
    assert outcome(world, NEXT) == "done"


def test_a_restore_that_a_later_rmu_began_is_not_salvaged_by_this_one(world: FakeWorld, ann: Operator) -> None:
    ann.restore(before=DEPLOY)
    make_unreadable(world, RESTORE)

    ended = ann.salvage(RESTORE)

    assert ended.code == 3 and "cannot read a step" in ended.why


def test_only_a_restore_leaves_something_to_salvage(ann: Operator) -> None:
    ended = ann.salvage(DEPLOY)

    assert ended.code == 3
    assert f"run {DEPLOY} is no restore but a deploy" in ended.why


def test_what_serves_is_never_forgotten_and_what_was_superseded_wants_its_name_typed(
    world: FakeWorld, ann: Operator
) -> None:
    assert ann.restore(before=DEPLOY).code == 0
    world.places["database"] = NEW
    assert "is the database that serves" in ann.forget(NEW).why
    assert "was superseded by no restore" in ann.forget("rmu-test-db-7").why
    assert Operator(world, types=NEW).forget(OLD, yes=False).code == 3

    ended = Operator(world, types=OLD).forget(OLD, yes=False)

    assert ended.code == 0, ended
    assert f"what {OLD} holds beyond its successor was not given back" in ended.screen.said
    assert OLD not in world.databases
    assert f"{OLD}-final" in world.snapshots
    assert "is forgotten" in ann.salvage(RESTORE).why


def test_yes_alone_forgets_nothing_that_was_never_given_back(world: FakeWorld, ann: Operator) -> None:
    superseded(world, ann)

    ended = ann.forget(OLD)

    assert (ended.code, ended.failure.state) == (3, "Nothing was changed.")
    assert ended.why == f"what {OLD} holds beyond its successor was not given back"
    assert ended.failure.next.startswith(f"rmu db salvage {RESTORE} --apply") and f"type {OLD}" in ended.failure.next
    assert OLD in world.databases and world.lease_is_free()


def test_rows_that_could_not_be_put_are_not_given_back(world: FakeWorld, ann: Operator) -> None:
    world.on_call("data.fence", lambda: fall_asleep(world))
    superseded(world, ann)
    world.cannot_be_put.add(min(key for key in world.clients.acknowledged if key not in rows(world)))
    assert ann.salvage(RESTORE).code == 0

    assert ann.forget(OLD).code == 3

    world.cannot_be_put.clear()
    assert ann.salvage(RESTORE).code == 0
    assert ann.forget(OLD).code == 0


def test_conflicts_that_nobody_decided_are_not_given_back(world: FakeWorld, ann: Operator) -> None:
    superseded(world, ann)
    world.clock.sleep(600)  # clients change and delete on the restored side what was changed on the other too
    document = ann.salvage(RESTORE).screen.document
    assert document is not None
    undecided = sum(conflict["rows"] for conflict in document["conflicts"])

    ended = ann.forget(OLD)

    assert ended.code == 3 and OLD in world.databases
    assert f"{undecided} rows of {OLD} are conflicts that nobody decided" in ended.why
    assert f"s3://bucket/salvage/{RESTORE}/conflicts.json" in ended.why
    assert ended.failure.next.startswith(f"rmu db forget {OLD}")
    assert Operator(world, types=OLD).forget(OLD).code == 0, "its name stands for it, also beside --yes"


def test_yes_forgets_what_was_given_back_to_the_last_row(world: FakeWorld, ann: Operator) -> None:
    world.on_call("data.fence", lambda: fall_asleep(world))
    superseded(world, ann)
    assert ann.salvage(RESTORE).code == 0

    ended = ann.forget(OLD)

    assert ended.code == 0, ended
    assert f"what {OLD} held beyond its successor was given back" in ended.screen.said


def test_a_salvage_that_found_nothing_leaves_nothing_to_give_back(world: FakeWorld, ann: Operator) -> None:
    fall_asleep(world)
    world.clock.sleep(600)
    superseded(world, ann, latest=True)
    assert ann.salvage(RESTORE, apply=False).code == 0

    assert ann.forget(OLD).code == 0


def fall_asleep(world: FakeWorld) -> None:
    """Let clients write no more: who goes on writing to both databases makes conflicts."""
    world.clients.asleep = True


def superseded(world: FakeWorld, ann: Operator, **moment: bool) -> None:
    """Restore, and take the restored database into Terraform, so that the old one may be forgotten."""
    assert ann.restore(**moment or {"before": DEPLOY}).code == 0
    world.places |= {"database": NEW, "bucket": "bucket"}


def test_f34_what_terraform_still_holds_is_not_forgotten_behind_its_back(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    ended = ann.forget(OLD)

    assert (ended.code, ended.failure.next) == (3, "rmu infra adopt")


def test_the_retained_backups_of_a_forgotten_database_can_still_be_restored(world: FakeWorld, ann: Operator) -> None:
    superseded(world, ann)
    assert Operator(world, types=OLD).forget(OLD).code == 0

    ended = ann.restore(to="2026-03-01 12:05 UTC")

    assert ended.code == 0, ended
    assert ended.screen.document is not None
    assert ended.screen.document["restore_point"]["resource_id"] == "db-RESOURCE1"


def test_a_restore_point_is_a_history_and_a_time_of_whole_seconds(world: FakeWorld, ann: Operator) -> None:
    assert ann.restore(before=DEPLOY).code == 0

    plan = read_events(world.outside().ledger, RESTORE)[0].facts["plan"]
    point = RestorePoint.model_validate(next(s["point"] for s in plan["steps"] if s["kind"] == "restore_database"))

    assert point.at.microsecond == 0
    assert point.resource_id == "db-RESOURCE1"
