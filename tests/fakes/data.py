"""What is in databases, as ops reaches it by SQL from a host: fence, sequences, keys noted, salvage."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ratemyunit_ops.errors import Failed, NoAnswer, Unreachable
from ratemyunit_ops.model import (
    ConflictCount,
    Database,
    DataView,
    Facts,
    Fence,
    Rows,
    SalvageView,
    TableSalvage,
    TableView,
)
from tests.fakes.databases import ROLES, Key, Store
from tests.fakes.hosts import refused
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld

GAP = 1000
"""How far a sequence is moved past the old one's."""


class FakeData:
    """The data port of one process."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeData:
        return FakeData(self._world, self._line, fence)

    def look(self, database: Database, *, since: datetime | None) -> DataView:
        def look() -> DataView:
            store, dated = self._store(database), database.identifier not in self._world.undated
            return DataView(
                dated=dated,
                schema_head=store.head,
                admits=store.admits,
                tables={
                    t: self._table(store, t, since if dated else None)
                    for t in sorted({*store.tables(), *self._world.counted})
                },
                size=len(store.rows) * 100,
                newest=max((at for _, at in store.rows.values()), default=None),
            )

        return self._line.call("data.look", look)

    def warm(self, database: Database, *, run: str) -> Facts:
        def warm() -> Facts:
            store = self._store(database)
            if run not in store.noted:
                store.commit(self._world.clock.now(), "noted", run, frozenset(store.rows))
            return {"tables": len(store.tables()), "bytes": len(store.rows) * 100}

        return self._change("warm", warm)

    def warmed(self, database: Database, *, run: str) -> bool:
        def look() -> bool:
            return run in self._store(database).noted

        return self._line.call("data.warmed", look)

    def fence(self, database: Database) -> Facts:
        return self._change("fence", lambda: self._let_in(database, open_=False))

    def unfence(self, database: Database) -> Facts:
        return self._change("unfence", lambda: self._let_in(database, open_=True))

    def fenced(self, database: Database) -> bool:
        return self._line.call("data.fenced", lambda: not self._store(database).open)

    def move_sequences(self, old: Database, new: Database) -> Facts:
        def move() -> Facts:
            if self._world.sequences_stuck:
                raise refused("broken", "a sequence could not be moved")
            theirs, mine = self._store(old), self._store(new)
            moved = {name: value + GAP for name, value in theirs.sequences.items()}
            for name, value in moved.items():
                if mine.sequences.get(name, 0) <= theirs.sequences[name]:
                    mine.commit(self._world.clock.now(), "sequence", name, value)
            return {"moved": moved}

        return self._change("move_sequences", move)

    def sequences_moved(self, old: Database, new: Database) -> bool:
        def look() -> bool:
            mine = self._store(new).sequences
            return all(mine.get(name, 0) > value for name, value in self._store(old).sequences.items())

        return self._line.call("data.sequences_moved", look)

    def salvage(self, old: Database, new: Database, *, since: datetime, base: str, run: str) -> SalvageView:
        found: list[SalvageView] = []

        def compute() -> Facts:
            theirs, mine = self._store(old), self._store(new)
            noted = mine.noted.get(base, theirs.noted.get(base))
            if noted is None:
                raise refused("not_found", f"no keys were noted by {base}")
            difference = Difference(theirs, mine, noted, since)
            found.append(difference.view())
            self._world.bucket[run] = difference.files()
            return found[0].model_dump(mode="json")

        return SalvageView.model_validate(
            {k: v for k, v in self._change("salvage", compute).items() if k in SalvageView.model_fields}
        )

    def files(self, run: str) -> Mapping[str, bytes]:
        return self._line.call("data.files", lambda: dict(self._world.bucket.get(run, {})))

    def apply(self, new: Database, *, run: str) -> Facts:
        def apply() -> Facts:
            store, applied, left, now = self._store(new), 0, 0, self._world.clock.now()
            for _, text in sorted(self._world.bucket[run].items()):
                for table, number, value, seen in json.loads(text):
                    key = (table, number)
                    if key in self._world.cannot_be_put:
                        left += 1
                        continue
                    if key in store.given_back or store.value(key) != seen:
                        continue  # put before, or somebody changed it since the files were made
                    store.commit(now, "row", key, value)
                    store.commit(now, "given back", key, True)
                    applied += 1
            return {"applied": applied, "left": left}

        return self._change("apply", apply)

    def rows(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Rows:
        def look() -> Rows:
            self._store(database)
            found = self._world.sql(sql, variables)
            return Rows(rows=tuple(found[:200]), total=len(found))

        return self._line.call("data.rows", look)

    def act(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Facts:
        def act() -> Facts:
            self._store(database)
            return {"rows": self._world.sql(sql, variables)}

        return self._change("act", act)

    def checksum(self, database: Database, *, until: datetime | None = None) -> dict[str, dict[str, int | str]]:
        def look() -> dict[str, dict[str, int | str]]:
            store, dated = self._store(database), database.identifier not in self._world.undated
            return {t: _sum(store, t, until if dated else None) for t in sorted(store.tables())}

        return self._line.call("data.checksum", look)

    def _change(self, verb: str, act: Callable[[], Facts]) -> Facts:
        fence = self._fence
        assert fence is not None, f"{verb} without a fence"
        if not self._world.in_service():
            raise Unreachable("no host is in service", next="rmu host list")
        host = self._world.in_service()[0]

        def wave() -> Facts:
            said = host.once(fence, f"data_{verb}", act)
            self._world.send_requests()
            return said

        return self._line.call(f"data.{verb}", wave, changes=True)

    def _let_in(self, database: Database, *, open_: bool) -> Facts:
        store = self._store(database)
        was = store.open
        for role in ROLES:
            store.commit(self._world.clock.now(), "login", role, open_)
        return {"outcome": "already" if was == open_ else "changed"}

    def _store(self, database: Database) -> Store:
        if not self._world.in_service():
            raise Unreachable("no host is in service", next="rmu host list")
        view, store = self._world.databases.get(database.identifier), self._world.answering(database.identifier)
        up = view is not None and view.status in {"available", "deleting"} and database.address == view.address
        if store is None or not up:
            raise NoAnswer(f"{database.identifier} does not answer", state="Nothing was changed.", next="rmu status")
        if store.passwords != "today":
            raise Failed(
                f"{database.identifier} does not take the password of rmu_ops",
                state="Nothing was changed.",
                next="rmu infra apply",
            )
        return store

    def _table(self, store: Store, table: str, since: datetime | None) -> TableView:
        rows = list(store.of(table))
        counted = self._world.counted.get(table, len(rows))
        return TableView(rows=counted, written=sum(1 for _, _, at in rows if since is not None and at > since))


class Difference:
    """What an old database has that a restored one lacks, told by the keys noted when it was warmed."""

    def __init__(self, old: Store, new: Store, base: frozenset[Key], since: datetime) -> None:
        self._old = old
        self._new = new
        self._base = base
        self._since = since
        self._ops: dict[str, list[tuple[str, int, str | None, str | None]]] = {"insert": [], "update": [], "delete": []}
        self._conflicts: Counter[tuple[str, str]] = Counter()
        for what, key, value in self._candidates():
            self._judge(what, key, value)

    def view(self) -> SalvageView:
        tables = {table for ops in self._ops.values() for table, *_ in ops}
        return SalvageView(
            tables={
                t: TableSalvage(**{f"{w}d" if w != "insert" else "inserted": self._count(w, t) for w in self._ops})
                for t in sorted(tables)
            },
            conflicts_by=tuple(
                ConflictCount(table=table, why=why, rows=rows) for (table, why), rows in self._conflicts.items()
            ),
            files=tuple(sorted(self.files())),
        )

    def files(self) -> dict[str, bytes]:
        named = zip(("1-insert.sql", "2-update.sql", "3-delete.sql"), self._ops.values(), strict=True)
        return {name: json.dumps(ops).encode() for name, ops in named}

    def _candidates(self) -> Iterator[tuple[str, Key, str | None]]:
        for key, (value, at) in self._old.rows.items():
            if at > self._since:
                yield ("update" if key in self._base else "insert"), key, value
        yield from (("delete", key, None) for key in sorted(self._base) if key not in self._old.rows)

    def _judge(self, what: str, key: Key, value: str | None) -> None:
        here, seen = self._new.rows.get(key), self._new.value(key)
        if seen == value:
            return
        if what == "update" and here is None:
            self._conflicts[key[0], "deleted here, updated there"] += 1
        elif what == "insert" and here is not None:
            self._conflicts[key[0], "inserted on both sides"] += 1
        elif here is not None and here[1] >= self._cut():
            self._conflicts[key[0], "changed on both sides"] += 1
        else:
            self._ops[what].append((*key, value, seen))

    def _cut(self) -> datetime:
        """Tell when the old database was fenced: what the new one committed later, its own clients wrote."""
        return max((c.at for c in self._old.commits if c.what == "login"), default=self._since)

    def _count(self, what: str, table: str) -> int:
        return sum(1 for t, *_ in self._ops[what] if t == table)


def _sum(store: Store, table: str, until: datetime | None) -> dict[str, int | str]:
    rows, checksum = _hashed((key, value) for key, value, _ in store.of(table))
    if until is None:
        return {"rows": rows, "checksum": checksum}
    old_rows, old_checksum = _hashed((key, value) for key, value, at in store.of(table) if at <= until)
    return {"rows": rows, "checksum": checksum, "old_rows": old_rows, "old_checksum": old_checksum}


def _hashed(rows: Iterable[tuple[int, str]]) -> tuple[int, str]:
    listed = sorted(rows)
    return len(listed), hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
