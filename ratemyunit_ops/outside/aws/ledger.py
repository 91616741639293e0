"""The ledger in DynamoDB. Every read is consistent; every write is all or none, under the lease's token.

A conditional write can fail on our own earlier try, which acted and whose answer was lost: what we find then is
compared with what we meant to write.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from ratemyunit_ops.errors import AlreadyThere, LeaseLost, LedgerDown, Mistyped, Refused, Unreachable
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.outside.aws.session import Account, LostAnswer, Said
from ratemyunit_ops.ports import Clock, Entry

Item = dict[str, str | int]

LARGEST = 400_000  # DynamoDB takes 400 KB with names and keys; a plan of that size is a mistake
TRIES = 5
ABSENT = "attribute_not_exists(pk)"


class DynamoLedger:
    """The table `rmu-ENV`."""

    def __init__(self, account: Account, table: str, clock: Clock) -> None:
        self._account = account
        self._table = table
        self._clock = clock

    def get(self, pk: str, sk: str) -> Item | None:
        """Read one item's attributes. Raises LedgerDown."""
        answer = self._call("GetItem", Key=_to({"pk": pk, "sk": sk}), ConsistentRead=True)
        return _attributes(answer["Item"]) if "Item" in answer else None

    def query(self, pk: str) -> list[Item]:
        """Read all items of one key, by sort key. Raises LedgerDown."""
        found: list[Item] = []
        start: dict[str, Any] = {}
        while True:
            page = self._call(
                "Query",
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues=_to({":pk": pk}),
                ConsistentRead=True,
                **start,
            )
            found += [{**_attributes(item), "sk": item["sk"]["S"]} for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def write(self, entries: Sequence[Entry], *, token: str | None) -> None:
        """Put all entries or none; with a token, only while the lease holds it.

        Raises:
            LeaseLost: the lease holds another token.
            AlreadyThere: a put-if-absent met an item that is not our own earlier try.
            Refused: an item is too large.
            LedgerDown: no answer; it may have been written.
        """
        for entry in entries:
            _fits(entry)
        check = [] if token is None else [self._lease_check(token)]
        actions = check + [self._put(entry) for entry in entries]
        for attempt in range(TRIES):
            # A token per attempt: one that was cancelled has not happened, and only retries of a lost answer,
            # which the SDK makes under the same token, must count as one.
            try:
                self._call("TransactWriteItems", TransactItems=actions, ClientRequestToken=secrets.token_hex(16))
                return
            except Said as why:
                reasons = _cancelled_because(why)
                if not self._may_try_again(reasons):
                    if not any(_failed(r) for r in reasons):
                        raise
                    self._judge(reasons, entries, token)
                    return
            self._clock.sleep(0.05 * 2**attempt)
        raise LedgerDown("the ledger's items were busy at every try", next="try again")

    def put_lease(self, new: LeaseView, *, seen: LeaseView | None) -> None:
        """Replace the lease item if it still is what was seen. Raises LeaseLost, LedgerDown."""
        expected = seen
        for attempt in range(TRIES):
            try:
                self._replace_lease(new, expected)
                return
            except Said as why:
                if why.code == "TransactionConflictException":  # our own event is being written beside the beat
                    self._clock.sleep(0.05 * 2**attempt)
                    continue
                there = _lease_of(why)
            if there == new:
                return
            if there is None or not _ours(there, new, seen):
                raise LeaseLost(_who_holds(there), next="rmu status")
            expected = there
        raise LedgerDown("the lease item was busy at every try", next="try again")

    def _replace_lease(self, new: LeaseView, expected: LeaseView | None) -> None:
        arguments: dict[str, Any] = {"ConditionExpression": ABSENT}
        if expected is not None:
            arguments = {
                "ConditionExpression": "#token = :token AND generation = :generation AND heartbeat = :heartbeat",
                "ExpressionAttributeNames": {"#token": "token"},
                "ExpressionAttributeValues": _to(
                    {
                        ":token": expected.token,
                        ":generation": expected.generation,
                        ":heartbeat": expected.heartbeat,
                    }
                ),
            }
        item = _to({"pk": "lease", "sk": "lease", **new.model_dump()})
        self._call("PutItem", Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)

    def _lease_check(self, token: str) -> dict[str, Any]:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _to({"pk": "lease", "sk": "lease"}),
                "ConditionExpression": "#token = :token",
                "ExpressionAttributeNames": {"#token": "token"},
                "ExpressionAttributeValues": _to({":token": token}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _put(self, entry: Entry) -> dict[str, Any]:
        put: dict[str, Any] = {"TableName": self._table, "Item": _to(_item(entry))}
        if entry.if_absent:
            put |= {"ConditionExpression": ABSENT, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        return {"Put": put}

    def _may_try_again(self, reasons: list[dict[str, Any]]) -> bool:
        codes = {str(r.get("Code") or "None") for r in reasons} - {"None"}
        passing = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "InProgress"}
        return bool(codes & passing) and "ConditionalCheckFailed" not in codes

    def _judge(self, reasons: list[dict[str, Any]], entries: Sequence[Entry], token: str | None) -> None:
        """Say why a transaction was cancelled; return where all it met is our own earlier try."""
        if token is not None:
            # The lease comes first: whoever lost it must not act, even on what was written before.
            if _failed(reasons[0]):
                raise LeaseLost(_who_holds(_lease(reasons[0].get("Item"))), next="rmu status")
            reasons = reasons[1:]
        for reason, entry in zip(reasons, entries, strict=True):
            if _failed(reason) and self._there(reason, entry) != _item(entry):
                raise AlreadyThere(f"{entry.pk} {entry.sk} is in the ledger already", next="rmu status")

    def _there(self, reason: dict[str, Any], entry: Entry) -> Item | None:
        if reason.get("Item"):
            return _from(reason["Item"])
        found = self.get(entry.pk, entry.sk)  # an emulator may leave the item out
        return None if found is None else {"pk": entry.pk, "sk": entry.sk, **found}

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if operation != "TransactWriteItems":
            arguments["TableName"] = self._table
        change = operation in {"PutItem", "TransactWriteItems"}
        try:
            call = self._account.act if change else self._account.ask
            return call("dynamodb", operation, **arguments)
        except Said as why:
            if why.code == "ResourceNotFoundException":
                raise LedgerDown(f"there is no table {self._table}", next="rmu infra bootstrap") from why
            raise
        except (Unreachable, LostAnswer, Mistyped) as why:
            # Mistyped: the session ended in the middle of a run. Nobody mistyped anything, and the run is half-way.
            raise LedgerDown(f"the ledger does not answer: {why.what}", next=why.next) from why


def _ours(there: LeaseView, new: LeaseView, seen: LeaseView | None) -> bool:
    """Tell whether the item that was met is our own earlier write.

    A take is known by its random token alone. Within one generation only its holder writes: a beat whose answer
    was lost shows a heartbeat we do not know of, and is ours all the same.
    """
    if seen is None or seen.generation != new.generation:
        return there.token == new.token != ""
    return there.generation == new.generation and there.token in {seen.token, new.token}


def _cancelled_because(why: Said) -> list[dict[str, Any]]:
    if why.code == "TransactionInProgressException":
        return [{"Code": "InProgress"}]
    if why.code != "TransactionCanceledException":
        raise why
    reasons: list[dict[str, Any]] = why.response["CancellationReasons"]
    return reasons


def _lease_of(why: Said) -> LeaseView | None:
    if why.code != "ConditionalCheckFailedException":
        raise why
    return _lease(why.response.get("Item"))


def _lease(item: dict[str, Any] | None) -> LeaseView | None:
    return LeaseView.model_validate(_attributes(item)) if item else None


def _failed(reason: dict[str, Any]) -> bool:
    return reason.get("Code") == "ConditionalCheckFailed"


def _who_holds(there: LeaseView | None) -> str:
    if there is None:
        return "the lease item is gone"
    return f"{there.owner} holds the lease now, with run {there.run}" if there.token else "the lease was freed"


def _item(entry: Entry) -> Item:
    return {"pk": entry.pk, "sk": entry.sk, **entry.attributes}


def _fits(entry: Entry) -> None:
    size = sum(len(name.encode()) + len(str(value).encode()) for name, value in _item(entry).items())
    if size > LARGEST:
        raise Refused(
            f"{entry.pk} {entry.sk} has {size // 1000} KB, more than the ledger takes in one item (400 KB)",
            next="rmu doctor",
        )


def _to(values: Item) -> dict[str, dict[str, str]]:
    return {name: {"N": str(v)} if isinstance(v, int) else {"S": v} for name, v in values.items()}


def _from(item: dict[str, Any]) -> Item:
    return {name: int(v["N"]) if "N" in v else str(v["S"]) for name, v in item.items()}


def _attributes(item: dict[str, Any]) -> Item:
    return {name: value for name, value in _from(item).items() if name not in {"pk", "sk"}}
