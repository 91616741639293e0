"""A writer that keeps its own ledger of acknowledged commits, and a reader that holds a database against it.

It works as the application does: as `rmu_app`, over foreign keys, inserting, updating and deleting in transactions of
one to three rows. What a commit answered is acknowledged; a commit that was never answered is in doubt, and its rows
are left alone until somebody reads, in the fenced database, how it ended. Each thread touches its own keys alone, so
the order of acknowledgements is the order of the writes.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

COLUMNS = {
    "universities": ("name",),
    "units": ("university_id", "code", "title"),
    "ratings": ("unit_id", "stars", "comment"),
    "events": ("rating_id", "what"),
}
"""What the ledger knows of each table besides its `id`. `events` has an id from a sequence; it may be missing."""
ABOVE = {"units": "universities", "ratings": "units", "events": "ratings"}
SCHEMA = """
create table universities (id uuid primary key, name varchar(200) not null unique);
create table units (id uuid primary key, university_id uuid not null references universities, code varchar(32) not null,
    title varchar(300) not null, unique (university_id, code));
create table ratings (id uuid primary key, unit_id uuid not null references units, stars smallint not null
    check (stars between 1 and 5), comment text not null);
create table events (id bigint generated always as identity primary key, rating_id uuid references ratings,
    what text not null);
"""

Row = tuple[str, ...]
Key = tuple[str, str]
Effect = tuple[str, str, Row | None]


@dataclass
class Ledger:
    """What was acknowledged: the last state of every row, None for a deleted one."""

    rows: dict[Key, Row | None] = field(default_factory=dict)
    doubts: list[list[Effect]] = field(default_factory=list)
    touched: dict[int, dict[Key, Row | None]] = field(default_factory=lambda: {0: {}})
    epoch: int = 0
    acknowledged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, effects: Iterable[Effect], epoch: int) -> None:
        """Write down what a commit did."""
        with self.lock:
            for table, key, row in effects:
                self.rows[table, key] = row
                self.touched.setdefault(epoch, {})[table, key] = row
                self.acknowledged += 1

    def doubt(self, effects: list[Effect]) -> None:
        """Write down a commit whose answer never came."""
        with self.lock:
            self.doubts.append(effects)

    def next_epoch(self) -> None:
        """Say that from now on another database is written to: with new keys, unless a writer is told to mix."""
        with self.lock:
            self.epoch += 1

    def learn(self, url: str) -> None:
        """Take over what a database holds before anyone writes."""
        with psycopg.connect(url) as connection:
            self.rows.update(read(connection))

    def settle(self, url: str) -> int:
        """Find out in a database that takes no more writes how each commit in doubt ended; return how many did."""
        with psycopg.connect(url) as connection:
            there = read(connection)
        done = 0
        for effects in self.doubts:
            if all(there.get((table, key)) == row for table, key, row in effects):
                done += 1
                self.acknowledge(effects, self.epoch)
        self.doubts.clear()
        return done


@dataclass(frozen=True)
class Verdict:
    """How a database differs from the ledger."""

    missing: tuple[Key, ...]
    extra: tuple[Key, ...]
    different: tuple[Key, ...]

    @property
    def wrong(self) -> frozenset[Key]:
        """Return every row that is not as acknowledged."""
        return frozenset((*self.missing, *self.extra, *self.different))


def verify(url: str, ledger: Ledger) -> Verdict:
    """Read a database, independently of the writer, and hold it against the ledger."""
    with psycopg.connect(url) as connection:
        there = read(connection)
    wanted = {key: row for key, row in ledger.rows.items() if row is not None}
    return Verdict(
        tuple(sorted(wanted.keys() - there.keys())),
        tuple(sorted(there.keys() - wanted.keys())),
        tuple(sorted(key for key in wanted.keys() & there.keys() if wanted[key] != there[key])),
    )


def read(connection: psycopg.Connection[tuple[object, ...]]) -> dict[Key, Row]:
    """Read every row that the ledger could know, in one snapshot."""
    connection.execute("set transaction isolation level repeatable read")
    found: dict[Key, Row] = {}
    for table, columns in COLUMNS.items():
        there = connection.execute("select to_regclass(%s) is not null", (f"public.{table}",)).fetchone()
        if there and there[0]:
            texts = ", ".join(f"{c}::text" for c in columns)
            for key, *row in connection.execute(f"select id::text, {texts} from {table}"):
                found[table, str(key)] = tuple(str(value) for value in row)
    return found


class Writer(threading.Thread):
    """One client. `url` says where to write now; it is asked again for every connection."""

    def __init__(self, url: Callable[[], str], ledger: Ledger, seed: int, *, events: bool = False, mix: bool = False):
        super().__init__(daemon=True)
        self._url, self._ledger, self._random = url, ledger, random.Random(seed)
        self._events, self._mix = events, mix
        self._keys: dict[str, list[tuple[int, str]]] = {table: [] for table in COLUMNS}  # epoch and key
        self._ending, self._standing = threading.Event(), threading.Event()
        self.idle = threading.Event()
        self.pause_s = 0.0

    def own(self, table: str, keys: Iterable[str]) -> None:
        """Give this writer rows that were there before it."""
        self._keys[table] += [(0, key) for key in keys]

    def stop(self) -> None:
        """End after the transaction that runs."""
        self._ending.set()

    def pause(self) -> None:
        """Stand still after the transaction that runs, until `go_on`."""
        self.idle.clear()
        self._standing.set()

    def go_on(self) -> None:
        """Write again."""
        self._standing.clear()

    def run(self) -> None:
        """Write until told to stop, on a new connection after each pause and each one that was lost."""
        while not self._ending.is_set():
            if self._standing.is_set():
                self.idle.set()
                time.sleep(0.005)
                continue
            try:
                with psycopg.connect(self._url(), connect_timeout=5) as connection:
                    self._use(connection)
            except psycopg.OperationalError:
                time.sleep(0.02)

    def _use(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._ending.is_set():
            if self._standing.is_set():
                return
            self._once(connection)
            time.sleep(self.pause_s * self._random.random())

    def _once(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        epoch, effects = self._ledger.epoch, list[Effect]()
        try:
            for _ in range(self._random.choice((1, 1, 2, 3))):
                effects += self._step(connection, epoch)
            connection.execute("select 1")
        except psycopg.OperationalError:
            raise  # nothing was asked to commit yet
        except psycopg.DatabaseError:
            connection.rollback()  # a child in the way, a name taken: the application would say so to its client
            return
        try:
            connection.commit()
        except psycopg.Error:
            self._ledger.doubt([(t, k, row) for (t, k), row in {(t, k): row for t, k, row in effects}.items()])
            self._forget(effects)
            raise psycopg.OperationalError("the commit was never answered") from None
        self._ledger.acknowledge(effects, epoch)
        self._remember(effects, epoch)

    def _step(self, connection: psycopg.Connection[tuple[object, ...]], epoch: int) -> list[Effect]:
        table = self._random.choice(("universities", "units", "ratings", "ratings", *(("events",) * self._events)))
        own = self._mine(table, epoch)
        deed = self._random.choice(("insert", "insert", "update", "update", "delete"))
        if deed == "insert" or not own:
            return self._insert(connection, table, epoch)
        key = self._random.choice(own)
        if deed == "delete":
            gone = connection.execute(f"delete from {table} where id = %s", (key,)).rowcount
            return [(table, key, None)] * gone
        return self._update(connection, table, key)

    def _mine(self, table: str, epoch: int) -> list[str]:
        """List the keys to touch: after a cut-over those made since, and older ones only where sides are mixed."""
        return [key for made, key in self._keys[table] if self._mix or made == epoch]

    def _insert(self, connection: psycopg.Connection[tuple[object, ...]], table: str, epoch: int) -> list[Effect]:
        row = self._row(table, epoch)
        if row is None:
            return self._insert(connection, ABOVE[table], epoch)
        columns, marks = ", ".join(COLUMNS[table]), ", ".join("%s" for _ in row)
        if table == "events":
            made = connection.execute(f"insert into events ({columns}) values ({marks}) returning id::text", row)
            found = made.fetchone()
            assert found
            return [(table, str(found[0]), row)]
        key = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        connection.execute(f"insert into {table} (id, {columns}) values (%s, {marks})", (key, *row))
        return [(table, key, row)]

    def _update(self, connection: psycopg.Connection[tuple[object, ...]], table: str, key: str) -> list[Effect]:
        column = COLUMNS[table][-1]
        value = self._text()
        texts = ", ".join(f"{c}::text" for c in COLUMNS[table])
        changed = connection.execute(f"update {table} set {column} = %s where id = %s returning {texts}", (value, key))
        row = changed.fetchone()
        return [(table, key, tuple(str(v) for v in row))] if row else []

    def _row(self, table: str, epoch: int) -> Row | None:
        if table == "universities":
            return (self._text(),)
        parents = self._mine(ABOVE[table], epoch)
        if not parents:
            return None
        parent = self._random.choice(parents)
        if table == "units":
            return (parent, f"C{self._random.getrandbits(40):x}", self._text())
        if table == "ratings":
            return (parent, str(self._random.randint(1, 5)), self._text())
        return (parent, self._text())

    def _text(self) -> str:
        odd = self._random.choice(("", "'", '"', "\\", "\n", "$$", " :x ", "é😀", "\t", "--", ";"))
        return f"{self._random.getrandbits(64):x}{odd}"

    def _remember(self, effects: Iterable[Effect], epoch: int) -> None:
        for table, key, row in effects:
            known = [entry for entry in self._keys[table] if entry[1] == key]
            if row is None and known:
                self._keys[table].remove(known[0])
            elif row is not None and not known:
                self._keys[table].append((epoch, key))

    def _forget(self, effects: Iterable[Effect]) -> None:
        for table, key, _ in effects:
            self._keys[table] = [entry for entry in self._keys[table] if entry[1] != key]
