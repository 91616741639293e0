"""`make bench-restore`: restores with cut-over and salvage on a whole twin, under clients that keep their own ledger.

Fifteen restores to random moments: what a reader misses of the acknowledged rows before the salvage (the control) and
after it, the requests that failed while they were held, and for how long (bench-out/restore.json). Then one restore of
1 GiB and one of 5 GiB: rmu's own time beside PostgreSQL's own restore of the same backup in the same run
(bench-out/restore-size.json). `rounds` or `sizes` as an argument measures that half alone.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import psycopg

from ratemyunit_ops.twin.status import status
from tests.bench.figures import ended_in_order, keep, load, say, spread
from tests.bench.product import furnish
from tests.salvage.writer import Ledger, Writer, verify
from tests.twin.driver import Answer, Stack, raised_stack

ROUNDS = 15
CLIENTS = 3
HELD_S = 40.0
HELD = ("hold_requests", "fence_database", "move_sequences", "point_to", "serve")
"""The steps between which requests wait; all of the first one is counted, though the hold begins within it."""
NOT_OURS = ("restorable", "database_available", "start_release", "ready")
"""The twin's RDS at work, and the container's start."""
FILLED = (1, 5)
FIRST = "rmu-twin-db-1"
GIB = 1 << 30
ROW = 1000
"""About the bytes that one of the filling rows takes."""


UNIT = """with u as (insert into universities (name) values ('Filled') returning id)
    insert into units (university_id, code, title) select id, 'RMU101', 'What fills a disk' from u returning id"""


class Live:
    """Where clients write now. Who asks after a cut-over begins a new epoch of keys."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self._stack, self._ledger = stack, ledger
        self._lock = threading.Lock()
        self.url = url_of(stack)

    def __call__(self) -> str:
        with self._lock:
            now = url_of(self._stack)
            if now != self.url:
                self._ledger.next_epoch()
                self.url = now
            return now


def url_of(stack: Stack) -> str:
    return str(status(stack.site)["databases"][0]["url"])


def main() -> None:
    """Raise a twin, measure, write the figures, and leave nothing."""
    before, halves = load(), sys.argv[1:] or ["rounds", "sizes"]
    where = Path(tempfile.mkdtemp(prefix="bench-restore-"))
    with ended_in_order(), raised_stack("bench-restore", 6640, where) as stack:
        [version] = furnish(stack, 1)
        stack.rmu("deploy", version, "--yes", "--no-probe")
        if "rounds" in halves:
            keep("restore", rounds(stack), before)
        if "sizes" in halves:
            keep("restore-size", sizes(stack), before, command="make bench-restore")


def rounds(stack: Stack) -> dict[str, Any]:
    """Restore often on little data."""
    seen = [one(stack, random.Random(n), f"{n + 1} of {ROUNDS}") for n in range(ROUNDS)]
    held = [r["held_s"] for r in seen]
    return {
        "rounds": ROUNDS,
        "acknowledged": sum(r["acknowledged"] for r in seen),
        "wrong": sum(r["wrong"] for r in seen),
        "salvaged": sum(r["salvaged"] for r in seen),
        "too_late": sum(r["too_late"] for r in seen),
        "requests": {"sent": sum(r["sent"] for r in seen), "failed": sum(r["failed"] for r in seen)},
        "held_s": {**spread(held), "p95": round(sorted(held)[len(held) * 95 // 100], 2)},
        "target_held_s": 30,
        "control": {
            "what": "the same restores, read before their salvage",
            "wrong": sum(r["control"] for r in seen),
            "rounds_that_lost": sum(r["control"] > 0 for r in seen),
        },
    }


def sizes(stack: Stack) -> dict[str, Any]:
    """Restore much, once at each size."""
    return {
        "sizes": [filled(stack, gib) for gib in FILLED],
        "target_own_s": 30,
        "control": {"what": "PostgreSQL's own restore of the same backup"},
    }


def one(stack: Stack, dice: random.Random, which: str) -> dict[str, Any]:
    """Write, restore to a random moment, salvage, and read."""
    say(f"restore {which}")
    ledger = Ledger()
    live = Live(stack, ledger)
    ledger.learn(live.url)
    writers = [Writer(live, ledger, dice.getrandbits(32)) for _ in range(CLIENTS)]
    for writer in writers:
        writer.pause_s = 0.1
        writer.start()
    old = opened_before(live.url)
    time.sleep(dice.uniform(4, 12))
    point = datetime.now(UTC) - timedelta(seconds=dice.uniform(1, 3))
    time.sleep(dice.uniform(0, 3))
    with stack.client(patience=HELD_S) as seen:
        answer = restored(stack, point)
        for writer in writers:
            writer.pause()
        for writer in writers:
            writer.idle.wait(60)
        control = len(verify(url_of(stack), ledger).wrong)
        for writer in writers:
            writer.go_on()
        salvaged = stack.rmu("db", "salvage", answer["run"], "--dir", str(stack.where / "sql"), "--apply", "--yes")
    for writer in writers:
        writer.stop()
        writer.join(30)
    ledger.settle(ops_url(stack, answer["superseded"]))
    wrong = verify(url_of(stack), ledger).wrong
    if wrong:
        say(f"WRONG: {sorted(wrong)[:5]}; conflicts: {salvaged['conflicts'][:5]}")
    forget(stack, answer["superseded"])
    return {
        "acknowledged": ledger.acknowledged,
        "control": control,
        "wrong": len(wrong),
        "salvaged": sum(sum(counts.values()) for counts in salvaged["tables"].values()),
        "too_late": too_late(old),
        "sent": seen.sent,
        "failed": seen.failed,
        "held_s": held_of(answer),
    }


def forget(stack: Stack, identifier: str) -> None:
    """Make room. What Terraform made stays: it is forgotten only after an adoption, which is no part of this.

    So does one with conflicts, which wants its name typed.
    """
    if identifier != FIRST:
        stack.rmu("db", "forget", identifier, "--yes", expect=None)


def opened_before(url: str) -> psycopg.Connection[Any]:
    """Open a session that is there before the fence."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("select 1")
    return connection


def too_late(old: psycopg.Connection[Any]) -> int:
    """Count a write that went through in a session from before the fence."""
    try:
        old.execute("insert into universities (name) values ('too late')")
    except psycopg.Error:
        return 0
    return 1


def restored(stack: Stack, point: datetime) -> Answer:
    return stack.rmu("db", "restore", "--to", point.isoformat(), "--yes", "--because", "bench")


def held_of(answer: Answer) -> float:
    return round(sum(answer["phases"].get(name, 0.0) for name in HELD), 2)


def ops_url(stack: Stack, identifier: str) -> str:
    """Spell the way into a database that is fenced: as the role that salvages."""
    secret = stack.aws("ssm").get_parameter(Name="/rmu/twin/db/ops_password", WithDecryption=True)["Parameter"]["Value"]
    url = next(d["url"] for d in status(stack.site)["databases"] if d["identifier"] == identifier)
    return re.sub(r"//[^@]*@", f"//rmu_ops:{secret}@", str(url))


def filled(stack: Stack, gib: int) -> dict[str, Any]:
    """Fill the database up to a size and restore it; rmu's own time is all that is not PostgreSQL, RDS or a start."""
    say(f"filling up to {gib} GiB")
    size = fill(url_of(stack), gib * GIB)
    identifier = status(stack.site)["databases"][0]["identifier"]
    live_for_a_while(ops_url(stack, identifier))
    stack.rmu("twin", "fault", "backup-now", identifier)
    time.sleep(5)
    say(f"restoring {size / GIB:.1f} GiB")
    answer = restored(stack, datetime.now(UTC))
    raw = raw_restore(stack, answer["instance"])
    stack.rmu("db", "salvage", answer["run"], "--dir", str(stack.where / "sql"), "--apply", "--yes")
    phases = answer["phases"]
    own = answer["seconds"] - sum(phases.get(name, 0.0) for name in NOT_OURS)
    forget(stack, answer["superseded"])
    return {
        "gib": round(size / GIB, 2),
        "seconds": answer["seconds"],
        "own_s": round(own, 1),
        "raw_s": raw,
        "of_raw": round(answer["seconds"] / raw, 2),
        "held_s": held_of(answer),
        "phases": {name: seconds for name, seconds in phases.items() if name not in NOT_OURS},
    }


def fill(url: str, size: int) -> int:
    """Add ratings until the database has this size; return its size in bytes."""
    with psycopg.connect(url, autocommit=True) as connection:
        unit = connection.execute("select id from units limit 1").fetchone() or connection.execute(UNIT).fetchone()
        assert unit
        while (now := size_of(connection)) < size:
            rows = min((size - now) // ROW + 1, 200_000)
            connection.execute(
                "insert into ratings (id, unit_id, stars, comment) select gen_random_uuid(), %s, 1 + i %% 5,"
                " repeat(md5(i::text || clock_timestamp()), 26) from generate_series(1, %s) i",
                (unit[0], rows),
            )
    return now


def live_for_a_while(url: str) -> None:
    """Vacuum, as the database does by itself after some minutes.

    Whoever reads rows for the first time writes into each of their pages that they are committed. Data that is worth a
    restore has been read.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum (analyze) ratings")
        vacuumed = "select last_vacuum is not null from pg_stat_user_tables where relname = 'ratings'"
        assert connection.execute(vacuumed).fetchone() == (True,), "who may not vacuum is only warned"


def size_of(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select pg_database_size(current_database())").fetchone()
    assert row
    return int(row[0])


def raw_restore(stack: Stack, identifier: str) -> float:
    """Read how long PostgreSQL itself took, in seconds: the copy of the base backup, and the replay up to its end."""
    log = (stack.site.state_dir / "logs" / "keepers.log").read_text()
    told = rf"databases: {re.escape(identifier)} is restored from \S+: copied in ([\d.]+) s, .*, replayed in ([\d.]+) s"
    [(copied, replayed)] = re.findall(told, log)
    return round(float(copied) + float(replayed), 2)


if __name__ == "__main__":
    main()
