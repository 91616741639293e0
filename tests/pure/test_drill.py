"""Restores from backups alone, and drills: what they need, what they prove, and that nothing stays behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ratemyunit_ops.cli import drills, places
from ratemyunit_ops.cli.wire import wire
from ratemyunit_ops.engine.journal import event_key
from ratemyunit_ops.errors import LedgerDown, Mistyped, Refused
from ratemyunit_ops.model import DatabaseView, HostImage, RestoreWindow
from ratemyunit_ops.outside.file_ledger import FileLedger
from ratemyunit_ops.planning.drill import QUARTER, choose_window
from ratemyunit_ops.records import read_databases
from ratemyunit_ops.reports.drawing import ticks
from ratemyunit_ops.reports.status import report_status, status_lines
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.drill import compared
from ratemyunit_ops.steps.kinds import parse_plan
from ratemyunit_ops.survey import STATUS, survey
from tests.fakes import BEGIN, DATABASE, FakeWorld
from tests.fakes.clients import Clients
from tests.fakes.databases import CLOSED, SETTINGS, Retained, Store
from tests.fakes.operator import KILLED, Ended, Operator, journal, make_unreadable, outcome, story
from tests.fakes.patches import own_the_time, type_commands

RUN = "r-001"
COPY = "rmu-test-drill-001"
SETTINGS_PLACE = {
    "instance_class": "db.t3.micro",
    "storage_gb": 20,
    "storage_max_gb": 100,
    "multi_az": False,
    "retention_days": 7,
    "backup_window": "03:00-03:30",
    "maintenance_window": "sun:04:00-sun:04:30",
    "deletion_protection": True,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "reports"


class Silent(Clients):
    """Clients that write no more."""

    def write(self, at: datetime, store: Store | None, after: str) -> None: ...


def quiet() -> FakeWorld:
    world = serving()
    world.clients = Silent()
    return world


def serving() -> FakeWorld:
    """Make a world where v41 serves, clients have written, and their writes have reached the backups."""
    world = FakeWorld()
    world.push("v41")
    world.live("v41")
    world.places |= {
        "drill_db_security_group": "sg-drill",
        "drill_host_security_group": "sg-drill-host",
        "db_security_group": "sg-db",
        "db_subnet_group": SETTINGS.subnet_group,
        "db_parameter_group": SETTINGS.parameter_group,
        "database_settings": json.dumps(SETTINGS_PLACE),
        "repository": "registry.example/app",
    }
    for _ in range(5):
        world.send_requests()
    world.clock.sleep(600)
    return world


def lost() -> FakeWorld:
    """Make the same world after the disaster: source instance, hosts and the ledger's table are gone."""
    world = serving()
    database_lost(world)
    world.hosts.clear()
    world.table.items.clear()
    world.kept["keep-r-000"] = world.images["v41"].digest
    world.images["v41"] = world.images["v41"].model_copy(update={"tags": ("keep-r-000", "v41")})
    return world


def database_lost(world: FakeWorld) -> None:
    view = world.databases.pop(DATABASE.identifier)
    window = RestoreWindow(
        resource_id=view.resource_id,
        identifier=DATABASE.identifier,
        earliest=BEGIN - timedelta(days=7),
        latest=world.clock.now() - timedelta(seconds=60),
        source="retained",
    )
    world.retained[view.resource_id] = Retained(window, world.stores.pop(DATABASE.identifier))


def status(world: FakeWorld) -> list[str]:
    return status_lines(report_status(survey(world.outside(), "test", STATUS), "http://front.example", None))


def corner_is_empty(world: FakeWorld) -> bool:
    return not world.drill_hosts and set(world.databases) <= {DATABASE.identifier}


def test_a_drill_restores_boots_proves_and_takes_all_of_it_away(folder: Path) -> None:
    world = quiet()
    before = world.footprint()

    ended = Operator(world).drill(folder)

    assert ended.code == 0, ended.failure
    document = ended.screen.document
    assert document is not None
    assert document["outcome"] == "done"
    assert document["verified"] == "yes"
    assert 60 <= document["rto_seconds"] <= 600
    assert document["torn_down"]
    assert corner_is_empty(world)
    assert world.footprint() == before
    assert world.lost == [] and world.broken == []


def test_a_drill_needs_neither_the_source_nor_a_host_nor_the_ledgers_records(folder: Path) -> None:
    world = lost()

    ended = Operator(world).drill(folder)

    assert ended.code == 0, ended.failure
    document = ended.screen.document
    assert document is not None
    assert document["release"] == "v41"
    assert document["verified"] == "partly"
    assert "no source to compare with" in document["why"]
    assert document["tables"]
    assert corner_is_empty(world)


def test_the_corner_admits_nobody_but_its_own_host(folder: Path) -> None:
    world = serving()

    Operator(world).drill(folder, verb="dr restore")

    assert world.database_settings["rmu-test-db-001"].security_groups == ("sg-drill",)
    assert world.database_settings[DATABASE.identifier].security_groups == SETTINGS.security_groups


def test_a_restore_stays_to_be_looked_at_until_somebody_ends_it(folder: Path) -> None:
    world = serving()
    assert Operator(world).drill(folder, verb="dr restore").code == 0
    assert set(world.drill_hosts) == {RUN} and "rmu-test-db-001" in world.databases

    assert Operator(world).end_drill(RUN).code == 0

    assert corner_is_empty(world)


def test_a_drill_leaves_alone_what_a_restore_left_standing_on_purpose(folder: Path) -> None:
    world = serving()
    Operator(world).drill(folder, verb="dr restore")

    assert Operator(world).drill(folder).code == 0

    assert set(world.drill_hosts) == {RUN} and "rmu-test-db-001" in world.databases


def test_what_never_stood_in_the_corner_cannot_be_ended(folder: Path) -> None:
    ended = Operator(serving()).end_drill("r-000-v41")

    assert ended.code == 3
    assert "nothing of run r-000-v41" in ended.why


def test_a_drill_that_fails_takes_all_of_it_away_too(folder: Path) -> None:
    world = serving()
    world.never_ready.add("v41")
    before = world.footprint()

    ended = Operator(world).drill(folder)

    assert ended.code == 5
    assert corner_is_empty(world)
    assert world.footprint() == before
    assert ended.screen.document is not None
    assert ended.screen.document["rto_seconds"] is None
    assert "was not restored" in (folder / f"{RUN}.md").read_text()


def test_rows_that_are_missing_fail_the_drill_and_name_the_table(folder: Path) -> None:
    world = quiet()

    def lose_a_row() -> None:
        store = world.stores[COPY]
        del store.rows[next(key for key in store.rows if key[0] == "units")]

    world.on_call("databases.settle", lose_a_row)

    ended = Operator(world).drill(folder)

    assert ended.code == 5
    assert "the restored database is wrong: units" in ended.why
    assert ended.screen.document is not None and ended.screen.document["verified"] == "no"


def test_a_table_that_went_on_being_written_is_counted_and_said_so(folder: Path) -> None:
    world = serving()

    ended = Operator(world).drill(folder)

    assert ended.code == 0, ended.failure
    assert ended.screen.document is not None
    assert ended.screen.document["verified"] == "partly"
    assert "were changed or deleted since" in ended.screen.document["why"]


def test_a_source_that_only_grew_since_has_every_row_of_then_compared(folder: Path) -> None:
    world = quiet()
    source = world.stores[DATABASE.identifier]
    world.on_call("databases.settle", lambda: source.commit(world.clock.now(), "row", ("units", 9_999), "new"))

    ended = Operator(world).drill(folder)

    assert ended.code == 0, ended.failure
    assert ended.screen.document is not None
    assert (ended.screen.document["verified"], ended.screen.document["why"]) == (
        "yes",
        "every table is the same to the last row of then; some only grew since",
    )


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        ((10, "a"), (10, "a", 10, "a"), "same"),
        ((10, "a"), (12, "b", 10, "a"), "grew"),
        ((10, "a"), (12, "b", 9, "c"), "moved on"),
        ((10, "a"), (9, "b", 9, "b"), "moved on"),
        ((10, "a"), (10, "b", 7, "c"), "moved on"),
        ((10, "a"), (10, "b"), "moved on"),
        ((10, "a"), (10, "b", 10, "b"), "differs"),
        ((9, "a"), (12, "b", 10, "c"), "differs"),
        (None, (12, "b", 10, "a"), "differs"),
        (None, (2, "b", 0, "0"), "moved on"),
        ((10, "a"), None, "read"),
    ],
)
def test_a_table_is_judged_by_what_can_be_known_of_it(here: Any, there: Any, verdict: str) -> None:
    found = {"rows": here[0], "checksum": here[1]} if here else None
    told = dict(zip(("rows", "checksum", "old_rows", "old_checksum"), there, strict=False)) if there else None

    assert compared("units", found, told)["verdict"] == verdict


def test_a_drill_while_production_is_down_is_a_drill(folder: Path) -> None:
    world = serving()
    world.front_door_down = True
    world.unhealthy.clear()

    assert Operator(world).drill(folder).code == 0
    assert corner_is_empty(world)


def test_the_host_may_come_from_an_image_of_a_host(folder: Path) -> None:
    world = serving()
    world.host_image = HostImage(id="ami-1", name="daily")

    ended = Operator(world).drill(folder, from_image=True)

    assert ended.code == 0, ended.failure
    launched = next(e for e in journal(world) if e.kind == "done" and "image" in e.facts)
    assert launched.facts["image"] == "ami-1"


def test_without_an_image_the_template_is_named(folder: Path) -> None:
    ended = Operator(serving()).drill(folder, from_image=True)

    assert ended.code == 3
    assert "no image of a host yet" in ended.why and "dr drill" in ended.failure.next


def test_a_stack_without_a_corner_is_told_to_apply(folder: Path) -> None:
    world = serving()
    del world.places["drill_db_security_group"]

    ended = Operator(world).drill(folder)

    assert ended.code == 3 and ended.failure.next == "rmu infra apply"


def test_several_backups_and_no_ledger_want_a_name(folder: Path) -> None:
    world = lost()
    first = next(iter(world.retained.values()))
    other = first.window.model_copy(update={"resource_id": "db-OTHER", "identifier": "rmu-test-db-2"})
    world.retained["db-OTHER"] = Retained(other, first.store)

    refused = Operator(world).drill(folder)
    named = Operator(world).drill(folder, database="rmu-test-db-1")

    assert refused.code == 3
    assert "rmu-test-db-1 (db-RESOURCE1" in refused.why and "rmu-test-db-2 (db-OTHER" in refused.why
    assert named.code == 0, named.failure


def test_without_any_backup_nothing_is_begun(folder: Path) -> None:
    world = lost()
    world.retained.clear()

    ended = Operator(world).drill(folder)

    assert ended.code == 3
    assert "no backup" in ended.why
    assert ("run", RUN) not in world.table.items


@pytest.mark.parametrize(
    ("to", "why"),
    [("2026-01-01 00:00 UTC", "backups of rmu-test-db-1 begin at"), ("12:00", "no time"), ("10s ago", "")],
)
def test_a_moment_that_cannot_be_is_said_before_anything_is_made(folder: Path, to: str, why: str) -> None:
    world = lost()

    ended = Operator(world).drill(folder, to=to)

    assert ended.code in {2, 3}
    assert why in ended.why
    assert corner_is_empty(world)


def test_a_moment_that_is_not_shipped_yet_is_waited_for(folder: Path) -> None:
    world = serving()
    world.clock.sleep(100)

    ended = Operator(world).drill(folder, to="10s ago")

    assert ended.code == 0, ended.failure
    assert ended.screen.planned is not None
    assert "possible from 12:15 UTC" in ended.screen.planned.titles()[0]


def test_a_named_release_runs_instead_of_the_one_of_then(folder: Path) -> None:
    world = serving()
    world.push("v42")

    ended = Operator(world).drill(folder, release="v42")

    assert ended.code == 0, ended.failure
    assert ended.screen.document is not None and ended.screen.document["release"] == "v42"


def test_a_drill_ends_with_the_reminder_moved_a_quarter_ahead(folder: Path) -> None:
    world = serving()
    begun = world.clock.now()

    Operator(world).drill(folder)

    assert world.remind_from == begun + QUARTER


def test_status_knows_how_old_the_last_drill_is(folder: Path) -> None:
    world = serving()
    assert any("never" in line and "rmu dr drill" in line for line in status(world))
    Operator(world).drill(folder)

    world.clock.sleep(3 * 86400)

    assert f"  drill      3 days ago, run {RUN}" in status(world)
    world.clock.sleep(100 * 86400)
    assert any("more than a quarter" in line for line in status(world))


# -- the cut-over ----------------------------------------------------------------------------------------------------


def test_a_cut_over_while_the_source_lives_is_refused_and_names_what_does_it(folder: Path) -> None:
    ended = Operator(serving()).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 3
    assert "is still there" in ended.why and ended.failure.next == "rmu db restore --latest"


def test_a_cut_over_from_another_databases_backups_is_refused_while_the_live_one_stands(folder: Path) -> None:
    """As after `rmu db forget rmu-test-db-0`: its backups are retained, and a newer database serves."""
    world = serving()
    window = RestoreWindow(
        resource_id="db-OLD",
        identifier="rmu-test-db-0",
        earliest=BEGIN - timedelta(days=7),
        latest=BEGIN - timedelta(days=1),
        source="retained",
    )
    world.retained["db-OLD"] = Retained(window, world.stores[DATABASE.identifier])
    before = world.footprint()

    ended = Operator(world).drill(folder, verb="dr restore", database="rmu-test-db-0", cut_over=True)

    assert ended.code == 3
    assert f"{DATABASE.identifier} (available) is still there" in ended.why
    assert world.footprint() == before


def test_a_cut_over_asks_the_hosts_what_they_serve_from_when_the_table_was_made_anew(folder: Path) -> None:
    world = serving()
    world.table.items.clear()
    old = RestoreWindow(
        resource_id="db-OLD",
        identifier="rmu-test-db-0",
        earliest=BEGIN - timedelta(days=7),
        latest=BEGIN - timedelta(days=1),
        source="retained",
    )
    world.retained["db-OLD"] = Retained(old, world.stores[DATABASE.identifier])

    ended = Operator(world).drill(folder, verb="dr restore", database="rmu-test-db-0", cut_over=True)

    assert ended.code == 3
    assert f"{DATABASE.identifier} (available) is still there" in ended.why


def test_a_source_that_comes_back_before_the_pointer_moves_stops_the_cut_over(folder: Path) -> None:
    world = serving()
    view, store = world.databases[DATABASE.identifier], world.stores[DATABASE.identifier]
    database_lost(world)

    def back() -> None:
        world.databases[DATABASE.identifier], world.stores[DATABASE.identifier] = view, store

    world.on_call("databases.settle", back, nth=2)  # when the hosts are let in

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 5
    assert "would have to be fenced first" in ended.why
    assert world.pointer().database == DATABASE
    nothing_is_left(world)


def test_in_another_region_the_backups_are_meant_and_not_the_empty_database_of_their_name(folder: Path) -> None:
    """Terraform has just made rmu-test-db-1 anew, and nothing points to it."""
    world = lost()
    world.databases[DATABASE.identifier] = DatabaseView(
        identifier=DATABASE.identifier,
        resource_id="db-EMPTY",
        address=DATABASE.address,
        port=5432,
        status="available",
        latest_restorable=world.clock.now(),
        created=world.clock.now() - timedelta(minutes=20),
    )
    world.stores[DATABASE.identifier] = Store()

    def born() -> None:
        if world.pointer().release:
            world.hosts.append(world._boot("i-9"))
        else:
            world.clock.later(5, born)

    world.clock.later(5, born)

    ended = Operator(world).drill(folder, verb="dr restore", database=DATABASE.identifier, cut_over=True)

    assert ended.code == 0, ended.why
    assert world.stores["rmu-test-db-001"].rows
    assert world.serving() == {"v41"}


def test_two_lives_of_one_name_want_a_resource_id_where_no_ledger_tells(folder: Path) -> None:
    world = lost()
    first = next(iter(world.retained.values()))
    world.retained["db-LATER"] = Retained(first.window.model_copy(update={"resource_id": "db-LATER"}), first.store)

    with pytest.raises(Refused, match="db-LATER"):
        choose_window(survey(world.outside(), "test", ("windows",)), None, pointer=None)
    assert Operator(world).drill(folder, database="db-LATER").code == 0


@pytest.mark.parametrize(
    ("status", "code"), [("available", 3), ("backing-up", 3), ("rebooting", 3), ("storage-full", 0), ("failed", 0)]
)
def test_a_cut_over_leaves_behind_only_an_instance_that_can_take_no_write(folder: Path, status: str, code: int) -> None:
    world = quiet()
    world.databases[DATABASE.identifier] = world.databases[DATABASE.identifier].model_copy(update={"status": status})

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == code, ended.why


def going(*, answers: bool) -> FakeWorld:
    """Make a world whose database is being deleted."""
    world = serving()
    view = world.databases[DATABASE.identifier]
    world.databases[DATABASE.identifier] = view.model_copy(update={"status": "deleting"})
    world.dead |= set() if answers else {DATABASE.identifier}
    return world


def test_a_database_that_is_being_deleted_is_waited_for_while_it_still_answers(folder: Path) -> None:
    world = going(answers=True)
    world.on_call("databases.settle", lambda: world.clock.later(1200, lambda: database_lost(world)), nth=2)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    told = dict(zip(story(world), journal(world), strict=True))
    waited = told["done nothing_else_serves"].at - told["started nothing_else_serves"].at
    assert waited > timedelta(minutes=15)
    assert world.live_database() == "rmu-test-db-001" and world.broken == []


def test_a_database_that_is_being_deleted_and_answers_no_more_is_left_behind_at_once(folder: Path) -> None:
    world = going(answers=False)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    assert world.live_database() == "rmu-test-db-001"


def test_a_database_whose_deletion_never_ends_stops_the_cut_over(folder: Path) -> None:
    world = going(answers=True)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 5 and "is being deleted" in ended.why
    assert world.pointer().database == DATABASE
    nothing_is_left(world)


# -- a database that is there and dead -------------------------------------------------------------------------------

MUTE = "available, and never answers"


def died(how: str) -> FakeWorld:
    """Make a world whose database is there and dead; what was written last has not reached the backups."""
    world = serving()
    world.clock.sleep(10)
    for _ in range(3):
        world.send_requests()
    if how == MUTE:
        world.dead.add(DATABASE.identifier)
    else:
        view = world.databases[DATABASE.identifier]
        world.databases[DATABASE.identifier] = view.model_copy(update={"status": how})
    return world


def revive(world: FakeWorld) -> None:
    world.dead.clear()
    view = world.databases[DATABASE.identifier]
    world.databases[DATABASE.identifier] = view.model_copy(update={"status": "available"})


def groups(world: FakeWorld) -> tuple[str, ...]:
    return world.database_settings[DATABASE.identifier].security_groups


TYPES: dict[str, Callable[[Operator, Path], Ended]] = {
    "rmu db restore --latest": lambda who, folder: who.restore(latest=True),
    "rmu dr restore --latest --cut-over": lambda who, folder: who.drill(folder, verb="dr restore", cut_over=True),
}


def follow(world: FakeWorld, command: str, folder: Path) -> list[str]:
    """Type a command, then whatever each refusal names, until one succeeds; answers what was typed."""
    typed: list[str] = []
    while True:
        assert command not in typed, f"{command} comes back to itself: {typed}"
        typed.append(command)
        ended = TYPES[command](Operator(world), folder)
        if ended.code == 0:
            return typed
        command = ended.failure.next.split("   ")[0]


@pytest.mark.parametrize("how", ["storage-full", "failed", MUTE])
@pytest.mark.parametrize("first", sorted(TYPES))
def test_of_a_dead_database_every_refusal_leads_on_until_another_one_serves(how: str, first: str, folder: Path) -> None:
    world = died(how)

    typed = follow(world, first, folder)

    assert typed[-1] == "rmu dr restore --latest --cut-over"
    assert world.databases_served() == {world.live_database()} != {DATABASE.identifier}
    assert groups(world) == CLOSED and DATABASE.identifier in world.databases
    noted = next(n for n in read_databases(world.outside().ledger) if n.identifier == DATABASE.identifier)
    assert noted.state == "superseded"
    assert world.broken == []


@pytest.mark.parametrize("first", sorted(TYPES))
def test_of_a_database_that_answers_every_refusal_leads_to_the_restore_that_loses_nothing(
    first: str, folder: Path
) -> None:
    world = serving()

    assert follow(world, first, folder)[-1] == "rmu db restore --latest"
    assert groups(world) == SETTINGS.security_groups


def test_a_database_that_answers_again_before_its_fence_is_not_fenced(folder: Path) -> None:
    world = died(MUTE)
    world.on_call("databases.settle", lambda: revive(world), nth=2)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert (ended.code, ended.failure.next) == (5, "rmu db restore --latest")
    assert groups(world) == SETTINGS.security_groups
    nothing_is_left(world)


def test_what_was_fenced_from_outside_takes_no_write_when_it_lives_again(folder: Path) -> None:
    world = died(MUTE)
    world.on_call("databases.close", lambda: revive(world))

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    assert world.answering(DATABASE.identifier) is None and world.broken == []


def test_what_a_dead_database_had_acknowledged_is_given_back_once_it_lives_again(folder: Path) -> None:
    world = died(MUTE)
    assert Operator(world).drill(folder, verb="dr restore", cut_over=True).code == 0
    for _ in range(2):
        world.send_requests()
    assert world.clients.acknowledged.items() - rows(world).items(), "nothing was left behind"
    revive(world)

    assert Operator(world).salvage(RUN).code == 0

    assert world.clients.acknowledged.items() <= rows(world).items()
    assert not world.stores[DATABASE.identifier].open and world.broken == []
    assert Operator(world).salvage(RUN).code == 0


def test_a_salvage_of_what_is_still_dead_leaves_it_closed(folder: Path) -> None:
    world = died(MUTE)
    assert Operator(world).drill(folder, verb="dr restore", cut_over=True).code == 0

    ended = Operator(world).salvage(RUN)

    assert ended.code == 5 and "does not answer" in ended.why
    assert groups(world) == CLOSED


def rows(world: FakeWorld) -> dict[Any, str]:
    return {key: value for key, (value, _) in world.stores[world.live_database()].rows.items()}


def test_whether_a_database_answers_has_to_be_seen_by_a_host(folder: Path) -> None:
    world = died(MUTE)
    world.hosts.clear()

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 3 and "could not be seen" in ended.why
    assert ended.failure.next.startswith("rmu host list")


def test_a_state_that_no_waiting_mends_needs_no_host_to_be_seen(folder: Path) -> None:
    world = died("failed")
    world.hosts.clear()

    assert Operator(world).drill(folder, verb="dr restore", cut_over=True, dry_run=True).code == 0


def test_an_instance_that_rds_changes_nothing_of_ends_the_cut_over_before_the_pointer_moves(folder: Path) -> None:
    world = died("failed")
    world.changes_nothing_while.add("failed")

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 5 and "changes nothing" in ended.why
    assert world.pointer().database == DATABASE
    nothing_is_left(world)


@pytest.mark.parametrize(("types", "code"), [("test", 0), ("yes", 3)])
def test_a_cut_over_wants_the_environments_name_typed(types: str, code: int, folder: Path) -> None:
    world = died(MUTE)
    typed = drills.Typed("dr restore", cut_over=True, folder=folder)
    asked = drills.Asked(because="x", dry_run=False, yes=False)

    ended = Operator(world, types=types)._type(lambda w: drills.restore_it(w, typed, asked))

    assert ended.code == code
    assert "Type test to go on" in ended.screen.said


def test_what_serves_or_did_is_never_ended_as_if_it_stood_in_the_corner(folder: Path) -> None:
    world = serving()
    database_lost(world)
    assert Operator(world).drill(folder, verb="dr restore", cut_over=True).code == 0

    world.table.items = {k: v for k, v in world.table.items.items() if k[0] == "lease"}  # and nobody knows of it

    ended = Operator(world).end_drill(RUN)

    assert ended.code == 3
    assert ended.failure.next == "rmu db forget rmu-test-db-001"
    assert "rmu-test-db-001" in world.databases


def test_an_end_that_was_killed_is_finished_by_typing_it_again(folder: Path) -> None:
    world = serving()
    Operator(world).drill(folder, verb="dr restore")
    world.kill_in_the_middle_of("databases.drop")
    assert Operator(world).end_drill(RUN).code == KILLED

    assert Operator(world, "bob@ci").end_drill(RUN).code == 0

    nothing_is_left(world)


def test_a_reminder_that_cannot_be_moved_spoils_no_drill(folder: Path) -> None:
    world = serving()
    world.fail("corner.remind_from", Refused("the caller may not scheduler:UpdateSchedule", next="rmu doctor"))

    ended = Operator(world).drill(folder)

    assert ended.code == 0, ended.why
    assert journal(world)[-2].facts["why"] == "the caller may not scheduler:UpdateSchedule"


def test_what_has_no_price_is_not_counted_as_free(folder: Path) -> None:
    world = serving()
    settings = SETTINGS.model_copy(update={"instance_class": "db.r7g.large"})
    world.database_settings[DATABASE.identifier] = settings

    ended = Operator(world).drill(folder)

    assert ended.screen.document is not None and ended.screen.document["dollars"] is None
    assert any("at least $" in line for line in ended.screen.said)
    assert "at least $" in (folder / f"{RUN}.md").read_text()


def test_a_cut_over_after_the_database_was_lost_moves_the_hosts_to_the_restored_one(folder: Path) -> None:
    world = serving()
    database_lost(world)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    new = "rmu-test-db-001"
    pointer = world.pointer()
    assert (pointer.release, pointer.database.identifier if pointer.database else None) == ("v41", new)
    assert {h.slots[h.live].database.identifier for h in world.hosts if h.live and h.slots[h.live]} == {new}  # type: ignore[union-attr]
    assert world.database_settings[new].security_groups == ("sg-db",)
    assert world.databases[new].protected
    assert not world.drill_hosts


@pytest.mark.parametrize("at", ["done ready", "done nothing_else_serves"])
def test_a_host_that_the_group_exchanged_in_the_middle_of_a_cut_over_is_brought_along(folder: Path, at: str) -> None:
    played = serving()
    database_lost(played)
    assert Operator(played).drill(folder, verb="dr restore", cut_over=True).code == 0
    world = serving()
    database_lost(world)

    def exchange() -> None:
        world.hosts[-1] = world._boot("i-9")

    world.on_event(event_key(story(played).index(at)), exchange)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    pointed = world.pointer().database
    assert pointed is not None
    assert (world.serving(), world.databases_served()) == ({"v41"}, {pointed.identifier})


def test_a_cut_over_with_nothing_left_but_backups_lets_new_hosts_boot_from_it(folder: Path) -> None:
    world = lost()

    def born() -> None:
        if world.pointer().release:
            world.hosts.append(world._boot("i-9"))
        else:
            world.clock.later(5, born)

    world.clock.later(5, born)

    ended = Operator(world).drill(folder, verb="dr restore", cut_over=True)

    assert ended.code == 0, ended.failure
    assert world.serving() == {"v41"}
    record = world.record("v41")
    assert (record.verdict, record.schema_head, record.digest) == ("good", "0001", world.images["v41"].digest)


def cut_over_killed(folder: Path, at: str) -> FakeWorld:
    """Make a world whose database was lost, and whose cut-over was killed right after an event."""
    with pytest.MonkeyPatch.context() as patch:
        type_commands(patch)
        played = serving()
        database_lost(played)
        assert Operator(played).drill(folder, verb="dr restore", cut_over=True).code == 0
    world = serving()
    database_lost(world)
    world.kill_after_event(story(played).index(at))
    assert Operator(world).drill(folder, verb="dr restore", cut_over=True).code == KILLED
    return world


@pytest.mark.parametrize("at", ["done point_to", "done hosts_in_service", "started bring_along"])
def test_a_cut_over_whose_hosts_are_still_to_be_moved_cannot_be_given_up_only_finished(folder: Path, at: str) -> None:
    world = cut_over_killed(folder, at)

    ended = Operator(world, "bob@ci").abandon(RUN)

    assert (ended.code, ended.failure.next) == (6, f"rmu resume {RUN}")
    assert "it can only go on" in ended.failure.state
    assert outcome(world) is None
    assert Operator(world, "bob@ci").resume(RUN).code == 0
    assert world.databases_served() == {"rmu-test-db-001"}


def test_a_cut_over_that_has_moved_the_hosts_may_be_given_up_and_leaves_them_there(folder: Path) -> None:
    world = cut_over_killed(folder, "done bring_along")

    ended = Operator(world, "bob@ci").abandon(RUN)

    assert (ended.code, outcome(world)) == (6, "half_way")
    assert world.databases_served() == {"rmu-test-db-001"}


def test_a_cut_over_cannot_be_journaled_in_a_folder(folder: Path) -> None:
    world = lost()
    operator = Operator(world)
    typed = drills.Typed("dr restore", cut_over=True, folder=folder)

    ended = operator._type(
        lambda w: drills.restore_it(
            replace(w, journal=folder), typed, drills.Asked(because="x", dry_run=False, yes=True)
        )
    )

    assert ended.code == 2
    assert ended.failure.next.startswith("rmu infra bootstrap")


def test_a_folder_for_the_journal_serves_only_verbs_that_change_nothing_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMU_JOURNAL", str(tmp_path / "journal"))

    with pytest.raises(Mistyped, match="RMU_JOURNAL") as why:
        wire("twin", as_json=True, reach=False)

    assert why.value.next == "unset RMU_JOURNAL"
    assert isinstance(wire("twin", as_json=True, reach=False, in_folder=True).outside.ledger, FileLedger)


# -- kills -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """A command in a world; nobody kills it, and it ends with one of these."""

    world: Callable[[], FakeWorld]
    type: Callable[[Operator, Path], Ended]
    moves: bool = False
    """Whether it is a cut-over: what serves is another database afterwards."""


def seams(scenario: Scenario) -> Iterator[tuple[str, int, str]]:
    """Name every seam of an undisturbed run: before and after each event, and in the middle of each change."""
    with pytest.MonkeyPatch.context() as patch:
        own_the_time(patch)
        type_commands(patch)
        world = scenario.world()
        with TemporaryDirectory() as unread:
            assert scenario.type(Operator(world), Path(unread)).code in {0, 5}
        events = journal(world)
        steps = parse_plan(events[0].facts["plan"]).steps
        for e in events:
            what = e.kind if e.step is None else f"{e.kind} {steps[e.step].kind}"
            yield "before", e.number, what
            yield "after", e.number, what
            if e.kind in {"started", "undo-started"} and e.step is not None and isinstance(steps[e.step], Change):
                yield "cut off after", e.number, what


def never_ready() -> FakeWorld:
    world = serving()
    world.never_ready.add("v41")
    return world


def without_its_database() -> FakeWorld:
    world = serving()
    database_lost(world)
    return world


def whose_database_is_dead() -> FakeWorld:
    return died(MUTE)


def restored_to_look_at() -> FakeWorld:
    """Make a world with what a restore left standing in the corner."""
    world = serving()
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as unread:
        patch.setattr(drills, "new_run_id", lambda: "r-900")
        assert Operator(world).drill(Path(unread), verb="dr restore").code == 0
    return world


def drill(who: Operator, folder: Path) -> Ended:
    return who.drill(folder)


def cut_over(who: Operator, folder: Path) -> Ended:
    return who.drill(folder, verb="dr restore", cut_over=True)


SCENARIOS = {
    "drill": Scenario(serving, drill),
    "drill after the disaster": Scenario(lost, drill),
    "drill that fails": Scenario(never_ready, drill),
    "cut-over after the loss": Scenario(without_its_database, cut_over, moves=True),
    "cut-over from a dead database": Scenario(whose_database_is_dead, cut_over, moves=True),
    "end": Scenario(restored_to_look_at, lambda who, folder: who.end_drill("r-900")),
}
FOUND = [(name, n, *seam) for name, scenario in SCENARIOS.items() for n, seam in enumerate(seams(scenario))]
SEAMS = [
    pytest.param(
        name,
        when,
        number,
        id=f"{name}: {when} {what} ({number})",
        marks=pytest.mark.long if name not in {"drill", "end"} and n % 4 else (),
    )
    for name, n, when, number, what in FOUND
]
"""Of all but the plainest ones a quarter is tried at each check, and the rest with the long tests."""


TURNED = [
    pytest.param(*case.values, id=case.id, marks=pytest.mark.long if n % 4 else ())
    for n, case in enumerate(c for c in SEAMS if c.values[0] in {"drill", "end"} or SCENARIOS[str(c.values[0])].moves)
]
"""Those that are also typed again, and given up."""


def arm(world: FakeWorld, when: str, number: int) -> None:
    """Kill the process before or after an event, or in the middle of what follows it."""
    arms = {
        "before": world.kill_before_event,
        "after": world.kill_after_event,
        "cut off after": world.cut_off_after_event,
    }
    arms[when](number)


def killed(name: str, when: str, number: int, folder: Path) -> FakeWorld:
    world = SCENARIOS[name].world()
    arm(world, when, number)
    assert SCENARIOS[name].type(Operator(world), folder).code == KILLED, "the seam was not met"
    return world


def begun(world: FakeWorld) -> bool:
    return ("run", RUN) in world.table.items


def nothing_is_left(world: FakeWorld) -> None:
    """Assert that what serves was not touched, and that nothing stands in the corner."""
    assert corner_is_empty(world), (world.drill_hosts, sorted(world.databases))
    assert world.lease_is_free()
    assert world.lost == [] and world.broken == []


def settled(world: FakeWorld, scenario: Scenario) -> None:
    """Assert that nothing is left of it, or that a cut-over has come to its end: one database serves everywhere."""
    assert world.databases_served() == {world.live_database()}
    if world.live_database() == DATABASE.identifier:
        assert DATABASE.identifier not in world.databases or groups(world) == SETTINGS.security_groups
        nothing_is_left(world)
        return
    assert scenario.moves
    assert DATABASE.identifier not in world.databases or groups(world) == CLOSED
    assert world.serving() == {world.pointer().release}
    assert not world.drill_hosts and world.lease_is_free()
    assert world.lost == [] and world.broken == []


@pytest.mark.parametrize(("name", "when", "number"), SEAMS)
def test_a_killed_drill_is_finished_by_resume_and_leaves_nothing(
    name: str, when: str, number: int, folder: Path
) -> None:
    world = killed(name, when, number, folder)
    had_begun = begun(world)

    Operator(world, "bob@ci").resume(RUN)

    assert not had_begun or outcome(world) in {"done", "rolled_back"}
    if had_begun or name != "end":
        settled(world, SCENARIOS[name])


@pytest.mark.parametrize(("name", "when", "number"), TURNED)
def test_the_same_command_again_finishes_a_killed_drill_and_leaves_nothing(
    name: str, when: str, number: int, folder: Path
) -> None:
    world = killed(name, when, number, folder)
    was_closed = begun(world) and outcome(world) is not None

    ended = SCENARIOS[name].type(Operator(world, "bob@ci"), folder)

    assert ended.code in ({3} if was_closed and name != "drill" else {0, 5})
    Operator(world, "bob@ci").resume(RUN)  # who was killed right after the end had not let go
    settled(world, SCENARIOS[name])


@pytest.mark.parametrize(("name", "when", "number"), TURNED)
def test_an_abandoned_drill_leaves_nothing_or_can_only_go_on(name: str, when: str, number: int, folder: Path) -> None:
    world = killed(name, when, number, folder)
    had_begun = begun(world)

    ended = Operator(world, "bob@ci").abandon(RUN)

    if had_begun and outcome(world) is None:  # past the pointer, and no host is moved yet
        assert (ended.code, ended.failure.next) == (6, f"rmu resume {RUN}")
        assert Operator(world, "bob@ci").resume(RUN).code == 0
    if name == "end":  # what it took away stays so; the rest is ended by another
        again = 3 if corner_is_empty(world) else 0
        assert Operator(world, "eve@laptop").end_drill("r-900").code == again
    settled(world, SCENARIOS[name])


def test_what_a_drill_of_a_lost_ledger_left_is_named_and_taken_away_by_the_next(folder: Path) -> None:
    world = killed("drill", "after", 12, folder)
    world.table.items = {k: v for k, v in world.table.items.items() if k[0] in {"pointer", "release"}}
    world.clock.sleep(4 * 3600)
    assert not corner_is_empty(world)

    ended = Operator(world, "bob@ci").drill(folder)

    assert ended.code == 0, ended.failure
    assert any("leftover of r-001" in line for line in ended.screen.said)
    nothing_is_left(world)


FENCED = next((n for name, _, _, n, what in FOUND if "dead" in name and what == "done fence_from_outside"))


@pytest.mark.parametrize("when", ["before", "after", "cut off after"])
def test_giving_up_a_fence_from_outside_is_finished_wherever_it_was_killed(when: str, folder: Path) -> None:
    world = killed("cut-over from a dead database", "after", FENCED, folder)
    assert groups(world) == CLOSED
    arm(world, when, FENCED + 2)  # first that it is given up, then the undo of the newest step
    assert Operator(world, "bob@ci").abandon(RUN).code == KILLED

    Operator(world, "eve@ci").abandon(RUN)

    assert "undo-started fence_from_outside" in story(world)[FENCED + 1 :]
    assert groups(world) == SETTINGS.security_groups and outcome(world) == "rolled_back"
    nothing_is_left(world)


def test_another_ledgers_drill_that_is_under_way_is_left_alone(folder: Path) -> None:
    world = killed("drill", "after", 12, folder)
    world.table.items = {k: v for k, v in world.table.items.items() if k[0] in {"pointer", "release"}}

    assert Operator(world, "bob@ci").drill(folder).code == 0

    assert set(world.drill_hosts) == {RUN}


# -- the report ------------------------------------------------------------------------------------------------------


def test_the_report_can_be_made_again_from_the_journal_alone(folder: Path, tmp_path: Path) -> None:
    world = serving()
    Operator(world).drill(folder)

    ended = Operator(world).report_drill(tmp_path / "again")

    assert ended.code == 0
    for kind in ("html", "md"):
        assert (tmp_path / f"again/{RUN}.{kind}").read_text() == (folder / f"{RUN}.{kind}").read_text()


def test_a_report_holds_the_figures_the_picture_and_the_cost(folder: Path) -> None:
    world = serving()
    ended = Operator(world).drill(folder)

    text = (folder / f"{RUN}.html").read_text()

    assert ended.screen.document is not None
    assert text.count("<svg") == 2  # one for wide screens, one for phones
    assert "it can be restored" in text
    assert "database db.t3.micro" in text and f"{ended.screen.document['dollars']:.4f}" in text
    assert "units" in text
    assert "<script" not in text


def test_what_an_operator_typed_cannot_become_part_of_the_page(folder: Path) -> None:
    world = serving()
    Operator(world, who="<img src=x>").drill(folder)

    assert "<img" not in (folder / f"{RUN}.html").read_text()


def test_a_run_that_is_no_drill_has_no_report(folder: Path) -> None:
    world = serving()
    world.push("v42")
    Operator(world).deploy("v42")

    assert Operator(world).report_drill(folder, RUN).code == 2
    assert Operator(world).report_drill(folder).code == 3


def test_credentials_that_end_too_early_do_not_go_on_with_a_drill_by_its_own_words_either(folder: Path) -> None:
    world = serving()
    world.kill_after_event(5)
    assert Operator(world).drill(folder).code == KILLED
    soon = world.clock.now() + timedelta(minutes=5)

    ended = Operator(world, credentials_end=soon).drill(folder)

    assert (ended.code, ended.why) == (3, "these credentials end in 5 min, and a restore may take 45")
    assert outcome(world) is None and Operator(world).drill(folder).code == 0


def test_a_drill_whose_report_cannot_be_written_does_not_begin(tmp_path: Path) -> None:
    world = serving()
    (tmp_path / "taken").write_text("a file")

    ended = Operator(world).drill(tmp_path / "taken" / "reports")

    assert ended.code == 2 and "cannot be written" in ended.why
    assert world.lease_is_free() and not journal(world)


def test_a_dead_drill_is_not_gone_on_with_where_its_report_cannot_be_written(tmp_path: Path) -> None:
    world = serving()
    world.kill_after_event(5)
    assert Operator(world).drill(tmp_path / "reports").code == KILLED
    (tmp_path / "taken").write_text("a file")

    ended = Operator(world).drill(tmp_path / "taken" / "reports")

    assert ended.code == 2 and outcome(world) is None


def test_a_drill_says_how_it_ended_though_its_report_can_no_longer_be_written(folder: Path) -> None:
    world = serving()
    world.on_call("corner.launch", lambda: (folder / f"{RUN}.html").mkdir())

    ended = Operator(world).drill(folder)

    assert ended.code == 0 and ended.screen.document is not None
    assert (ended.screen.document["outcome"], ended.screen.document["report"]) == ("done", None)
    assert any(f"rmu dr report {RUN} --dir" in line for line in ended.screen.said)


def test_a_drill_that_a_later_rmu_began_has_no_report_here_and_says_why(folder: Path) -> None:
    world = serving()
    Operator(world).drill(folder)
    make_unreadable(world)

    ended = Operator(world).report_drill(folder, RUN)

    assert ended.code == 3 and "cannot read a step" in ended.why
    assert "the rmu version that began it" in ended.failure.next


def test_a_dead_drill_that_a_later_rmu_began_is_left_as_it_is(folder: Path) -> None:
    world = serving()
    world.kill_after_event(5)
    assert Operator(world).drill(folder).code == KILLED
    make_unreadable(world)

    ended = Operator(world).drill(folder)

    assert ended.code == 6 and "cannot read a step" in ended.why
    assert outcome(world) is None


def test_a_report_is_no_drills_only_where_that_is_known(folder: Path) -> None:
    world = serving()
    Operator(world).drill(folder)
    world.fail("ledger.query", LedgerDown("no answer", next="rmu doctor"), nth=2)

    assert Operator(world).report_drill(folder, RUN).why == "no answer"


def test_the_time_axis_has_round_marks_and_not_too_many() -> None:
    assert ticks(9.0) == [0, 2, 4, 6, 8]
    assert ticks(400.0) == [0, 60, 120, 180, 240, 300, 360]
    assert len(ticks(86400.0)) < 14


def test_a_database_that_never_becomes_available_is_dropped(folder: Path) -> None:
    world = serving()
    world.restore_ends_as = "incompatible-restore"

    ended = Operator(world).drill(folder)

    assert ended.code == 5 and "incompatible-restore" in ended.why
    assert "began from the backup of" in ended.why
    assert ended.failure.next.startswith("rmu dr drill --to")
    nothing_is_left(world)


def test_now_is_the_accounts_and_not_a_laptops(folder: Path) -> None:
    world = serving()
    view = world.databases[DATABASE.identifier]
    world.databases[DATABASE.identifier] = view.model_copy(update={"asked": world.clock.now() + timedelta(minutes=2)})

    ended = Operator(world).drill(folder, to=f"{world.clock.now() + timedelta(seconds=30):%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 0, ended


def test_what_a_lost_database_left_is_not_to_come_for_a_laptop_that_runs_behind(folder: Path) -> None:
    world = serving()
    world.clock.sleep(60)
    database_lost(world)
    resource, left = next(iter(world.retained.items()))
    ahead = world.clock.now() + timedelta(minutes=2)
    world.retained[resource] = replace(left, window=left.window.model_copy(update={"latest": ahead}))

    ended = Operator(world).drill(folder, to=f"{ahead:%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 0, ended


@pytest.mark.parametrize("status", ["storage-full", "backing-up"])
def test_a_drill_whose_copy_is_broken_sends_nobody_to_restore_what_serves(folder: Path, status: str) -> None:
    world = serving()
    world.restore_ends_as = status

    ended = Operator(world).drill(folder)

    assert (ended.code, ended.failure.next) == (5, "rmu status")
    nothing_is_left(world)


def test_a_drill_whose_moment_is_never_shipped_sends_nobody_to_restore_what_serves(folder: Path) -> None:
    world = serving()
    world.clock.sleep(60)
    full = world.databases[DATABASE.identifier].model_copy(update={"status": "storage-full"})
    world.on_call("databases.window", lambda: world.databases.update({DATABASE.identifier: full}))

    ended = Operator(world).drill(folder, to=f"{world.clock.now():%Y-%m-%d %H:%M:%S} UTC")

    assert ended.code == 3 and "cannot be restored yet" in ended.why
    assert ended.failure.next == "rmu dr drill --latest"


def test_a_quota_that_is_used_up_refuses_the_drill_before_anything_stands(folder: Path) -> None:
    world = serving()
    world.database_quota = 1

    ended = Operator(world).drill(folder)

    assert ended.code == 5 and "may have no further database" in ended.why
    nothing_is_left(world)


def test_a_host_that_never_boots_ends_the_drill_and_is_ended(folder: Path) -> None:
    world = serving()
    world.drill_host_boots_in = float("inf")

    ended = Operator(world).drill(folder)

    assert ended.code == 5 and "did not answer in time" in ended.why
    nothing_is_left(world)


def test_a_destroy_names_what_ends_a_copy_that_stands_in_the_corner(folder: Path) -> None:
    world = serving()
    world.databases[DATABASE.identifier] = world.databases[DATABASE.identifier].model_copy(update={"protected": False})
    Operator(world).drill(folder, verb="dr restore")

    ended = Operator(world)._type(lambda w: places.destroy_it(w, drills.Asked(because="x", dry_run=False, yes=True)))

    assert ended.code == 3
    assert ended.failure.next == f"rmu dr end {RUN}"
