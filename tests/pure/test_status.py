"""`rmu status` prints on every day: what it could not see is named, and only another account is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.model import Database, Pointer
from ratemyunit_ops.records import pointer_entry, read_schema_notes, schema_entry
from ratemyunit_ops.settings import Environment
from tests.fakes import FakeWorld, v41_serves
from tests.fakes.operator import KILLED, SETTINGS, Operator

SILENT = Unreachable("sts does not answer: timed out", next="rmu doctor")


@pytest.fixture
def world() -> FakeWorld:
    return v41_serves()


def named(account: str) -> Environment:
    return SETTINGS.env.model_copy(update={"account": account})


def test_an_account_that_nobody_names_is_unknown_and_the_rest_is_shown(world: FakeWorld) -> None:
    ended = Operator(world, silent=SILENT).status()

    document = ended.screen.document
    assert document is not None
    assert (ended.code, document["release"]) == (0, "v41")
    assert document["unknown"] == [{"what": "account", "why": "sts does not answer: timed out   (rmu doctor)"}]
    assert "  unknown    account: sts does not answer: timed out   (rmu doctor)" in ended.screen.said


def test_a_lost_region_leaves_a_status_that_knows_nothing_and_says_so(world: FakeWorld) -> None:
    reads = ("ledger.get", "ledger.query", "fleet.instances", "fleet.survey", "fleet.addresses", "traffic.look")
    for call in (*reads, "databases.view", "places.all"):
        for nth in range(1, 20):
            world.fail(call, Unreachable(f"{call} does not answer", next="rmu doctor"), nth=nth)

    ended = Operator(world, silent=SILENT).status()

    document = ended.screen.document
    assert document is not None
    assert (ended.code, document["release"], document["hosts"]) == (0, None, [])
    unknown = {u["what"] for u in document["unknown"]}
    assert {"account", "pointer", "releases", "lease", "instances", "hosts", "front_door", "database"} <= unknown


def test_a_ledger_that_falls_silent_in_the_middle_costs_the_run_s_age_alone(world: FakeWorld) -> None:
    world.kill_after_event(6)
    assert Operator(world).deploy("v42").code == KILLED
    world.clock.sleep(60)
    undisturbed = Operator(world).status().screen.document
    reads = world.faults.calls.count("ledger.get")
    again = Operator(world).status().screen.document
    assert undisturbed is not None and again is not None and undisturbed["lease"]["age_seconds"] >= 60
    world.fail("ledger.get", SILENT, nth=world.faults.calls.count("ledger.get") - reads)

    ended = Operator(world).status()

    assert ended.screen.document is not None
    assert ended.screen.document["lease"]["run"] == "r-001"
    assert ended.screen.document["lease"]["age_seconds"] is None


def test_the_right_account_is_not_spoken_of(world: FakeWorld) -> None:
    ended = Operator(world, settings=SETTINGS.model_copy(update={"env": named("123456789012")})).status()

    assert ended.screen.document is not None
    assert (ended.code, ended.screen.document["unknown"]) == (0, [])


def test_another_account_is_refused(world: FakeWorld) -> None:
    ended = Operator(world, settings=SETTINGS.model_copy(update={"env": named("999999999999")})).status()

    assert ended.code == Refused.exit_code
    assert "reach account 123456789012, but test is account 999999999999" in ended.why


def test_missing_credentials_are_the_operator_s_to_get(world: FakeWorld) -> None:
    ended = Operator(world, silent=Mistyped("there are no valid credentials", next="aws configure")).status()

    assert (ended.code, ended.failure.next) == (Mistyped.exit_code, "aws configure")


# -- schema and leftovers --------------------------------------------------------------------------------------------


def test_the_schema_is_the_database_s_and_the_release_s_is_told_beside_it(world: FakeWorld) -> None:
    world.shut_out_older_code_than("", run="r-x")  # notes a schema, as any migration does
    note = read_schema_notes(world.outside().ledger)[-1]
    world.put(schema_entry(note.model_copy(update={"head": "0005", "at": note.at + timedelta(seconds=1)})))

    ended = Operator(world).status()

    document = ended.screen.document
    assert document is not None
    assert (document["schema_head"], document["release_schema_head"]) == ("0005", "0001")
    assert "  schema     0005 (v41 was made for 0001)" in ended.screen.said


def test_the_note_of_another_database_is_not_believed(world: FakeWorld) -> None:
    world.shut_out_older_code_than("", run="r-x")
    note = read_schema_notes(world.outside().ledger)[-1]
    world.put(schema_entry(note.model_copy(update={"head": "0009", "database": "rmu-test-db-r9"})))

    ended = Operator(world).status()

    assert ended.screen.document is not None
    assert ended.screen.document["schema_head"] == note.head == "0001"
    assert "  schema     0001" in ended.screen.said


def test_f28_a_host_that_was_left_out_of_service_is_named(world: FakeWorld) -> None:
    world.outside().group.stand_by("i-1")
    world.suspended.add("Launch")

    said = Operator(world).status().screen.said

    assert "  left       i-1 stands by, out of service   (rmu doctor)" in said
    assert "  left       the group's minimum is lowered from 2   (rmu doctor)" in said
    assert "  left       Launch is suspended   (rmu doctor)" in said


def test_while_the_run_that_took_it_out_is_open_it_is_no_leftover(world: FakeWorld) -> None:
    world.kill_after_event(2)
    assert Operator(world).reboot("i-1").code == KILLED
    assert world.host("i-1").state == "Standby"

    ended = Operator(world).status()

    assert ended.screen.document is not None
    assert ended.screen.document["leftovers"] == []
    assert any(line.startswith("  run        r-001") for line in ended.screen.said)
    assert Operator(world).resume().code == 0
    assert Operator(world).status().screen.document["leftovers"] == []  # type: ignore[index]


# -- hosts on another database ---------------------------------------------------------------------------------------

NEW = "rmu-test-db-r9"


@pytest.fixture
def moved(world: FakeWorld) -> FakeWorld:
    """Make a world whose pointer names a restored database, which no host uses yet."""
    view = world.databases["rmu-test-db-1"]
    world.databases[NEW] = view.model_copy(update={"identifier": NEW, "address": f"{NEW}.example"})
    world.stores[NEW] = world.stores["rmu-test-db-1"]
    world.put(pointer_entry(Pointer(release="v41", database=Database(identifier=NEW, address=f"{NEW}.example"))))
    return world


def test_hosts_that_serve_from_another_database_are_named_with_what_brings_them_along(moved: FakeWorld) -> None:
    ended = Operator(moved).status()

    document = ended.screen.document
    assert document is not None
    assert document["astray"] == {"i-1": "rmu-test-db-1", "i-2": "rmu-test-db-1"}
    assert f"  astray     i-1 serves from rmu-test-db-1, not {NEW}: rmu host replace i-1" in ended.screen.said


def test_a_deploy_of_what_serves_does_not_call_it_well_where_hosts_serve_from_another_database(
    moved: FakeWorld,
) -> None:
    ended = Operator(moved).deploy("v41")

    assert (ended.code, ended.failure.next) == (3, "rmu host replace i-1")
    assert f"i-1, i-2 serve from another database than {NEW}" in ended.why


def test_what_is_named_brings_every_host_along(moved: FakeWorld) -> None:
    for _ in range(2):
        assert Operator(moved).replace(Operator(moved).deploy("v41").failure.next.split()[-1]).code == 0
        moved.clock.sleep(120)

    assert moved.databases_served() == {NEW}
    assert Operator(moved).deploy("v41").code == 0
    assert Operator(moved).status().screen.document["astray"] == {}  # type: ignore[index]


def test_another_release_brings_them_along_too(moved: FakeWorld) -> None:
    assert Operator(moved).deploy("v42").code == 0

    assert moved.databases_served() == {NEW}
