"""Two hundred cut-overs and salvages on plain PostgreSQL: `make bench-salvage`, or with a number of rounds.

Each round: clients write; the database is restored to a random moment of theirs by its base backup and its WAL; the
restored one is warmed, the old one fenced, sequences are moved, and the clients go on writing on the restored side
while the salvage is computed and applied. A reader then holds the restored side against the clients' own ledger.
Every fourth round the clients also write to rows from before the cut-over, so that both sides change one row: such a
row must be named. The control is the same round read before its salvage.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rmu_host import data_psql
from rmu_host.units import DATABASE

from tests.bench.figures import ended_in_order, keep, load, say, spread
from tests.salvage.cluster import FAST, GRANTS, Asker, Cluster, PlainCloud, PlainMachine, folder
from tests.salvage.writer import SCHEMA, Key, Ledger, Row, Writer, read, verify

ROUNDS = 200
CLIENTS = 3
MIXED_EVERY = 4
ROWS = """
insert into universities select gen_random_uuid(), 'U' || i from generate_series(1, 20) i;
insert into units select gen_random_uuid(), u.id, 'C' || i, 'Unit' from universities u, generate_series(1, 5) i;
insert into ratings select gen_random_uuid(), u.id, 1 + i % 5, 'fine' from units u, generate_series(1, 5) i;
insert into events (rating_id, what) select id, 'made' from ratings;
"""


@dataclass
class Round:
    """What one round showed."""

    acknowledged: int = 0
    control: int = 0
    wrong: int = 0
    named: int = 0
    wrote_through: int = 0
    put: int = 0
    salvage_s: float = 0.0
    warm_s: float = 0.0
    fence_s: float = 0.0


@dataclass
class Ground:
    """The folder of all rounds, with the cold base backup that each starts from."""

    place: Path = field(default_factory=folder)

    def __post_init__(self) -> None:
        made = self.cluster("base")
        made.make()
        made.sql(f"create database {DATABASE}", "postgres")
        made.sql(GRANTS.format(name=DATABASE) + f"set role rmu_migrate;\n{SCHEMA}{ROWS}")
        made.stop("fast")

    def cluster(self, name: str, options: str = "") -> Cluster:
        """Name a cluster's folder; the server's user owns it."""
        at = self.place / name
        at.mkdir()
        shutil.chown(at, "postgres", "postgres")
        return Cluster(at, f"{FAST} {options}")

    @contextmanager
    def source(self) -> Iterator[Cluster]:
        """Start a database on the base backup; all that it writes goes to an archive."""
        wal = self.place / "wal"
        wal.mkdir()
        shutil.chown(wal, "postgres", "postgres")
        made = self.cluster("old", f"-c archive_mode=on -c archive_command='cp %p {wal}/%f'")
        with self._running(made):
            yield made
        shutil.rmtree(wal)

    @contextmanager
    def restored(self, to: datetime) -> Iterator[Cluster]:
        """Restore the base backup to a moment, from the archive."""
        made = self.cluster("new", f"-c restore_command='cp {self.place}/wal/%f %p' -c recovery_target_action=promote")
        made.options += f" -c recovery_target_time='{to.isoformat(sep=' ')}'"
        with self._running(made, "recovery.signal"):
            while made.sql("select pg_is_in_recovery()", "postgres") == "t":
                time.sleep(0.05)
            yield made

    @contextmanager
    def _running(self, made: Cluster, signal: str = "") -> Iterator[Cluster]:
        made.run("cp", "-a", self.place / "base" / "data", made.directory / "data")
        if signal:
            made.run("touch", made.directory / "data" / signal)
        made.start()
        try:
            yield made
        finally:
            made.stop()
            shutil.rmtree(made.directory)


def url(cluster: Cluster, role: str = "app") -> str:
    """Spell where a role finds a cluster's database."""
    return url_of(cluster.port, role)


def url_of(port: int, role: str) -> str:
    """Spell it for a port."""
    return f"host=127.0.0.1 port={port} dbname={DATABASE} user=rmu_{role} password={role} sslmode=disable"


def database(cluster: Cluster, name: str) -> dict[str, Any]:
    """Spell the same as rmu does."""
    return {"identifier": name, "address": "127.0.0.1", "port": cluster.port}


class Clients:
    """The writers of one round, and where they write now."""

    def __init__(self, at: Cluster, seed: int, *, mix: bool) -> None:
        self.url, self.ledger = url(at), Ledger()
        self.base: dict[Key, Row] = {}
        self.last: dict[Key, Row | None] = {}
        self.ledger.learn(self.url)
        self.all = [Writer(lambda: self.url, self.ledger, seed * 100 + i, events=True, mix=mix) for i in range(CLIENTS)]
        for n, (table, key) in enumerate(sorted(self.ledger.rows)):
            self.all[n % CLIENTS].own(table, [key])
        for writer in self.all:
            writer.pause_s = 0.02
            writer.start()

    def pause(self) -> None:
        """Let all of them stand still."""
        for writer in self.all:
            writer.pause()
        for writer in self.all:
            while not writer.idle.wait(0.05):
                assert writer.is_alive(), "a client died"

    def go_on(self) -> None:
        """Let all of them write."""
        for writer in self.all:
            writer.go_on()

    def overwritten(self) -> set[Key]:
        """Return the rows that changed on the old side since the restore point, and were then written on the new."""
        since = self.ledger.touched.get(1, {})
        return {key for key in since if key in self.last and self.last[key] != self.base.get(key)}

    def stop(self) -> None:
        """End all of them."""
        for writer in self.all:
            writer.stop()
        for writer in self.all:
            writer.join(30)


def play(ground: Ground, n: int, work: Path) -> Round:
    """Play one round."""
    chance, seen, mixed = random.Random(n), Round(), n % MIXED_EVERY == 3
    ask = Asker(PlainMachine(work), PlainCloud())
    with ground.source() as old:
        clients = Clients(old, n, mix=mixed)
        began = datetime.now(UTC)
        time.sleep(0.3 + chance.random() * 1.5)
        moment = began + (datetime.now(UTC) - began) * (0.1 + 0.8 * chance.random())
        archive(old)
        try:
            with ground.restored(moment) as new:
                both = {"old": database(old, "old"), "new": database(new, "new")}
                seen.warm_s = ask("data_warm", database=both["new"])["warm_s"]
                cut_over(ask, old, new, clients, seen)
                time.sleep(chance.random() * 0.5)
                judge(ask, both, moment, clients, seen, chance, mixed=mixed)
        finally:
            clients.stop()
    return seen


def archive(old: Cluster) -> None:
    """Commit once more, and wait until all up to there is in the archive."""
    old.sql("create table marker (); drop table marker", "postgres")
    name = old.sql("select pg_walfile_name(pg_switch_wal())", "postgres")
    until = time.monotonic() + 60
    while old.sql("select coalesce(last_archived_wal, '') from pg_stat_archiver", "postgres") < name:
        assert time.monotonic() < until, "nothing is archived"
        time.sleep(0.05)


def cut_over(ask: Asker, old: Cluster, new: Cluster, clients: Clients, seen: Round) -> None:
    """Fence the old side, move the sequences, send the clients to the new one; a session from before must be dead."""
    with psycopg.connect(url(old), autocommit=True) as stale:
        stale.execute("select 1")
        began = time.monotonic()
        ask("data_fence", database=database(old, "old"), on=True)
        seen.fence_s = time.monotonic() - began
        ask("data_sequences", old=database(old, "old"), new=database(new, "new"))
        try:
            stale.execute("insert into universities values (gen_random_uuid(), 'written through the fence')")
            seen.wrote_through += 1
        except psycopg.Error:
            pass
    clients.pause()
    clients.ledger.settle(url(old, "ops"))
    assert not verify(url(old, "ops"), clients.ledger).wrong, "the ledger is not what the old side has"
    with psycopg.connect(url(new, "ops")) as connection:
        clients.base = read(connection)
    clients.last = dict(clients.ledger.rows)
    clients.ledger.next_epoch()
    clients.url = url(new)
    clients.go_on()


def judge(
    ask: Asker,
    both: dict[str, Any],
    moment: datetime,
    clients: Clients,
    seen: Round,
    chance: random.Random,
    *,
    mixed: bool,
) -> None:
    """Read the control, salvage under writes, and read again."""
    address = url_of(both["new"]["port"], "ops")
    clients.pause()
    seen.control = len(verify(address, clients.ledger).wrong)
    clients.go_on()
    began = time.monotonic()
    ask("data_salvage", **both, since=moment.timestamp() - 60, bucket="b")
    time.sleep(chance.random() * 0.3)
    applied = ask("data_apply", new=both["new"], bucket="b")
    again = ask("data_apply", new=both["new"], bucket="b")
    seen.salvage_s = time.monotonic() - began
    assert mixed or again["outcome"] == "already", again
    time.sleep(chance.random() * 0.3)
    clients.pause()
    named, put = names(ask, address)
    # A row that both sides wrote shows its last writer; what the other one wrote must not be lost in silence.
    wrong = verify(address, clients.ledger).wrong | (clients.overwritten() - put)
    seen.acknowledged, seen.put = clients.ledger.acknowledged, len(put)
    seen.named, seen.wrong = len(wrong & named), len(wrong - named)
    if seen.wrong or (not mixed and named):
        say(f"wrong {sorted(wrong - named)[:5]}, named {sorted(named)[:5]}, {applied}")
        seen.wrong = max(seen.wrong, 1)


def names(ask: Asker, address: str) -> tuple[set[Key], set[Key]]:
    """Return the rows that the salvage named, in its conflicts or when it was applied, and those that it put."""
    told = json.loads(ask.cloud.objects["salvage/r-1/conflicts.json"])["conflicts"]
    named = {(c["table"], json.loads(c["key"])["id"]) for c in told}
    put = set[Key]()
    with psycopg.connect(address) as connection:
        for table, key, outcome in connection.execute("select tbl, key, outcome from rmu_salvage.applied"):
            (put if outcome == "done" else named).add((str(table).split(".")[1], json.loads(str(key))["id"]))
    return named, put


def main(rounds: int) -> None:
    """Play all rounds and keep the figures."""
    data_psql.TLS.update(PGSSLMODE="disable")
    before, ground, seen = load(), Ground(), list[Round]()
    work = Path(tempfile.mkdtemp(prefix="rmu-salvage-"))
    try:
        for n in range(rounds):
            seen.append(play(ground, n, work))
            say(f"{n + 1}/{rounds} {seen[-1]}")
    finally:
        shutil.rmtree(ground.place)
        shutil.rmtree(work)
    mixed = [r for n, r in enumerate(seen) if n % MIXED_EVERY == MIXED_EVERY - 1]
    figures = {
        "rounds": rounds,
        "clients": CLIENTS,
        "acknowledged": sum(r.acknowledged for r in seen),
        "put_back": sum(r.put for r in seen),
        "lost": sum(r.wrong for r in seen),
        "wrote_through_the_fence": sum(r.wrote_through for r in seen),
        "mixed": {"rounds": len(mixed), "named": sum(r.named for r in mixed)},
        "control": {
            "what": "the same rounds, read before their salvage",
            "lost": sum(r.control for r in seen),
            "rounds_that_lost": sum(r.control > 0 for r in seen),
        },
        "salvage_s": spread([r.salvage_s for r in seen]),
        "warm_s": spread([r.warm_s for r in seen]),
        "fence_s": spread([r.fence_s for r in seen]),
    }
    keep("salvage", figures, before)


if __name__ == "__main__":
    with ended_in_order():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
