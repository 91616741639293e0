"""The ledger's contract: on DynamoDB (emulated, and real with RMU_LIVE=1), in a folder (`--journal`), and on the fake
that other tests stand on."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.errors import AlreadyThere, LeaseLost, LedgerDown, Refused
from ratemyunit_ops.model import Incident, IncidentEvent, LeaseView
from ratemyunit_ops.outside.aws.ledger import DynamoLedger
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.clock import SystemClock
from ratemyunit_ops.outside.file_ledger import FileLedger
from ratemyunit_ops.ports import Entry, Ledger
from ratemyunit_ops.records import incident_entries, read_incident_events, read_open_incident
from tests.contract.stand_in import StandIn, error
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger, Table
from tests.fakes.line import Faults, Line

TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
    "BillingMode": "PAY_PER_REQUEST",
}


def made_in(account: Account) -> str:
    name = f"rmu-test-{uuid.uuid4().hex[:8]}"
    account.act("dynamodb", "CreateTable", TableName=name, **TABLE)
    return name


@pytest.fixture
def dynamo(account: Account) -> DynamoLedger:
    return DynamoLedger(account, made_in(account), FakeClock())


@pytest.fixture
def live() -> Iterator[DynamoLedger]:
    if os.environ.get("RMU_LIVE") != "1":
        pytest.skip("RMU_LIVE is not 1: that DynamoDB itself keeps the ledger's contract stays unproven here")
    account = Account(region=os.environ.get("AWS_REGION", "us-east-1"))
    name = made_in(account)
    account._client("dynamodb", once=False).get_waiter("table_exists").wait(TableName=name)
    yield DynamoLedger(account, name, SystemClock())
    account.act("dynamodb", "DeleteTable", TableName=name)


@pytest.fixture
def folder(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "journal")


@pytest.fixture(params=["fake", "folder", "dynamo", pytest.param("live", marks=pytest.mark.live)])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "fake":
        faults = Faults()
        return FakeLedger(Table(), Line(faults, on_death=lambda line: None), faults)
    found: Ledger = request.getfixturevalue(request.param)
    return found


def lease(token: str, *, generation: int = 1, heartbeat: int = 0, step: str = "") -> LeaseView:
    return LeaseView(
        run=f"r-{generation}", owner="ann", token=token, generation=generation, heartbeat=heartbeat, step=step
    )


def event(number: int, *, nonce: str = "n1", kind: str = "started") -> Entry:
    attributes: dict[str, str | int] = {"kind": kind, "nonce": nonce, "at": 7}
    return Entry(pk="run#r-1", sk=f"event#{number:05d}", attributes=attributes, if_absent=True)


def read_lease(ledger: Ledger) -> LeaseView:
    item = ledger.get("lease", "lease")
    assert item is not None
    return LeaseView.model_validate(item)


def test_an_item_is_read_back_as_it_was_written(ledger: Ledger) -> None:
    ledger.write([event(0)], token=None)

    assert ledger.get("run#r-1", "event#00000") == event(0).attributes
    assert ledger.get("run#r-1", "event#00001") is None


def test_items_are_listed_by_their_sort_key(ledger: Ledger) -> None:
    for number in (10, 2, 1):
        ledger.write([event(number)], token=None)

    assert [i["sk"] for i in ledger.query("run#r-1")] == ["event#00001", "event#00002", "event#00010"]
    assert ledger.query("run#nobody") == []


def test_a_listing_is_whole_however_large(dynamo: DynamoLedger) -> None:
    for number in range(5):
        large = event(number).model_copy(update={"attributes": {"body": "x" * 300_000}})
        dynamo.write([large], token=None)

    assert len(dynamo.query("run#r-1")) == 5


def test_an_item_that_had_to_be_absent_is_never_overwritten(ledger: Ledger) -> None:
    ledger.write([event(0, nonce="theirs")], token=None)

    with pytest.raises(AlreadyThere):
        ledger.write([event(0, nonce="ours")], token=None)

    assert ledger.query("run#r-1")[0]["nonce"] == "theirs"


def test_one_incident_is_open_and_no_event_of_it_is_written_twice(ledger: Ledger) -> None:
    at = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    first = Incident(id="i-1", number=1, environment="test", severity="SEV-1", title="down", opened=at, opened_by="ann")
    second = first.model_copy(update={"id": "i-2", "title": "also down"})
    opened = IncidentEvent(number=0, kind="opened", at=at, who="ann")
    ledger.write(incident_entries(first, opened), token=None)

    with pytest.raises(AlreadyThere):
        ledger.write(incident_entries(second, opened), token=None)
    acked = first.model_copy(update={"acked": at, "acked_by": "bob"})
    ledger.write(incident_entries(acked, IncidentEvent(number=1, kind="acked", at=at, who="bob")), token=None)
    with pytest.raises(AlreadyThere):
        ledger.write(incident_entries(first, IncidentEvent(number=1, kind="noted", at=at, who="eve")), token=None)

    assert read_open_incident(ledger) == acked
    assert [(e.kind, e.who) for e in read_incident_events(ledger, "i-1")] == [("opened", "ann"), ("acked", "bob")]


def test_a_write_without_the_leases_token_writes_nothing_at_all(ledger: Ledger) -> None:
    ledger.put_lease(lease("ours"), seen=None)
    ledger.put_lease(lease("theirs", generation=2), seen=lease("ours"))

    with pytest.raises(LeaseLost):
        ledger.write([event(0), Entry(pk="pointer", sk="pointer", attributes={"body": "x"})], token="ours")

    assert ledger.query("run#r-1") == []
    assert ledger.get("pointer", "pointer") is None


def test_a_write_is_all_or_nothing(ledger: Ledger) -> None:
    ledger.write([event(0, nonce="theirs")], token=None)

    with pytest.raises(AlreadyThere):
        ledger.write([Entry(pk="pointer", sk="pointer", attributes={"body": "x"}), event(0, nonce="ours")], token=None)

    assert ledger.get("pointer", "pointer") is None


def test_of_two_that_take_the_lease_at_once_one_wins(ledger: Ledger) -> None:
    ledger.put_lease(lease("first"), seen=None)

    with pytest.raises(LeaseLost):
        ledger.put_lease(lease("second"), seen=None)

    assert read_lease(ledger).token == "first"


def test_a_lease_that_moved_on_is_not_taken(ledger: Ledger) -> None:
    ledger.put_lease(lease("theirs"), seen=None)
    ledger.put_lease(lease("theirs", heartbeat=1), seen=lease("theirs"))

    with pytest.raises(LeaseLost):
        ledger.put_lease(lease("ours", generation=2), seen=lease("theirs"))

    assert read_lease(ledger).token == "theirs"


def test_a_lease_somebody_else_took_and_freed_in_between_is_not_ours(ledger: Ledger) -> None:
    free = lease("", generation=1)
    ledger.put_lease(free, seen=None)
    ledger.put_lease(lease("theirs", generation=2), seen=free)
    ledger.put_lease(lease("", generation=2), seen=lease("theirs", generation=2))

    with pytest.raises(LeaseLost):
        ledger.put_lease(lease("ours", generation=2), seen=free)


def test_a_beat_after_a_take_over_takes_nothing_back(ledger: Ledger) -> None:
    ledger.put_lease(lease("ours"), seen=None)
    ledger.put_lease(lease("theirs", generation=2), seen=lease("ours"))

    with pytest.raises(LeaseLost):
        ledger.put_lease(lease("ours", heartbeat=1), seen=lease("ours"))

    assert read_lease(ledger).token == "theirs"


def test_f38_a_beat_sent_twice_by_the_sdk_is_no_lost_lease(dynamo: DynamoLedger, aws: StandIn) -> None:
    dynamo.put_lease(lease("ours"), seen=None)
    aws.faults.lose["PutItem"] = 1
    aws.counts.clear()

    dynamo.put_lease(lease("ours", heartbeat=1), seen=lease("ours"))

    assert aws.counts["PutItem"] == 2
    assert read_lease(dynamo).heartbeat == 1


def test_f38_taking_the_lease_twice_by_the_sdk_is_taking_it_once(dynamo: DynamoLedger, aws: StandIn) -> None:
    aws.faults.lose["PutItem"] = 1

    dynamo.put_lease(lease("ours"), seen=None)

    assert read_lease(dynamo) == lease("ours")


def test_f38_an_event_sent_twice_by_the_sdk_is_written_once(dynamo: DynamoLedger, aws: StandIn) -> None:
    dynamo.put_lease(lease("ours"), seen=None)
    aws.faults.lose["TransactWriteItems"] = 1
    aws.counts.clear()

    dynamo.write([event(0), Entry(pk="pointer", sk="pointer", attributes={"body": "x"})], token="ours")

    assert aws.counts["TransactWriteItems"] == 2
    assert len(dynamo.query("run#r-1")) == 1


def test_f38_a_beat_whose_answers_were_all_lost_does_not_lose_the_lease(dynamo: DynamoLedger, aws: StandIn) -> None:
    dynamo.put_lease(lease("ours"), seen=None)
    aws.faults.lose["PutItem"] = 3
    with pytest.raises(LedgerDown):
        dynamo.put_lease(lease("ours", heartbeat=1, step="one"), seen=lease("ours"))

    dynamo.put_lease(lease("ours", heartbeat=1, step="two"), seen=lease("ours"))

    assert read_lease(dynamo).step == "two"


def test_f38_an_own_event_does_not_count_once_the_lease_is_lost(dynamo: DynamoLedger) -> None:
    dynamo.put_lease(lease("ours"), seen=None)
    dynamo.write([event(0)], token="ours")
    dynamo.put_lease(lease("theirs", generation=2), seen=lease("ours"))

    with pytest.raises(LeaseLost):
        dynamo.write([event(0)], token="ours")


def test_a_write_that_meets_our_own_beat_is_tried_again(dynamo: DynamoLedger, aws: StandIn) -> None:
    conflict: dict[str, Any] = {"CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]}
    dynamo.put_lease(lease("ours"), seen=None)
    aws.faults.instead["TransactWriteItems"] = [error("TransactionCanceledException", "conflict", **conflict)] * 2

    dynamo.write([event(0)], token="ours")

    assert len(dynamo.query("run#r-1")) == 1


def test_a_beat_that_meets_our_own_write_is_tried_again(dynamo: DynamoLedger, aws: StandIn) -> None:
    aws.faults.instead["PutItem"] = [error("TransactionConflictException", "conflict")] * 2

    dynamo.put_lease(lease("ours"), seen=None)

    assert read_lease(dynamo).token == "ours"


def test_a_ledger_that_is_always_busy_is_down(dynamo: DynamoLedger, aws: StandIn) -> None:
    aws.faults.instead["PutItem"] = [error("TransactionConflictException", "conflict")] * 9

    with pytest.raises(LedgerDown):
        dynamo.put_lease(lease("ours"), seen=None)


def test_an_item_that_is_too_large_is_refused_before_it_is_sent(dynamo: DynamoLedger, aws: StandIn) -> None:
    large = event(0).model_copy(update={"attributes": {"body": "x" * 400_001}})
    aws.counts.clear()

    with pytest.raises(Refused, match="400 KB"):
        dynamo.write([large], token=None)

    assert aws.counts["TransactWriteItems"] == 0


def test_a_missing_table_says_how_to_make_it(account: Account) -> None:
    with pytest.raises(LedgerDown, match="no table") as why:
        DynamoLedger(account, "rmu-nowhere", FakeClock()).get("lease", "lease")

    assert why.value.next == "rmu infra bootstrap"


def test_a_ledger_nobody_serves_is_down_and_names_what_starts_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    account = Account(region="us-east-1", endpoint=endpoint, access_key="x", secret="x", start_hint="rmu twin up")

    with pytest.raises(LedgerDown, match="does not answer") as why:
        DynamoLedger(account, "rmu-twin", FakeClock()).get("lease", "lease")

    assert why.value.next == "rmu twin up"


def test_a_session_that_ends_in_the_middle_is_a_ledger_that_is_gone_not_a_typing_error(
    dynamo: DynamoLedger, aws: StandIn
) -> None:
    aws.faults.instead["TransactWriteItems"] = [error("ExpiredTokenException", "the token has expired")]

    with pytest.raises(LedgerDown, match="ExpiredToken"):
        dynamo.write([event(1)], token=None)


def test_a_folder_that_is_not_there_is_an_empty_ledger_and_looking_makes_none(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "not" / "yet")

    assert ledger.get("pointer", "pointer") is None
    assert ledger.query("run") == []
    assert not (tmp_path / "not").exists()


def test_a_line_that_a_crash_cut_off_never_happened_and_spoils_nothing(tmp_path: Path, folder: FileLedger) -> None:
    folder.write([event(0)], token=None)
    with (tmp_path / "journal/journal.jsonl").open("ab") as journal:
        journal.write(b'[{"pk": "run#r-1", "sk": "event#00001", "attri')

    folder.write([event(2)], token=None)

    assert [i["sk"] for i in folder.query("run#r-1")] == ["event#00000", "event#00002"]


def test_two_processes_share_a_folder_and_one_of_them_has_the_lease(tmp_path: Path, folder: FileLedger) -> None:
    folder.put_lease(lease("ours"), seen=None)
    second = FileLedger(tmp_path / "journal")

    with pytest.raises(LeaseLost):
        second.put_lease(lease("theirs"), seen=None)
    with pytest.raises(LeaseLost):
        second.write([event(0)], token="theirs")

    assert folder.query("run#r-1") == []


def test_a_folder_that_cannot_be_written_is_a_ledger_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file, where the folder should be")

    with pytest.raises(LedgerDown, match="cannot be used"):
        FileLedger(tmp_path / "journal").write([event(0)], token=None)
