"""Clients that write: each request that is answered changes a row, and they remember what was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tests.fakes.databases import Key, Store


@dataclass
class Clients:
    """What they were told: the ledger that the databases must agree with in the end."""

    acknowledged: dict[Key, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Requests that were answered with an error, since the database took no writes."""
    written: int = 0
    asleep: bool = False

    def write(self, at: datetime, store: Store | None, after: str) -> None:
        """Insert a unit and a rating of it; now and then change or delete one."""
        if self.asleep:
            return
        if store is None or not store.open:
            self.refused.append(after)
            return
        self.written += 1
        match self.written % 5:
            case 0 if (key := self._some(store, "ratings")) is not None:
                self._put(store, at, key, None)
            case 3 if (key := self._some(store, "units")) is not None:
                self._put(store, at, key, f"changed {self.written}")
            case n:
                table = "units" if n in (1, 3) else "ratings"
                number = store.sequences.get(table, 0) + 1
                store.commit(at, "sequence", table, number)
                self._put(store, at, (table, number), f"new {self.written}")

    def _some(self, store: Store, table: str) -> Key | None:
        """Pick a row they know, another one each time; one that is not there is no row to them."""
        known = sorted(key for key in self.acknowledged if key[0] == table and key in store.rows)
        return known[self.written * 7 % len(known)] if known else None

    def _put(self, store: Store, at: datetime, key: Key, value: str | None) -> None:
        store.commit(at, "row", key, value)
        if value is None:
            self.acknowledged.pop(key, None)
        else:
            self.acknowledged[key] = value
