"""The ledger as the contract says it: consistent reads, all-or-nothing writes, conditions that hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ratemyunit_ops.errors import AlreadyThere, LeaseLost, LedgerDown
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.ports import Entry
from tests.fakes.line import Fault, Faults, Killed, Line

Item = dict[str, str | int]


@dataclass
class Table:
    """The table itself, shared by every process."""

    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    down: bool = False
    writes: list[tuple[str, ...]] = field(default_factory=list)
    """The sort keys of each transaction, in order."""
    cut_after: dict[str, BaseException] = field(default_factory=dict)
    """Event key -> what is raised in the middle of the first change of the world after that event."""
    heard: dict[str, Callable[[], object]] = field(default_factory=dict)
    """Event key -> what happens in the world once that event is written."""


class FakeLedger:
    """One process's way to the table."""

    def __init__(self, table: Table, line: Line, faults: Faults) -> None:
        self._table = table
        self._line = line
        self._faults = faults

    def get(self, pk: str, sk: str) -> Item | None:
        return self._line.call("ledger.get", lambda: self._read(pk, sk))

    def query(self, pk: str) -> list[Item]:
        return self._line.call("ledger.query", lambda: self._list(pk))

    def write(self, entries: Sequence[Entry], *, token: str | None) -> None:
        events = tuple(e.sk for e in entries if e.sk.startswith("event#"))
        self._cut_where_nothing_was_called(events)
        self._line.call("ledger.write", lambda: self._write(entries, token), also=events)
        for event in events:
            if event in self._table.heard:
                self._table.heard.pop(event)()
            if event in self._table.cut_after:
                self._faults.waiting.append(Fault("*", "between", self._table.cut_after.pop(event)))

    def put_lease(self, new: LeaseView, *, seen: LeaseView | None) -> None:
        self._line.call("ledger.put_lease", lambda: self._put_lease(new, seen))

    def _cut_where_nothing_was_called(self, events: tuple[str, ...]) -> None:
        """A step that called no port is cut off where it would have: just before its next event."""
        if not events:
            return
        for fault in [f for f in self._faults.waiting if f.call == "*" and f.nth == 1]:
            self._faults.waiting.remove(fault)
            self._faults.waiting.append(Fault(events[0], "before", fault.raises))

    def _read(self, pk: str, sk: str) -> Item | None:
        self._up()
        item = self._table.items.get((pk, sk))
        return dict(item) if item is not None else None

    def _list(self, pk: str) -> list[Item]:
        self._up()
        found = sorted((sk, item) for (p, sk), item in self._table.items.items() if p == pk)
        return [{**item, "sk": sk} for sk, item in found]

    def _write(self, entries: Sequence[Entry], token: str | None) -> None:
        self._up()
        lease = self._table.items.get(("lease", "lease"), {})
        if token is not None and lease.get("token") != token:
            raise LeaseLost("the lease holds another token", next="rmu status")
        for entry in entries:
            self._may_put(entry)
        for entry in entries:
            self._table.items[(entry.pk, entry.sk)] = dict(entry.attributes)
        self._table.writes.append(tuple(e.sk for e in entries))

    def _may_put(self, entry: Entry) -> None:
        there = self._table.items.get((entry.pk, entry.sk))
        if not entry.if_absent or there is None:
            return
        if "nonce" in entry.attributes and there.get("nonce") == entry.attributes["nonce"]:
            return  # our own earlier try, sent twice by the SDK
        raise AlreadyThere(f"{entry.pk} {entry.sk} is there already", next="rmu status")

    def _put_lease(self, new: LeaseView, seen: LeaseView | None) -> None:
        self._up()
        there = self._table.items.get(("lease", "lease"))
        now = LeaseView.model_validate(there) if there is not None else None
        if now != seen and now != new:
            raise LeaseLost("the lease is not what was seen", next="rmu status")
        self._table.items[("lease", "lease")] = new.model_dump()

    def _up(self) -> None:
        if self._table.down:
            raise LedgerDown("the ledger does not answer", next="rmu doctor")


__all__ = ["FakeLedger", "Killed", "Table"]
