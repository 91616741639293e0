"""Migrations: expand before, contract only after, the old release proven on what they make, and the way back named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.cli import migrating
from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.model import PendingMigration, RunHeader
from ratemyunit_ops.outside import podman
from ratemyunit_ops.records import header_entry, read_release, read_schema_notes
from ratemyunit_ops.reports.migrations import newest_rehearsal
from tests.demo.bad_migration import APP, after, tree
from tests.fakes import DATABASE, FakeWorld
from tests.fakes.clock import BEGIN
from tests.fakes.databases import Store
from tests.fakes.operator import KILLED, Operator, journal, outcome, story

FIRST = ("0001", "expand", "0001")
SECOND = ("0002", "expand", "0001")
THIRD = ("0003", "expand", "0002")
DROPS = ("0004", "contract", "0003")


def revisions(*listed: tuple[str, str, str]) -> tuple[PendingMigration, ...]:
    names = ("revision", "phase", "oldest_code")
    return tuple(PendingMigration.model_validate(dict(zip(names, one, strict=True))) for one in listed)


def push(world: FakeWorld, version: str, head: str, *listed: tuple[str, str, str], **more: Any) -> None:
    """Push a version with the labels that a build would make of its tree."""
    upto = [oldest for revision, _, oldest in listed if revision <= head]
    world.push(version, head=head, schema_admits=max(upto, default=""), revisions=revisions(*listed), **more)


@pytest.fixture
def world() -> FakeWorld:
    """Let v41, whose code is 0002, be live; v43's tree has an expand and a contract revision more."""
    world = FakeWorld()
    push(world, "v41", "0002", FIRST, SECOND)
    world.live("v41")
    push(world, "v43", "0003", FIRST, SECOND, THIRD, DROPS)
    return world


@pytest.fixture
def ann(world: FakeWorld) -> Operator:
    return Operator(world)


def store(world: FakeWorld) -> Store:
    return world.stores[DATABASE.identifier]


def schema(world: FakeWorld) -> tuple[str, str]:
    return store(world).head, store(world).admits


def test_f33_a_deploy_expands_and_leaves_the_contract_for_later(world: FakeWorld, ann: Operator) -> None:
    assert ann.deploy("v43").code == 0

    assert schema(world) == ("0003", "0002")
    note = read_schema_notes(world.outside().ledger)[-1]
    assert (note.database, note.head, note.admits, note.run) == (DATABASE.identifier, "0003", "0002", "r-001")


def test_f33_a_contract_revision_before_an_expand_one_is_refused_before_anything_is_done(
    world: FakeWorld, ann: Operator
) -> None:
    push(world, "v44", "0005", FIRST, SECOND, THIRD, DROPS, ("0005", "expand", "0003"))

    ended = ann.deploy("v44")

    assert (ended.code, ended.failure.next) == (3, "rmu migrate up v44 --contract")
    assert "0004 of v44 is a contract revision and lies before its head 0005" in ended.why
    assert world.lease_is_free() and schema(world)[0] == "0002"


def test_an_expand_revision_that_shuts_the_live_release_out_contradicts_itself(world: FakeWorld, ann: Operator) -> None:
    push(world, "v44", "0003", FIRST, SECOND, ("0003", "expand", "0003"))

    ended = ann.deploy("v44")

    assert (ended.code, ended.failure.next) == (3, "rmu migrate plan v44")
    assert "needs code of 0003 or newer, but v41 (code 0002) serves on it" in ended.why


def test_code_that_is_older_than_the_schema_admits_is_not_deployed(world: FakeWorld, ann: Operator) -> None:
    contracted(world, ann)
    push(world, "v30", "0002", FIRST, SECOND)

    ended = ann.deploy("v30")

    assert ended.code == 3
    assert "v30 (code 0002) cannot run on schema 0004, which needs code of 0003 or newer" in ended.why
    assert ended.failure.next.startswith("rmu db restore --before r-")


def test_the_first_release_may_have_contract_revisions_before_its_head(ann: Operator, world: FakeWorld) -> None:
    empty = FakeWorld()
    push(empty, "v1", "0003", FIRST, ("0002", "contract", "0001"), ("0003", "expand", "0001"))

    assert Operator(empty).deploy("v1").code == 0


def test_f32_the_old_release_is_tried_on_the_new_schema_before_anything_is_started(
    world: FakeWorld, ann: Operator
) -> None:
    world.fails_on.add(("v41", "0003"))

    ended = ann.deploy("v43")

    assert ended.code == 5
    assert "v41 does not work on schema 0003: units.store failed (column does not exist)" in ended.why
    assert "The schema stays at 0003" in ended.why and "v41 still answers its smoke list" in ended.why
    assert ended.failure.next == "rmu db restore --before r-001"
    assert "started start_release" not in story(world)
    assert world.serving() == {"v41"} and schema(world)[0] == "0003"


def test_an_old_release_that_no_longer_answers_is_said_to_be_broken(world: FakeWorld, ann: Operator) -> None:
    world.fails_on.add(("v41", "0003"))
    world.smoke_fails.add("v41")

    assert "v41 serves and is broken on it: search answered wrongly" in ann.deploy("v43").why


def test_after_a_bad_migration_a_rollback_is_refused_and_names_the_restore(world: FakeWorld, ann: Operator) -> None:
    push(world, "v40", "0001", FIRST)
    world.record_of("v40", verdict="good", age=9)
    world.fails_on.add(("v41", "0003"))
    ann.deploy("v43")

    ended = ann.rollback()

    assert (ended.code, ended.failure.next) == (3, "rmu db restore --before r-001")
    note = read_schema_notes(world.outside().ledger)[-1]
    assert note.admits == "0003"  # whatever the migration says of itself: an older release was seen to fail


def test_an_image_that_cannot_be_checked_is_left_to_the_smoke_list(world: FakeWorld, ann: Operator) -> None:
    world.cannot_tell.add("v41")

    assert ann.deploy("v43").code == 0


def test_migrate_up_expands_before_the_deploy_and_notes_its_own_restore_point(world: FakeWorld, ann: Operator) -> None:
    ended = ann.migrate_up("v43")

    assert ended.code == 0
    assert story(world)[-3:] == ["started still_works", "done still_works", "closed done"]
    assert schema(world) == ("0003", "0002") and world.serving() == {"v41"}
    noted = [e.facts["restore_point"] for e in journal(world) if e.kind == "done" and "restore_point" in e.facts]
    assert [p["resource_id"] for p in noted] == ["db-RESOURCE1"]
    assert read_release(world.outside().ledger, "v43") is None  # not deployed


def without_backup(world: FakeWorld, *, until: float | None = None) -> None:
    """Have a database as it is after a restore: RDS has not made its first backup yet."""
    there = world.databases[DATABASE.identifier]
    world.databases[DATABASE.identifier] = there.model_copy(update={"latest_restorable": None})
    if until is not None:
        world.clock.later(until, lambda: world.databases.update({DATABASE.identifier: there}))


def test_nothing_is_migrated_before_a_restored_database_has_a_backup(world: FakeWorld, ann: Operator) -> None:
    without_backup(world, until=240)

    assert ann.deploy("v43").code == 0

    story_of = journal(world)
    waited = next(e for e in story_of if e.kind == "done" and "restorable" in e.facts)
    noted = next(e for e in story_of if e.kind == "done" and "restore_point" in e.facts)
    assert (waited.at - BEGIN).total_seconds() >= 240 and noted.at >= waited.at


@pytest.mark.parametrize("contract", [False, True])
def test_where_no_backup_comes_nothing_is_migrated(world: FakeWorld, ann: Operator, contract: bool) -> None:
    if contract:
        assert ann.deploy("v43").code == 0
        world.clock.sleep(timedelta(days=2).total_seconds())
        push(world, "v44", "0003", FIRST, SECOND, THIRD, DROPS)
        assert ann.deploy("v44").code == 0
    before = schema(world)
    without_backup(world)

    ended = ann.migrate_up("v44", contract=True) if contract else ann.migrate_up("v43")

    assert "has no backup yet" in ended.why and ended.failure.next.startswith("rmu doctor")
    assert schema(world) == before


def test_what_changes_no_schema_waits_for_no_backup(world: FakeWorld, ann: Operator) -> None:
    push(world, "v42", "0002", FIRST, SECOND)
    without_backup(world)

    assert ann.deploy("v42").code == 0


def test_migrating_up_twice_has_nothing_to_do(world: FakeWorld, ann: Operator) -> None:
    ann.migrate_up("v43")

    again = ann.migrate_up("v43")

    assert (again.code, again.screen.document) == (0, migrating.NOTHING)


@pytest.mark.parametrize("number", range(3, 11))
def test_a_deploy_that_stops_at_a_bad_migration_ends_so_wherever_it_was_killed(world: FakeWorld, number: int) -> None:
    world.fails_on.add(("v41", "0003"))
    world.kill_after_event(number)
    assert Operator(world).deploy("v43").code == KILLED

    ended = Operator(world, "bob@ci").resume()

    assert (ended.code, outcome(world)) == (5, "rolled_back")
    assert ended.failure.next == "rmu db restore --before r-001" or number > 9
    assert world.serving() == {"v41"} and world.lost == [] and world.lease_is_free()
    assert [n.admits for n in read_schema_notes(world.outside().ledger)][-1] == "0003"


def test_f33_a_contract_is_refused_while_an_older_release_is_still_warm(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v43")

    ended = ann.migrate_up(contract=True)

    assert ended.code == 3
    assert "schema 0004 needs code of 0003 or newer: v41 is warm on i-1; v41 is warm on i-2" in ended.why
    assert "`rmu rollback` goes to v41 (code 0002)" in ended.why
    assert ended.failure.next.startswith("rmu deploy VERSION   (one more release of newer code")
    assert schema(world)[0] == "0003"


def test_f33_a_contract_is_refused_while_a_plain_rollback_leads_to_older_code(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v43")
    for host in world.hosts:
        host.slots = {name: slot if name == host.live else None for name, slot in host.slots.items()}

    ended = ann.migrate_up(contract=True)

    assert ended.code == 3
    assert "needs code of 0003 or newer: `rmu rollback` goes to v41 (code 0002)" in ended.why


def test_f33_a_contract_is_refused_while_what_serves_needs_the_old_shape(world: FakeWorld, ann: Operator) -> None:
    ended = ann.migrate_up("v43", contract=True)

    assert ended.code == 3
    assert "v41 serves, and its code (0002) needs the shape that 0004 takes away" in ended.why


def test_a_release_that_came_back_in_between_stops_the_contract_before_it_begins(
    world: FakeWorld, ann: Operator
) -> None:
    two_releases_later(world, ann)
    world.on_event("event#00000", lambda: world.beside("v41", running=True))

    ended = ann.migrate_up(contract=True)

    assert (ended.code, outcome(world, "r-003")) == (3, "refused")
    assert "v41 is warm" in ended.why and schema(world)[0] == "0003"


def test_f33_a_contract_runs_when_no_older_release_can_come_back(world: FakeWorld, ann: Operator) -> None:
    contracted(world, ann)

    assert schema(world) == ("0004", "0003")
    assert [n.admits for n in read_schema_notes(world.outside().ledger)][-1] == "0003"
    assert world.lost == []


def test_after_a_contract_a_rollback_to_older_code_names_the_restore_before_it(world: FakeWorld, ann: Operator) -> None:
    contracted(world, ann)

    named, plain = ann.rollback("v41"), ann.rollback()

    assert (named.code, named.failure.next) == (3, "rmu db restore --before r-003")
    brought = "the schema that run r-003 brought (0004, which lets no code run that is older than 0003)"
    assert named.why == f"v41 cannot run on {brought}"
    assert (plain.code, world.serving()) == (0, {"v43"})


def test_a_contract_that_breaks_what_serves_stops_past_its_fence_and_names_the_restore(
    world: FakeWorld, ann: Operator
) -> None:
    two_releases_later(world, ann)
    world.fails_on.add(("v44", "0004"))

    ended = ann.migrate_up(contract=True)

    assert ended.code == 6
    assert "v44 does not work on schema 0004" in ended.why
    assert ended.failure.next == "(rmu db restore --before r-003) rmu resume r-003"


def test_a_contract_that_fails_half_way_has_shut_old_code_out_by_the_notes_too(world: FakeWorld, ann: Operator) -> None:
    push(world, "v44", "0003", FIRST, SECOND, THIRD, DROPS, ("0005", "contract", "0003"))
    assert (ann.deploy("v43").code, ann.deploy("v44").code) == (0, 0)
    world.migration_stops_after = "0004"
    assert ann.migrate_up(contract=True).code == 6
    assert ann.abandon("r-003").code == 6

    ended = ann.rollback("v41")

    assert schema(world) == ("0004", "0003")
    assert (ended.code, ended.failure.next) == (3, "rmu db restore --before r-003")
    world.migration_stops_after = ""
    assert ann.migrate_up(contract=True).code == 0, "what is left of it is still to do"


def test_a_deploy_whose_second_revision_fails_has_noted_what_the_first_may_need(
    world: FakeWorld, ann: Operator
) -> None:
    push(world, "v40", "0001", FIRST)
    world.record_of("v40", verdict="good", age=9)
    push(world, "v43", "0004", FIRST, SECOND, THIRD, ("0004", "expand", "0002"))
    world.migration_stops_after = "0003"
    assert ann.deploy("v43").code == 5

    ended = ann.rollback("v40")

    assert schema(world) == ("0003", "0002")
    assert (ended.code, ended.failure.next) == (3, "rmu db restore --before r-001")


def test_the_note_of_what_is_about_to_change_is_later_than_its_restore_point(world: FakeWorld, ann: Operator) -> None:
    """A restore to that point has to find the schema of before, whichever clock runs ahead."""
    view = world.databases[DATABASE.identifier]
    ahead = world.clock.now() + timedelta(minutes=3)
    world.databases[DATABASE.identifier] = view.model_copy(update={"asked": ahead})

    assert ann.migrate_up("v43").code == 0

    before, after = read_schema_notes(world.outside().ledger)
    assert ahead < before.at < after.at
    assert (before.head, after.head) == ("0002", "0003")


def two_releases_later(world: FakeWorld, ann: Operator) -> None:
    """Deploy v43 and v44 of one tree: v41 is in no slot then, and no plain rollback leads to it."""
    push(world, "v44", "0003", FIRST, SECOND, THIRD, DROPS)
    assert (ann.deploy("v43").code, ann.deploy("v44").code) == (0, 0)


def contracted(world: FakeWorld, ann: Operator) -> None:
    two_releases_later(world, ann)
    assert ann.migrate_up(contract=True).code == 0


def test_a_plan_shows_what_is_pending_and_who_can_run_on_the_result(world: FakeWorld, ann: Operator) -> None:
    ended = ann.migrate_plan("v43")

    said = "\n".join(ended.screen.said)
    assert "rmu-test-db-1 has schema 0002 (by the records); v43 is written for 0003, with contract revisions" in said
    assert "0003 | expand | 0002 or newer | " in said and "0004 | contract | 0003 or newer | " in said
    assert "v41 (serves) | 0002 | yes | yes | no" in said


def test_a_version_that_hosts_hold_is_asked_for_its_revisions(world: FakeWorld, ann: Operator) -> None:
    ann.deploy("v43")

    ended = ann.migrate_plan()

    assert "rmu-test-db-1 has schema 0003 (asked just now)" in ended.screen.said[0]
    assert any("v41 | 0002 | yes | yes | no" in line for line in ended.screen.said)


def test_a_rehearsal_migrates_a_copy_tries_both_releases_and_drops_it(world: FakeWorld, ann: Operator) -> None:
    before = dict(world.databases)

    ended = ann.rehearse("v43")

    assert ended.code == 0, ended.why
    assert schema(world)[0] == "0002" and set(world.databases) == set(before)
    seen = newest_rehearsal(world.outside().ledger, "v43")
    assert seen is not None and (seen.took_s, seen.old_works, seen.outcome) == (0.4, True, "done")
    assert any("migrations of v43 on the copy: 0.4 s" in line for line in ended.screen.said)


def test_f33_a_rehearsal_runs_the_contract_after_the_expand_and_times_it_apart(world: FakeWorld, ann: Operator) -> None:
    ended = ann.rehearse("v43")

    seen = newest_rehearsal(world.outside().ledger, "v43")
    assert seen is not None and (seen.took_s, seen.contract_s) == (0.4, 0.4)
    assert any("its contract revisions after them: 0.4 s; v43 works on the result" in s for s in ended.screen.said)
    assert schema(world)[0] == "0002"


def test_f33_a_contract_on_which_its_own_release_fails_is_found_in_the_rehearsal(
    world: FakeWorld, ann: Operator
) -> None:
    world.fails_on.add(("v43", "0004"))

    ended = ann.rehearse("v43")

    assert ended.code == 5
    assert "v43 does not work on the rehearsed schema 0004" in ended.why
    assert set(world.databases) == {DATABASE.identifier}


def test_credentials_that_end_before_a_rehearsal_would_are_refused_at_its_begin(world: FakeWorld) -> None:
    ended = Operator(world, credentials_end=world.clock.now() + timedelta(minutes=20)).rehearse("v43")

    assert (ended.code, ended.why) == (3, "these credentials end in 20 min, and a restore may take 45")


def test_f32_a_rehearsal_on_which_the_old_release_fails_says_so_and_leaves_no_copy(
    world: FakeWorld, ann: Operator
) -> None:
    world.fails_on.add(("v41", "0003"))

    ended = ann.rehearse("v43")

    assert ended.code == 5
    assert "v41 does not work on the rehearsed schema 0003" in ended.why
    assert set(world.databases) == {DATABASE.identifier} and schema(world)[0] == "0002"


def test_a_rehearsal_on_a_damaged_backup_sends_nobody_to_restore_what_serves(world: FakeWorld, ann: Operator) -> None:
    world.restore_ends_as = "incompatible-restore"

    ended = ann.rehearse("v43")

    assert ended.code == 5 and "began from the backup of" in ended.why
    assert ended.failure.next == "rmu migrate rehearse v43   (once there is a newer backup)"


@pytest.mark.parametrize("number", range(3, 13))
def test_a_rehearsal_that_fails_leaves_no_copy_wherever_it_was_killed(world: FakeWorld, number: int) -> None:
    world.fails_on.add(("v41", "0003"))
    world.kill_after_event(number)
    assert Operator(world).rehearse("v43").code == KILLED

    Operator(world, "bob@ci").resume()

    assert outcome(world) == "rolled_back"
    assert set(world.databases) == {DATABASE.identifier} and schema(world)[0] == "0002"


@pytest.fixture
def linted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the linter's word as given: it reads files of the checkout, which is not this world's."""
    said = (True, "4 revisions read, none unsafe", "")
    monkeypatch.setattr(migrating, "_lint", lambda w, version, image, schema: said)


@pytest.mark.usefixtures("linted")
def test_a_checklist_fails_at_what_was_never_rehearsed_and_says_what_to_type(world: FakeWorld, ann: Operator) -> None:
    ended = ann.checklist("v43")

    assert (ended.code, ended.failure.next) == (3, "rmu migrate rehearse v43")
    assert "tested on a copy of this database: never rehearsed" in ended.why
    assert ended.screen.document is not None
    assert [line["verdict"] for line in ended.screen.document["lines"]].count("ask") == 2
    assert world.table.items.get(("run", "r-001")) is None


@pytest.mark.usefixtures("linted")
def test_a_checklist_whose_lines_hold_asks_a_person_and_keeps_who_answered(world: FakeWorld, ann: Operator) -> None:
    ready(world, ann)

    ended = ann.checklist("v43")

    assert ended.code == 0, ended.why
    said = [e.facts for e in journal(world, "r-002") if e.kind == "done"]
    assert [(f["who"], f["how"]) for f in said] == [("ann@laptop", "typed")] * 2
    seen = journal(world, "r-002")[0].facts["plan"]["request"]["seen"]
    assert seen["runs in under 30 s"] == "0.4 s and, its contract, 0.4 s on the copy of run r-001"
    assert ended.screen.document is not None
    assert [line["verdict"] for line in ended.screen.document["lines"]].count("ok") == 6


@pytest.mark.usefixtures("linted")
def test_with_nothing_to_run_no_time_is_asked_for(world: FakeWorld, ann: Operator) -> None:
    push(world, "v42", "0002", FIRST, SECOND)
    ready(world, ann, "v42")

    ended = ann.checklist("v42")

    assert ended.code == 0, ended.why
    assert journal(world, "r-002")[0].facts["plan"]["request"]["seen"]["runs in under 30 s"] == "nothing to run"


@pytest.mark.usefixtures("linted")
def test_yes_does_not_answer_for_a_person_in_silence(world: FakeWorld, ann: Operator) -> None:
    ready(world, ann)

    ended = ann.checklist("v43", yes=True)

    assert ended.code == 0
    assert [e.facts["how"] for e in journal(world, "r-002") if e.kind == "done"] == ["--yes", "--yes"]
    assert any("ann@laptop says so by --yes" in line for line in ended.screen.said)


@pytest.mark.usefixtures("linted")
def test_a_person_who_says_no_ends_the_checklist_with_3(world: FakeWorld) -> None:
    ready(world, Operator(world))

    ended = Operator(world, answer=lambda question: "on call" not in question).checklist("v43")

    assert (ended.code, outcome(world, "r-002")) == (3, "refused")
    assert "engineer on call at hand" in ended.why and "ann@laptop said no" in ended.why


@pytest.mark.usefixtures("linted")
def test_a_migration_that_took_more_than_thirty_seconds_in_its_rehearsal_fails_the_checklist(
    world: FakeWorld, ann: Operator
) -> None:
    world.migration_takes = 31.0
    ready(world, ann)

    ended = ann.checklist("v43")

    assert (ended.code, ended.failure.next) == (3, "split it into smaller migrations, then rehearse again")
    assert "runs in under 30 s: 31.0 s and, its contract, 31.0 s on the copy" in ended.why


@pytest.mark.usefixtures("linted")
def test_a_rehearsal_of_another_image_or_schema_is_none_of_this_one(world: FakeWorld, ann: Operator) -> None:
    ready(world, ann)
    world.images["v43"] = world.images["v43"].model_copy(update={"digest": "sha256:other"})
    another = ann.checklist("v43").why
    push(world, "v42", "0003", FIRST, SECOND, THIRD)
    push(world, "v43", "0004", FIRST, SECOND, THIRD, ("0004", "expand", "0002"))
    ann.migrate_up("v42")

    assert "rehearsed another image" in another
    assert "began at schema 0002, the database has 0003 now" in ann.checklist("v43").why


@pytest.mark.usefixtures("linted")
def test_a_quarter_without_a_drill_and_backups_that_lag_are_lines_that_fail(world: FakeWorld, ann: Operator) -> None:
    ready(world, ann)
    world.clock.sleep(timedelta(days=93).total_seconds())

    assert "way back documented (docs/migrations.md) and tested" in ann.checklist("v43").why


REVISION = '''"""One of four.

Downgrade: none is needed.
"""

from alembic import op

revision = "{0}"
down_revision = {1}
phase = "{2}"
oldest_code = "{3}"


def upgrade() -> None:
    op.execute("{4}")
    op.execute("insert into schema_line values ('{0}', '{3}')")
'''


@pytest.fixture
def checked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Check the tree of v43 out: its third revision changes rows of units."""
    versions = tmp_path / "app/ratemyunit/migrations/versions"
    versions.mkdir(parents=True)
    (tmp_path / "app/ratemyunit/__init__.py").touch()
    before, makes = "None", "create table t{} (id uuid primary key)"
    for sql, (revision, phase, oldest) in {
        makes.format(1): FIRST,
        makes.format(2): SECOND,
        "update units set title = 'none' where title = ''": ("0003", "expand", "0001"),
        "drop table t1": DROPS,
    }.items():
        (versions / f"{revision}_one.py").write_text(REVISION.format(revision, before, phase, oldest, sql))
        before = f'"{revision}"'
    # A checkout is found by the rmu.toml above this process, which is not this world's.
    monkeypatch.setattr(migrating, "checkout", lambda env: tmp_path)
    return versions


def first_line(world: FakeWorld) -> str:
    """Tell what the checklist says of its first line, the lint."""
    document = Operator(world).checklist("v43").screen.document
    assert document is not None
    return f"{document['lines'][0]['verdict']}: {document['lines'][0]['seen']}"


@pytest.mark.usefixtures("checked_out")
def test_the_lint_of_the_checklist_knows_how_many_rows_are_live(world: FakeWorld, ann: Operator) -> None:
    world.counted["units"] = 2_000_000

    ended = ann.checklist("v43")

    assert ended.code == 3 and "0003_one.py:15 many-rows-at-once" in ended.why
    assert ended.failure.next == "rmu migrate lint --env test"


@pytest.mark.usefixtures("checked_out")
def test_the_lint_of_the_checklist_says_how_far_it_read(world: FakeWorld) -> None:
    world.counted["units"] = 9

    assert first_line(world) == "ok: 4 revisions read, up to 0004, none unsafe"


def test_the_lint_of_another_tree_than_the_versions_own_is_none_of_it(
    world: FakeWorld, ann: Operator, checked_out: Path
) -> None:
    (checked_out / "0004_one.py").unlink()

    ended = ann.checklist("v43")

    assert ended.code == 3
    assert f"{checked_out.parent} was read, which ends with 0003; v43 ends with 0004" in ended.why
    assert ended.failure.next == "check out the tree that v43 was built of, then the same again"


@pytest.mark.usefixtures("checked_out")
def test_a_database_whose_rows_cannot_be_counted_is_no_clean_bill(world: FakeWorld) -> None:
    world.fail("data.look", Unreachable("no host is in service", next="rmu host list"))

    assert first_line(world) == "fails: no host is in service"


def ready(world: FakeWorld, ann: Operator, version: str = "v43") -> None:
    """Rehearse a version and let a drill have been done lately."""
    drill = RunHeader(run="r-000-drill", verb="dr drill", who="ann@laptop", started=world.clock.now(), outcome="done")
    world.put(header_entry(drill))
    assert ann.rehearse(version).code == 0


def test_without_labels_of_its_revisions_an_image_is_contracted_by_nobody(world: FakeWorld, ann: Operator) -> None:
    world.push("v42", head="0002")
    world.live("v42")

    ended = ann.migrate_up(contract=True)

    assert isinstance(ended.failure, Refused)
    assert "does not name its revisions" in ended.why


def test_the_bad_migration_of_the_demo_is_a_tree_that_builds(tmp_path: Path) -> None:
    made = tree(tmp_path / "app")

    labels = podman._schema(made)
    head = podman._schema(APP)["SCHEMA_HEAD"]
    bad, worse = after(head), after(after(head))
    assert (labels["SCHEMA_HEAD"], labels["SCHEMA_OLDEST"], labels["SCHEMA_ADMITS"]) == (bad, bad, "0001")
    assert labels["SCHEMA_REVISIONS"].endswith(f"{bad}:expand:0001,{worse}:contract:{bad}")
    assert podman.tree_key(made, "base") != podman.tree_key(APP, "base")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (b'revision = "0002"\nphase = \n', "0002_broken.py, line 2: this revision is not Python: invalid syntax"),
        (b'revision = "sp\xe4ter"\n', "this revision is not Python"),
        (b'revision = "0002"\x00', "this revision is not Python"),
    ],
)
def test_a_tree_with_a_revision_that_is_not_python_is_not_built(tmp_path: Path, broken: bytes, told: str) -> None:
    app = tmp_path / "app"
    path = app / "ratemyunit/migrations/versions/0002_broken.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(broken)
    (app / "Containerfile").touch()
    (app / "ratemyunit/schema.toml").write_text('head = "0002"\noldest = "0001"\nadmits = "0001"\n')

    with pytest.raises(Mistyped, match=told) as why:
        podman._schema(app)

    assert why.value.next == f"git diff {path}"
