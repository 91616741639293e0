"""What is in a database, its warming with the note of its keys, and its sequences. SQL as ops; no row leaves here."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .answers import Answer
from .cloud import Cloud
from .data_psql import SOON_S, Psql, connect, literal, passwords
from .data_schema import APPLIED, NOTES, OF_MIGRATIONS, OURS_NOT, TABLES, Table, tables
from .machine import Machine

GAP = 1000
"""How many values of a sequence are left free past the old one's last."""
SHOWN = 100
"""An answer has room for so many names; SSM cuts it at 24,000 characters."""

_LABEL = "case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end"
_ONLY = "case c.relkind when 'r' then 'only ' else '' end"

LOOK = "select json_build_object('size', pg_database_size(current_database()));"
HEAD = """
select to_regclass('public.alembic_version') is not null as versioned,
    to_regclass('public.schema_line') is not null as lined \\gset
\\if :versioned
select json_build_object('schema_head', version_num) from public.alembic_version;
\\endif
\\if :lined
select json_build_object('admits', coalesce(max(oldest_code), '')) from public.schema_line;
\\endif
"""
COUNT = """
select format('select json_build_array(%L, count(*), {written}, {newest}) from %s%I.%I', {label}, {only},
    n.nspname, c.relname) {tables} order by 1 \\gexec
"""
HASHED = "coalesce(sum(hashtextextended((t.*)::text, 0)){old}, 0)::text"
SUM = """
select format('select json_build_array(%L, count(*), {sums}) from %s%I.%I t', {label}, {only},
    n.nspname, c.relname) {tables} order by 1 \\gexec
"""


def look(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Look into a database: schema, size, and per table the rows written after a moment."""
    psql = connect(m, request["database"], host, cloud, 2 * SOON_S)
    dated = psql.run("show track_commit_timestamp").strip() == "on"
    since = request.get("since")
    when = "pg_xact_commit_timestamp(xmin)"
    written = f"count(*) filter (where {when} > to_timestamp({float(since)!r}))" if dated and since else "0"
    newest = f"extract(epoch from max({when}))" if dated else "null"
    count = COUNT.format(written=written, newest=newest, label=_LABEL, only=_ONLY, tables=TABLES)
    seen: dict[str, Any] = {"schema_head": "", "admits": ""}
    counted = []
    for line in (LOOK + HEAD, count):
        for answer in map(json.loads, psql.run(line).splitlines()):
            if isinstance(answer, dict):
                seen.update(answer)
            else:
                counted.append(answer)
    moments = [at for *_, at in counted if at is not None]
    # What migrations write is brought back by migrations; to people it is no row of theirs.
    ours = [one for one in counted if one[0] not in OF_MIGRATIONS]
    shown = {name: {"rows": rows, "written": new} for name, rows, new, _ in ours[: 3 * SHOWN]}
    return {"outcome": "ok", **seen, "tables": shown, "dated": dated, "newest": max(moments, default=None)}


def checksum(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Count every table's rows and sum up a hash of each, whatever their order.

    Where a moment is asked about and the server keeps commit times, those rows apart that were not written since; what
    is older than all kept times was not.
    """
    psql = connect(m, request["database"], host, cloud)
    sums, names = HASHED.format(old=""), ["rows", "checksum"]
    until = request.get("until")
    if until and psql.run("show track_commit_timestamp").strip() == "on":
        old = f" filter (where coalesce(pg_xact_commit_timestamp(xmin) <= to_timestamp({float(until)!r}), true))"
        sums += f", count(*){old}, {HASHED.format(old=old)}"
        names += ["old_rows", "old_checksum"]
    found = psql.run(SUM.format(sums=sums, label=_LABEL, only=_ONLY, tables=TABLES)).splitlines()
    summed = {name: dict(zip(names, seen, strict=True)) for name, *seen in map(json.loads, found)}
    return {"outcome": "ok", "tables": summed}


# ---- warming and the note of the keys

SMALL = 64 << 20
READ_ALL = f"""
select format('select pg_prewarm(%s::regclass, ''read'')', x.indexrelid::oid) from pg_index x
    join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and x.indisvalid and {OURS_NOT}
union all select format('select pg_prewarm(%s::regclass, ''read'')', c.reltoastrelid::oid)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.reltoastrelid <> 0 and {OURS_NOT} \\gexec
"""
# Without the extension: B-trees in their order, long values by being read. Other kinds of index stay cold, and so does
# that of a large table never vacuumed: each of its entries would fetch a row, in random order.
READ_MOST = f"""
set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set enable_incremental_sort = off;
select format('select count(*) from (select from %I.%I %s order by %s) s', n.nspname, c.relname,
        'where ' || pg_get_expr(x.indpred, x.indrelid),
        (select string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ' order by k)
            from generate_series(1, x.indnkeyatts) k))
    from pg_index x join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
    join pg_class i on i.oid = x.indexrelid join pg_am a on a.oid = i.relam
    where c.relkind = 'r' and x.indisvalid and a.amname = 'btree' and {OURS_NOT}
        and (pg_relation_size(c.oid) < {SMALL} or c.relallvisible > 0.9 * c.relpages) \\gexec
select format('select sum(length((t.*)::text)) from only %I.%I t', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.reltoastrelid <> 0 and pg_relation_size(c.reltoastrelid) > 0 and {OURS_NOT} \\gexec
"""
READ = f"""
select count(*) > 0 as extended from pg_extension where extname = 'pg_prewarm' \\gset
\\o /dev/null
\\if :extended
{READ_ALL}
\\else
{READ_MOST}
\\endif
reset enable_seqscan; reset enable_bitmapscan; reset enable_sort; reset enable_incremental_sort;
select format('analyze %I.%I', n.nspname, c.relname) {TABLES} \\gexec
\\o
select pg_database_size(current_database());
"""


def warm(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Read a restored database once and note the key and the writer of each row; with `look`, only tell whether.

    The note reads every row, so indexes and long values are read beside it.
    """
    psql = connect(m, request["database"], host, cloud)
    mark = str(request["mark"])
    noted = bases(psql, mark) is not None
    if request.get("look"):
        return {"outcome": "ok", "warmed": noted}
    if noted:
        return {"outcome": "already", "warmed": True}
    began = m.now()
    found = tables(psql)
    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(psql.run, READ)
        psql.run(note(found, mark))
        size = int(reading.result())
    seconds = round(m.now() - began, 3)
    return {"outcome": "changed", "warmed": True, "tables": len(found), "bytes": size, "warm_s": seconds}


def note(found: dict[str, Table], mark: str) -> str:
    """Spell the note, in one transaction: whole or not there at all. Notes of other restores stay.

    What names a version of a row is its key and its writing transaction (`xmin`): a physical copy keeps both.
    """
    lines = [
        "begin isolation level repeatable read;",
        APPLIED,
        f"create table if not exists {NOTES}.mark (run text primary key, at timestamptz default clock_timestamp());",
        f"create table if not exists {NOTES}.base (mark text, name text, noted text, keys jsonb, columns jsonb);",
    ]
    for n, table in enumerate(found.values()):
        keys = ", ".join(f"t.{c.sql} as k{i}" for i, c in enumerate(key_columns(table), 1))
        what = f"{keys}, t.xmin as was from {table.rows} t" if table.key else f"{WHOLE} from {table.rows} t group by 1"
        columns = json.dumps([[c.name, c.type] for c in table.columns])
        named = f"base_{hashlib.sha256(mark.encode()).hexdigest()[:10]}_{n}"
        said = ", ".join(map(literal, (mark, table.sql, named, json.dumps(table.key), columns)))
        lines += [
            f"create table {NOTES}.{named} as select {what};",
            f"insert into {NOTES}.base values ({said});",
        ]
    return "\n".join([*lines, f"insert into {NOTES}.mark (run) values ({literal(mark)});", "commit;\n"])


WHOLE = "md5((t.*)::text) as k1, count(*) as n"


def key_columns(table: Table) -> list[Any]:
    """Return the columns of a table's key."""
    return [table.column(name) for name in table.key]


def restores(psql: Psql) -> list[str]:
    """List the restores that noted keys in a database, or in one that it is a copy of; the latest is the last."""
    there = psql.run(f"select to_regclass('{NOTES}.mark') is not null").strip() == "t"
    return psql.run(f"select run from {NOTES}.mark order by at").splitlines() if there else []


BASES = f"""
select to_regclass('{NOTES}.mark') is not null as there \\gset
\\if :there
select row_to_json(m) from {NOTES}.mark m where run = {{mark}};
select row_to_json(b) from {NOTES}.base b join {NOTES}.mark m on m.run = b.mark where m.run = {{mark}};
\\endif
"""


def bases(psql: Psql, mark: str) -> dict[str, dict[str, Any]] | None:
    """Return what a restore noted, by table: where, its key columns, its columns. None where nothing was noted."""
    marked, *found = psql.run(BASES.format(mark=literal(mark))).splitlines() or [""]
    return {b["name"]: b for b in map(json.loads, found)} if marked else None


# ---- sequences

SEQUENCES = """
select json_build_object('name', format('%I.%I', schemaname, sequencename), 'by', increment_by, 'cycle', cycle,
    'min', min_value, 'max', max_value, 'last', coalesce(last_value, start_value - increment_by),
    'used', last_value is not null)
from pg_sequences where schemaname !~ '^pg_' and schemaname <> 'information_schema' order by 1::text;
"""


def sequences(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Move every sequence of the new database past the old one's last value; with `look`, tell whether they are."""
    secret = passwords(host, cloud, "ops")["ops"]
    old, new = (Psql(m, request[side], "ops", secret, SOON_S) for side in ("old", "new"))
    theirs, ours = _sequences(old), _sequences(new)
    moves = {name: goal(one) for name, one in theirs.items() if name in ours and not past(ours[name], goal(one))}
    if request.get("look"):
        return {"outcome": "ok", "past": not moves}
    new.run("\n".join(f"select setval({literal(name)}, {value}, true);" for name, value in moves.items()))
    return {
        "outcome": "changed" if moves else "already",
        "moved": dict(list(moves.items())[:SHOWN]),
        "missing": [name for name in theirs if name not in ours][:SHOWN],
        "in_circles": [name for name in moves if theirs[name]["cycle"]][:SHOWN],
    }


def _sequences(psql: Psql) -> dict[str, dict[str, Any]]:
    return {s["name"]: s for s in map(json.loads, psql.run(SEQUENCES).splitlines())}


def goal(old: dict[str, Any]) -> int:
    """Return the value to move to: a gap past the old one's last, or that last itself where the gap does not fit."""
    wanted = int(old["last"]) + GAP * int(old["by"])
    return wanted if old["min"] <= wanted <= old["max"] else min(max(int(old["last"]), old["min"]), old["max"])


def past(new: dict[str, Any], wanted: int) -> bool:
    """Tell whether a sequence has gone as far as wanted, in its own direction."""
    if not new["used"]:
        return False
    return bool(new["last"] >= wanted) if new["by"] > 0 else bool(new["last"] <= wanted)
