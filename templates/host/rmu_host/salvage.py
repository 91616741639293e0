"""The salvage: what clients wrote after the restore point, as SQL files that a person reads and then applies.

Nothing is written into either database but temporary tables. The old one, fenced, answers what changed; the restored
one, serving, answers what that means now; rows travel between them through files that only root reads.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import data_fence
from . import salvage_sql as sql
from .answers import Answer, failed, refused
from .cloud import Cloud
from .data import bases, restores
from .data_bucket import Bucket
from .data_psql import LOCK_S, PINNED, Psql, passwords
from .data_schema import APPLIED, NOTES, Table, in_order, tables
from .machine import Machine
from .salvage_sql import Pair, Writing
from .state import SALVAGES, forget_salvages

ROWS = 5_000
BYTES = 4 << 20
"""A file is cut at either: it is one transaction, whose locks are held until its end."""
SHOWN = 50
DEFER = "set constraints all deferred;"

Told = tuple[Table, str, str]


def salvage(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Compare, write the files, put them into the bucket; answer counts and the files' names, no key of any row."""
    mark, run = str(request["mark"]), str(request.get("folder") or request["mark"])
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", run):
        raise refused("not_found", f"no run is called {run!r}")
    secret = passwords(host, cloud, "ops")["ops"]
    old, new = (Psql(m, request[side], "ops", secret) for side in ("old", "new"))
    if not data_fence.closed(data_fence.seen(old)):
        raise refused("not_fenced", "the old database still takes writes: a salvage would miss those that come now")
    forget_salvages(m)
    place = m.path(f"{SALVAGES}-{run}")  # made here, for root alone
    place.mkdir(parents=True, mode=0o700)
    try:
        work = Work(old, new, place, mark, run, float(request["since"]))
        work.compare()
        made = write(work, request["old"]["identifier"], request["new"]["identifier"])
        bucket = Bucket(cloud, request["bucket"], run)
        for file in made["files"]:
            bucket.put(place / "out" / file["name"])
        for name in ("conflicts.json", "manifest.json"):  # the manifest last: it names only what is there
            bucket.put(place / "out" / name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    names = [file["name"] for file in made["files"]][: 2 * SHOWN]
    return {
        "outcome": "changed",
        **{key: made[key] for key in ("tables", "conflicts_by")},
        "notes": made["notes"][:SHOWN],
        "files": [*names, "conflicts.json"],
    }


@dataclass
class Work:
    """One salvage on its way: both databases, the folder between them, and what was found out so far."""

    old: Psql
    new: Psql
    place: Path
    mark: str
    run: str
    since: float
    keyed: list[Pair] = field(default_factory=list)
    alike: list[Pair] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    groups: list[list[Pair]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writing = Writing(self.mark, self.run, f"$r{secrets.token_hex(6)}$")
        self.dated = self.old.run("show track_commit_timestamp").strip() == "on"

    @property
    def pairs(self) -> list[Pair]:
        """Return every table that is compared."""
        return [*self.keyed, *self.alike]

    def compare(self) -> None:
        """Take the rows from the old database, and let the restored one judge them."""
        noted, noter = self.base()
        theirs, self.ours = tables(self.old), tables(self.new)
        self.match(theirs, noted)
        by_name = {p.new.sql: p for p in self.pairs}
        self.groups = [[by_name[t.sql] for t in group] for group in in_order(p.new for p in self.pairs)]
        self.new.run(APPLIED)
        noter.run(_lines(f"copy {NOTES}.{p.base} to stdout \\g {self.place}/base_{p.n}" for p in self.pairs if p.base))
        self.old.run(self.on_old(theirs, noted))
        self.new.run(self.on_new())

    def base(self) -> tuple[dict[str, dict[str, Any]], Psql]:
        """Find what the restore noted, and where: after two restores in a row the old database may be who knows."""
        for psql in (self.new, self.old):
            noted = bases(psql, self.mark)
            if noted is not None:
                return noted, psql
        raise refused("no_base", f"the keys that {self.mark} noted are in neither database")

    def own(self) -> dict[str, dict[str, Any]]:
        """Find what was noted when the old database was itself restored, if that was later than the base."""
        known = {self.mark, *restores(self.new)}
        own = [run for run in restores(self.old) if run not in known]
        return (bases(self.old, own[-1]) if own else None) or {}

    def match(self, theirs: dict[str, Table], noted: dict[str, dict[str, Any]]) -> None:
        """Pair the tables of both sides; what cannot be compared is told, never left out."""
        own = self.own()
        late = f"{sql.WHEN.format(row='')} > to_timestamp({self.since!r})" if self.dated else "true"
        for n, old in enumerate(t for t in theirs.values() if not t.of_migrations):
            ours, base = self.ours.get(old.sql), noted.get(old.sql)
            if ours is None:
                self.told.append((old, "table_missing", late if base else "true"))
                continue
            was = own.get(old.sql, {})
            mine = None if was and set(was["keys"]) != set(ours.key) else was
            pair = Pair(n, old, ours, base["noted"] if base else None, self.mark, self.run, mine)
            if pair.keyed() and (base is None or set(base["keys"]) == set(ours.key)):
                self.keyed.append(pair)
            elif not ours.key and ours.alike(old) and (base is None or base["columns"] == _columns(ours)):
                self.alike.append(pair)
            else:
                self.told.append((old, "not_comparable", late))
        for name in noted.keys() - theirs.keys():
            self.notes.append({"table": name, "what": "the old database has no such table any more"})
        for ours in (p.new for p in self.pairs if p.new.triggers):
            self.notes.append({"table": ours.label, "what": "its triggers fire when rows are put back"})

    def on_old(self, theirs: dict[str, Table], noted: dict[str, dict[str, Any]]) -> str:
        """Spell what is asked of the old database, in one snapshot."""
        lines = ["\\set FETCH_COUNT 1000", "begin isolation level repeatable read;"]
        lines.append(sql.writers((t for t in theirs.values() if t.of_migrations), dated=self.dated))
        keys = {p.n: noted[p.new.sql]["keys"] if p.base else p.new.key for p in self.keyed}
        lines += [sql.changed(pair, keys[pair.n], str(self.place), dated=self.dated) for pair in self.keyed]
        lines += [sql.alike(pair, str(self.place)) for pair in self.alike]
        lines += [f"\\o {self.place}/told", *(sql.untold(*told) for told in self.told)]
        lines += [
            f"\\o {self.place}/told_counts",
            *(f"select count(*) from {t.rows} where {w};" for t, _, w in self.told),
        ]
        return _lines([*lines, "\\o", "commit;"])

    def on_new(self) -> str:
        """Spell what is asked of the restored database, in one snapshot: judge all, then spell the statements."""
        place, by_name = str(self.place), {p.new.sql: p for p in self.keyed}
        lines = ["\\set FETCH_COUNT 1000", "begin isolation level repeatable read;"]
        lines += [sql.load(p, place) + sql.judge(p) for p in self.keyed]
        lines += [sql.load_alike(p, place) for p in self.alike]
        lines += [sql.taken(p) for p in self.keyed]
        groups = [[p for p in group if p in self.keyed] for group in self.groups]
        lines += [sql.parents(g, by_name, self.ours) for g in groups]
        lines += [sql.children(g, by_name, self.ours) for g in reversed(groups)]
        lines += [sql.bare(g, by_name) for g in groups]
        for name, query in self.spelled():
            lines += [f"\\o {place}/{name}", query, "\\o"]
        return _lines([*lines, "commit;"])

    def spelled(self) -> Iterator[tuple[str, str]]:
        """Yield each file that the restored database fills, and the query that does."""
        w = self.writing
        for p in self.keyed:
            yield f"insert_{p.n}", sql.inserts(p, w)
            yield f"link_{p.n}", sql.links(p, w)
            yield f"update_{p.n}", sql.updates(p, w)
            yield f"delete_{p.n}", sql.deletes(p, self.ours, w)
            yield f"remember_{p.n}", sql.gone(p, w)
        for p in self.alike:
            put, out = sql.write_alike(p, w)
            yield f"insert_{p.n}", put
            yield f"delete_{p.n}", out
        yield "conflicts", _lines([*map(sql.conflicts, self.keyed), *map(sql.conflicts_alike, self.alike)])
        yield "counts", _lines(sql.counts(p, keyed=p in self.keyed) for p in self.pairs)


def _columns(table: Table) -> list[list[str]]:
    return [[c.name, c.type] for c in table.columns]


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


# ---- the files


def write(work: Work, old: str, new: str) -> dict[str, Any]:
    """Write the numbered SQL files, the conflicts and the manifest; return what the manifest says."""
    out = work.place / "out"
    out.mkdir()
    since = datetime.fromtimestamp(work.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    files = Files(out, work, f"written to {old} after {since}, restored as {new}")
    files.begin()
    expected = [json.loads(line) for line in (work.place / "counts").read_text().splitlines() if line]
    for op, groups in (("insert", work.groups), ("update", work.groups), ("delete", [*reversed(work.groups)])):
        for group in groups:
            files.add(op, group)
    shown, by = files.conflicts()
    total = sum(by.values())
    whole(work, expected, files.made, total)
    labels = {p.n: p.new.label for p in work.pairs}
    counted = {
        labels[c["n"]]: {f"{op.rstrip('e')}ed": c[op] for op in ("insert", "update", "delete")} for c in expected
    }
    for c in expected:
        if c["migrated"]:
            what = f"{c['migrated']} rows were last written by a migration's own transaction"
            work.notes.append({"table": labels[c["n"]], "what": what})
    made = {
        "run": work.run,
        "base": work.mark,
        "old": old,
        "new": new,
        "since": since,
        "files": files.made,
        "notes": work.notes,
        "tables": {name: each for name, each in counted.items() if any(each.values())},
        "conflicts": shown,
        "conflicts_all": total,
        "conflicts_by": [{"table": table, "why": why, "rows": rows} for (table, why), rows in sorted(by.items())],
    }
    (out / "manifest.json").write_text(json.dumps(made, indent=1) + "\n")
    return made


def whole(work: Work, expected: list[dict[str, Any]], files: list[dict[str, Any]], conflicts: int) -> None:
    """See that the files hold what was counted: psql does not say when a disk is full.

    Raises No where they do not.
    """
    told = sum(int(line) for line in (work.place / "told_counts").read_text().split())
    wanted = sum(c[op] for c in expected for op in sql.OPS), sum(c["conflicts"] for c in expected) + told
    if (sum(f["rows"] for f in files), conflicts) != wanted or len(expected) != len(work.pairs):
        raise failed("disk_full", f"the files of this salvage are not whole; {work.place} needs room on this host")


class Files:
    """Numbered files: their numbers are the order in which they are applied."""

    def __init__(self, out: Path, work: Work, story: str) -> None:
        self.out, self.work, self.story = out, work, story
        self.made: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Write the file that all others need."""
        self._write("begin", [], sql.BEGIN, 0, "what the files after this one call; safe to repeat")

    def add(self, op: str, group: list[Pair]) -> None:
        """Write what one group of tables asks for, in as many files as it takes."""
        ops = {"insert": ("insert", "link"), "delete": ("delete", "remember")}.get(op, (op,))
        places = [self.work.place / f"{o}_{p.n}" for o in ops for p in group]
        late = any(f.late for p in group for f in p.new.links if f.to in {q.new.sql for q in group})
        for statements in self._parts(place for place in places if place.exists()):
            body = "".join([f"{DEFER}\n" if late else "", *statements])
            self._write(op, [p.new for p in group], body, len(statements), f"{len(statements)} rows to {op}")

    def _parts(self, places: Iterable[Path]) -> Iterator[list[str]]:
        part, size = list[str](), 0
        for statement in self._statements(places):
            if part and (len(part) >= ROWS or size + len(statement) > BYTES):
                yield part
                part, size = [], 0
            part.append(statement)
            size += len(statement)
        if part:
            yield part

    def _statements(self, places: Iterable[Path]) -> Iterator[str]:
        end, lines = f"{self.work.writing.tag});\n", list[str]()
        for place in places:
            with place.open(newline="") as f:
                for line in _unfolded(f):
                    lines.append(line)
                    if line == end:
                        yield "".join(lines)
                        lines = []

    def _write(self, op: str, of: list[Table], body: str, rows: int, what: str) -> None:
        label = "-".join(re.sub(r"[^a-z0-9_]+", "-", t.label.lower()) for t in of)[:80]
        name = f"{len(self.made):03d}-{op}{'-' if label else ''}{label}.sql"
        shaping = "".join(f"set local {k} = '{v}';\n" for k, v in PINNED.items() if k != "row_security")
        text = (
            f"-- {name} of the salvage of run {self.work.run}: {what}; {self.story}.\n"
            f"-- Files are applied in the order of their numbers, as rmu_ops, each in one transaction. Again is safe:\n"
            f"-- {NOTES}.applied keeps which rows were put, and which were left since they are not what they were.\n"
            f"begin;\nset local lock_timeout = '{LOCK_S}s';\n{shaping}{body}commit;\n"
        )
        (self.out / name).write_text(text, newline="")
        sha = hashlib.sha256(text.encode()).hexdigest()
        more: dict[str, Any] = {"tables": [t.sql for t in of], "rows": rows, "late": body.startswith(DEFER)}
        more |= {"bytes": len(text.encode()), "sha256": sha}
        self.made.append({"name": name, "op": op, **more})

    def conflicts(self) -> tuple[list[dict[str, str]], Counter[tuple[str, str]]]:
        """Write every conflict with its values; return the first ones in short, and how many there are of each."""
        shown, by = list[dict[str, str]](), Counter[tuple[str, str]]()
        with (self.out / "conflicts.json").open("w") as f:
            f.write(f'{{"run": {json.dumps(self.work.run)}, "notes": {json.dumps(self.work.notes)}, "conflicts": [')
            for line in self._lines():
                f.write(("," if by else "") + "\n" + line.rstrip("\n"))
                one = json.loads(line)
                by[one["table"], one["why"]] += 1
                if len(shown) < SHOWN:
                    shown.append({"table": one["table"], "key": one["key"][:120], "why": one["why"]})
            f.write("\n]}\n")
        return shown, by

    def _lines(self) -> Iterator[str]:
        for name in ("told", "conflicts"):
            with (self.work.place / name).open(newline="") as f:
                yield from (line for line in _unfolded(f) if line.strip())


def _unfolded(f: Iterable[str]) -> Iterator[str]:
    """Yield lines ended by a newline alone: a value may hold a carriage return."""
    kept = ""
    for piece in f:
        kept += piece
        if kept.endswith("\n"):
            yield kept
            kept = ""
