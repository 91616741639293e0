"""What is asked of a host about databases, and how its answers are read. The host is played by a function."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratemyunit_ops.errors import Bug, Failed, NoAnswer
from ratemyunit_ops.model import Database, Fence
from ratemyunit_ops.outside.aws.data import SsmData
from ratemyunit_ops.outside.aws.hosts import Hosts
from ratemyunit_ops.outside.aws.session import Account
from tests.contract.stand_in import Agent, StandIn, host_program
from tests.fakes.clock import FakeClock

Request = dict[str, Any]
OLD = Database(identifier="rmu-test-db-1", address="old.example")
NEW = Database(identifier="rmu-test-db-r1", address="new.example")
FENCE = Fence(generation=5, sequence=12)
SINCE = datetime(2026, 11, 27, 3, 15, tzinfo=UTC)
RUN = "r-261127-031500-ab12"


class Host:
    """One host: what it was asked last, and what it says."""

    def __init__(self) -> None:
        self.asked: Request = {}
        self.says: Request = {}

    def answer(self, request: Request) -> Request:
        self.asked = request
        return {"outcome": "ok", **self.says}


class Places:
    """Only the bucket."""

    def all(self) -> dict[str, str]:
        return {"bucket": "rmu-test-ledger-123456789012"}


class One(Hosts):
    """A group of one host."""

    def in_service(self) -> list[str]:
        return ["i-1"]


@pytest.fixture
def host(aws: StandIn) -> Host:
    made = Host()
    aws.ssm.agents["i-1"] = Agent(host_program(made.answer))
    return made


@pytest.fixture
def data(account: Account, clock: FakeClock, host: Host) -> SsmData:
    hosts = One(account, clock, "rmu-test-hosts", "rmu-test-host", lambda verb: "cHJvZ3JhbQ==")
    return SsmData(hosts, Places(), account).at(FENCE)


def test_a_look_reads_tables_and_leaves_out_what_it_does_not_know(data: SsmData, host: Host) -> None:
    host.says = {
        "schema_head": "0002",
        "tables": {"units": {"rows": 7, "written": 2}},
        "size": 8_000_000,
        "newest": "2026-11-27T03:20:00+00:00",
        "something_new": "is left out",
    }

    seen = data.look(OLD, since=SINCE)

    assert (seen.schema_head, seen.tables["units"].written, seen.size) == ("0002", 2, 8_000_000)
    assert seen.newest == datetime(2026, 11, 27, 3, 20, tzinfo=UTC)
    assert host.asked["verb"] == "data_look"
    assert (host.asked["database"]["address"], host.asked["since"]) == ("old.example", SINCE.timestamp())
    assert "fence" not in host.asked


@pytest.mark.parametrize(
    ("ask", "verb", "says"),
    [
        (lambda d: d.warmed(NEW, run=RUN), "data_warm", "warmed"),
        (lambda d: d.fenced(OLD), "data_fence", "fenced"),
        (lambda d: d.sequences_moved(OLD, NEW), "data_sequences", "past"),
    ],
)
@pytest.mark.parametrize("true", [True, False])
def test_a_question_whether_it_is_so_needs_no_fence(
    data: SsmData, host: Host, ask: Any, verb: str, says: str, true: bool
) -> None:
    host.says = {says: true}

    assert ask(data) is true

    assert (host.asked["verb"], host.asked["look"]) == (verb, True)
    assert "fence" not in host.asked


@pytest.mark.parametrize(
    ("why", "kind"),
    [("unreachable", NoAnswer), ("sql_failed", Failed)],
)
def test_a_database_that_does_not_answer_is_told_from_one_that_says_no(
    data: SsmData, host: Host, why: str, kind: type[Failed]
) -> None:
    host.says = {"outcome": "failed", "why": why, "detail": "what psql said"}

    with pytest.raises(Failed) as said:
        data.fenced(OLD)

    assert type(said.value) is kind


@pytest.mark.parametrize(
    ("act", "verb", "wants"),
    [
        (lambda d: d.warm(NEW, run=RUN), "data_warm", {"mark": RUN}),
        (lambda d: d.fence(OLD), "data_fence", {"on": True}),
        (lambda d: d.unfence(OLD), "data_fence", {"on": False}),
        (lambda d: d.move_sequences(OLD, NEW), "data_sequences", {}),
        (lambda d: d.apply(NEW, run=RUN), "data_apply", {"mark": RUN, "bucket": "rmu-test-ledger-123456789012"}),
    ],
)
def test_a_change_carries_the_fence_and_says_what_the_host_did(
    data: SsmData, host: Host, act: Any, verb: str, wants: Request
) -> None:
    host.says = {"outcome": "changed"}

    facts = act(data)

    assert (host.asked["verb"], host.asked["look"]) == (verb, False)
    assert host.asked["fence"] == {"generation": 5, "sequence": 12}
    assert {key: host.asked[key] for key in wants} == wants
    assert facts["hosts"]["i-1"]["outcome"] == "changed"


def test_a_change_without_a_fence_is_a_bug(data: SsmData, host: Host) -> None:
    unbound = SsmData(data.hosts, data.places, data.account)

    with pytest.raises(Bug, match="without a fence"):
        unbound.fence(OLD)

    assert host.asked == {}


def test_a_fence_that_leaks_says_that_fencing_again_is_safe(data: SsmData, host: Host) -> None:
    host.says = {"outcome": "failed", "why": "broken", "detail": "a write went through after the fence"}

    with pytest.raises(Failed, match="a write went through") as why:
        data.fence(OLD)

    assert "is safe" in why.value.state


def in_the_bucket(account: Account, run: str, files: dict[str, bytes]) -> None:
    account.act("s3", "CreateBucket", Bucket="rmu-test-ledger-123456789012")
    for name, body in files.items():
        account.act("s3", "PutObject", Bucket="rmu-test-ledger-123456789012", Key=f"salvage/{run}/{name}", Body=body)


def test_a_salvage_answers_counts_and_leaves_rows_and_their_keys_in_the_bucket(
    data: SsmData, host: Host, aws: StandIn
) -> None:
    host.says = {
        "tables": {"units": {"inserted": 3, "updated": 1, "deleted": 0}},
        "conflicts_by": [{"table": "units", "why": "changed_on_both_sides", "rows": 1}],
        "files": ["1-insert.sql"],
    }

    found = data.salvage(OLD, NEW, since=SINCE, base=RUN, run="r-salvage")

    assert (found.tables["units"].inserted, found.conflicts_by[0].rows, found.files) == (3, 1, ("1-insert.sql",))
    assert not {"ListObjectsV2", "GetObject"} & set(aws.counts)
    assert (host.asked["mark"], host.asked["folder"]) == (RUN, "r-salvage")
    assert host.asked["bucket"] == "rmu-test-ledger-123456789012"


def test_the_files_of_a_salvage_are_those_that_its_manifest_names_and_what_was_left(
    data: SsmData, account: Account
) -> None:
    manifest = {"run": RUN, "files": [{"name": "1-insert.sql"}]}
    named = {"1-insert.sql": b"insert", "conflicts.json": b"[]"}
    there = {**named, "2-of-an-earlier-try.sql": b"update", "manifest.json": json.dumps(manifest).encode()}
    in_the_bucket(account, RUN, there)
    before = data.files(RUN)
    account.act("s3", "PutObject", Bucket="rmu-test-ledger-123456789012", Key=f"salvage/{RUN}/left.json", Body=b"[7]")

    assert before == named
    assert data.files(RUN) == {**named, "left.json": b"[7]"}
    assert data.files("r-never") == {}


def test_what_was_put_and_what_was_left_is_told_at_the_top(data: SsmData, host: Host) -> None:
    host.says = {"outcome": "changed", "applied": 5, "left": 2, "left_by": []}

    said = data.apply(NEW, run=RUN)

    assert (said["applied"], said["left"]) == (5, 2)


def test_a_checksum_is_read_by_table(data: SsmData, host: Host) -> None:
    host.says = {"tables": {"units": {"rows": 7, "checksum": "ab"}}}

    assert data.checksum(NEW) == {"units": {"rows": 7, "checksum": "ab"}}


def test_a_statement_goes_with_its_variables_beside_it_and_needs_no_fence_to_look(data: SsmData, host: Host) -> None:
    host.says = {"rows": [{"n": "7", "gone": None}], "total": 201}

    seen = data.rows(OLD, "select :'pid'", variables={"pid": "42"}, limit=timedelta(seconds=20))

    assert (seen.rows, seen.total) == (({"n": "7", "gone": None},), 201)
    assert (host.asked["verb"], host.asked["sql"]) == ("data_rows", "select :'pid'")
    assert (host.asked["variables"], host.asked["limit_s"]) == ({"pid": "42"}, 20.0)
    assert "fence" not in host.asked


def test_a_statement_that_changes_something_carries_the_fence_and_tells_its_rows(data: SsmData, host: Host) -> None:
    host.says = {"outcome": "changed", "rows": [{"ended": "1"}], "total": 1}

    facts = data.act(OLD, "select 1", variables={}, limit=timedelta(seconds=5))

    assert (host.asked["verb"], host.asked["fence"]) == ("data_act", {"generation": 5, "sequence": 12})
    assert facts["rows"] == [{"ended": "1"}]
    assert "rows" not in facts["hosts"]["i-1"]
