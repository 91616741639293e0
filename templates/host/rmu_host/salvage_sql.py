"""The SQL of a salvage: what the old database has since the restore point, held against the restored one's present.

Pure: tables in, text out. Rows travel as text, each column's own; the sessions pin every setting that shapes it.

Three versions of a row meet. *Base* is the restored database before anyone wrote to it: its keys, and of each row
the transaction that wrote it (`xmin`), noted by `data.warm`. A physical copy keeps both, so a row of the old database
with the same key and the same writer has not changed since the restore point, whatever any clock said; and a row of
the restored one with the writer of its base is as it was restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .data_psql import literal
from .data_schema import APPLIED, NOTES, Column, Link, Table

OPS = ("insert", "link", "update", "delete", "gone")


@dataclass(frozen=True)
class Pair:
    """One table on both sides, with what the restore `mark` noted of it; `n` names its temporary tables.

    `run` is whose salvage this is. `own` is what was noted of the table when the old database was itself restored,
    later than the base: another superseded database may have written to the same rows. Empty: nothing; None: lost.
    """

    n: int
    old: Table
    new: Table
    base: str | None
    mark: str = ""
    run: str = ""
    own: dict[str, Any] | None = field(default_factory=dict)

    @property
    def shared(self) -> list[tuple[Column, Column]]:
        """Return the columns whose values travel: on both sides, computed on neither."""
        both = [(self.old.column(c.name), c) for c in self.new.columns]
        return [(o, c) for o, c in both if o and not o.generated and not c.generated]

    @property
    def extra(self) -> list[Column]:
        """Return the old one's columns that the restored one lacks."""
        return [c for c in self.old.columns if not c.generated and not self.new.column(c.name)]

    @property
    def unfillable(self) -> bool:
        """Tell whether the restored one demands a column that the old one does not have."""
        named = {c.name for _, c in self.shared}
        return any(not c.filled and not c.generated and c.name not in named for c in self.new.columns)

    def at(self, name: str) -> int | None:
        """Return the place of a column among those that travel, from 1."""
        return next((i for i, (_, c) in enumerate(self.shared, 1) if c.name == name), None)

    @property
    def keys(self) -> list[Column]:
        """Return the columns of the key."""
        return [c for c in self.new.columns if c.name in self.new.key]

    def keyed(self) -> bool:
        """Tell whether both sides name their rows by the same key, of the same types."""
        theirs = {name: self.old.column(name) for name in self.new.key}
        same = all(c and c.type == getattr(self.new.column(name), "type", "") for name, c in theirs.items())
        there = all(self.at(name) for name in self.new.key)
        return bool(self.new.key) and there and same and set(self.old.key) == set(self.new.key)

    def plain(self, i: int) -> bool:
        """Tell whether every value of a column fits its type on both sides: a label, a domain, a length may not."""
        old, new = self.shared[i - 1]
        return new.plain and old.type == new.type

    def kind(self, c: Column) -> str:
        """Return the type that a column of the key is compared by: its own, or text."""
        return c.bare if self.plain(self.at(c.name) or 0) else "text"

    @property
    def born(self) -> str:
        """Spell a query of the keys that the old database was itself restored with; empty where there are none."""
        if not self.own:
            return ""
        places = zip(key_order(self, self.own["keys"]), map(self.kind, self.keys), strict=True)
        columns = ", ".join(f"k{k}::{kind} as k{i}" for i, (k, kind) in enumerate(places, 1))
        return f"select {columns} from {NOTES}.{self.own['noted']}"

    def named(self, row: str, keys: str) -> str:
        """Spell that a row has the key k1, k2, ... of another one."""
        return " and ".join(f"{self.cast(row, c)} = {keys}.k{i}" for i, c in enumerate(self.keys, 1))

    def cast(self, row: str, c: Column) -> str:
        """Spell a column of the key of a row as it is compared."""
        return f"{row}.{c.sql}{'::text' if self.kind(c) == 'text' else ''}"

    def meets(self, row: str, c: Column, i: int, mine: str = "o") -> str:
        """Spell that a column of a row of the restored database has the value that travels at place i."""
        if self.plain(i):
            return f"{row}.{c.sql} = {mine}.c{i}::{self.shared[i - 1][1].bare}"
        return f"{row}.{c.sql}::text = {mine}.c{i}"


def key_order(pair: Pair, noted: Sequence[str]) -> list[int]:
    """Return which column of the note (k1, k2, ...) holds each column of the key."""
    return [list(noted).index(c.name) + 1 for c in pair.keys]


# ---- on the old database: what changed since the base

OF_MIGRATION = "create temp table writers (x xid, at timestamptz);"
WHEN = "pg_xact_commit_timestamp({row}xmin)"
UNDATED = "null::timestamptz"


def writers(tables: Iterable[Table], *, dated: bool) -> str:
    """Collect the transactions that wrote which migrations ran: what else they wrote is the migration's."""
    when = WHEN.format(row="") if dated else UNDATED
    lines = [f"insert into writers select xmin, {when} from {t.sql};" for t in tables]
    return "\n".join([OF_MIGRATION, *lines])


def changed(pair: Pair, noted: Sequence[str], place: str, *, dated: bool) -> str:
    """Spell how to find the rows that differ from the base, and the keys that are gone, into two files."""
    keys = pair.keys
    ks = [f"k{k}" for k in key_order(pair, noted)]
    kinds = sorted(zip(ks, map(pair.kind, keys), strict=True), key=lambda kc: int(kc[0][1:]))
    columns = ", ".join(f"{k} {kind}" for k, kind in kinds)
    same = " and ".join(f"b.{k} = {pair.cast('t', c)}" for k, c in zip(ks, keys, strict=True))
    # A subtransaction has a number of its own, and the commit time of the whole.
    when = WHEN.format(row="t.") if dated else UNDATED
    migrated = (
        f"t.xmin in (select x from writers) or coalesce({when} in (select at from writers where at is not null), false)"
    )
    born = f"exists (select from ({pair.born}) x where {pair.named('t', 'x')})" if pair.born else str(pair.own is None)
    values = ", ".join(f"t.{o.sql}::text" for o, _ in pair.shared)
    load = f"\\copy base from '{place}/base_{pair.n}'" if pair.base else ""
    return f"""
create temp table base ({columns}, was xid);
{load}
analyze base;
copy (select b.was, {migrated}, {born}, {values}, {_extra(pair)}
    from {pair.old.rows} t left join base b on {same} where b.was is null or b.was <> t.xmin
    order by age(t.xmin) desc, t.ctid) to stdout \\g {place}/changed_{pair.n}
copy (select * from (select {", ".join(f"b.{k} as k{i}" for i, k in enumerate(ks, 1))}, b.was from base b
    where not exists (select from {pair.old.rows} t where {same}){_lost(pair, ks)}) g
    order by age(g.was) nulls last) to stdout \\g {place}/gone_{pair.n}
drop table base;
"""


def _lost(pair: Pair, ks: Sequence[str]) -> str:
    """Spell the keys that came after the base, with which the old database was itself restored, and that are gone."""
    if not pair.born:
        return ""
    mine = ", ".join(f"x.k{i}" for i in range(1, len(ks) + 1))
    known = " and ".join(f"b.{k} = x.k{i}" for i, k in enumerate(ks, 1))
    return f"""
    union all select {mine}, null from ({pair.born}) x where not exists (select from base b where {known})
    and not exists (select from {pair.old.rows} t where {pair.named("t", "x")})"""


def _extra(pair: Pair) -> str:
    """Spell a JSON object of the values that have no column on the other side; null where nothing is worth telling."""
    if not pair.extra:
        return "null"
    rows = ", ".join(
        f"({literal(c.name)}, t.{c.sql}::text, {f'({c.standard})::text' if c.standard else 'null'})" for c in pair.extra
    )
    return f"""(select jsonb_object_agg(e.k, e.v) from (values {rows}) e(k, v, d)
        where e.v is not null and e.v is distinct from e.d)"""


def alike(pair: Pair, place: str) -> str:
    """Spell the same for a table without a key: how many rows of one content there are more, or fewer."""
    values = [f"t.{o.sql}::text" for o, _ in pair.shared]
    load = f"\\copy base from '{place}/base_{pair.n}'" if pair.base else ""
    grouped = ", ".join(str(i) for i in range(1, len(values) + 2))
    named = "".join(f", x.c{i}" for i in range(1, len(values) + 1))
    rows = ", ".join(f"{v} as c{i}" for i, v in enumerate(values, 1))
    return f"""
create temp table base (k1 text, n bigint);
{load}
create temp table here as select md5((t.*)::text) as k1, {rows}, count(*) as n
    from {pair.old.rows} t group by {grouped};
copy (select x.k1, x.n - coalesce(b.n, 0){named} from here x left join base b on b.k1 = x.k1
    where x.n > coalesce(b.n, 0)) to stdout \\g {place}/changed_{pair.n}
copy (select b.k1, b.n - coalesce(x.n, 0) from base b left join here x on x.k1 = b.k1
    where b.n > coalesce(x.n, 0)) to stdout \\g {place}/gone_{pair.n}
drop table base, here;
"""


def untold(table: Table, why: str, when: str) -> str:
    """Spell the rows of a table that can only be told, as conflicts."""
    key = f"jsonb_build_object({', '.join(f'{literal(k)}, to_jsonb(t)->>{literal(k)}' for k in table.key)})"
    return f"""select json_build_object('table', {literal(table.label)}, 'key', {key}::text, 'why', {literal(why)},
    'old', to_jsonb(t)) from {table.rows} t where {when};
"""


# ---- on the restored database: what to do about it


def load(pair: Pair, place: str) -> str:
    """Spell how the changed rows and gone keys come in."""
    columns = ", ".join(f"c{i}" for i in range(1, len(pair.shared) + 1))
    texts = ", ".join(f"c{i} text" for i in range(1, len(pair.shared) + 1))
    keys = ", ".join(f"k{i} {pair.kind(c)}" for i, c in enumerate(pair.keys, 1))
    return f"""
create temp table changed_{pair.n} (was xid, migrated bool, born bool, {texts}, extra jsonb,
    ord bigint generated always as identity);
\\copy changed_{pair.n} (was, migrated, born, {columns}, extra) from '{place}/changed_{pair.n}'
create temp table gone_{pair.n} ({keys}, was xid, ord bigint generated always as identity);
\\copy gone_{pair.n} ({", ".join(f"k{i}" for i in range(1, len(pair.keys) + 1))}, was) from '{place}/gone_{pair.n}'
analyze changed_{pair.n};
analyze gone_{pair.n};
"""


def judge(pair: Pair) -> str:
    """Spell what each changed row and each gone key asks for: an insert, an update, a delete, nothing, or a person."""
    typed = [f"c.c{pair.at(c.name)}::{pair.kind(c)}" for c in pair.keys]
    same = " and ".join(f"{pair.cast('t', c)} = {v}" for c, v in zip(pair.keys, typed, strict=True))
    gone = pair.named("t", "g")
    diff = ", ".join(f"case when t.{c.sql}::text is distinct from c.c{i} then {i} end" for i, (_, c) in each(pair))
    fixed = [i for i, (_, c) in each(pair) if c.identity == "a"]
    first = pair.keys[0].sql
    as_text = _object((c.name, f"c.c{pair.at(c.name)}") for c in pair.keys)
    gone_text = _object((c.name, f"g.k{i}::text") for i, c in enumerate(pair.keys, 1))
    typed_columns = "".join(f", {v} as k{i}" for i, v in enumerate(typed, 1))
    return f"""
create temp table op_{pair.n} as
select c.*, {as_text} as key, md5((t.*)::text) as now, d.diff, '{{}}'::int[] as bare{typed_columns}, case
    when {_done(pair, as_text, "=")} then 'same'
    when t.{first} is null and (c.was is not null or {_done(pair, as_text, "<>")}) then 'changed_and_deleted'
    when t.{first} is null and c.migrated then 'written_by_migration'
    when t.{first} is null then '{"column_required" if pair.unfillable else "insert"}'
    when d.diff = '{{}}' then 'same'
    when {_done(pair, as_text, "<>")} then 'changed_on_both_sides'
    when c.was is null then 'inserted_on_both_sides'
    when t.xmin <> c.was then 'changed_on_both_sides'
    when c.migrated then 'written_by_migration'
    when d.diff && array[{", ".join(map(str, fixed))}]::int[] then 'identity_changed'
    else 'update' end as verdict
from changed_{pair.n} c left join {pair.new.rows} t on {same}
cross join lateral (select array_remove(array[{diff}]::int[], null) as diff) d;
update op_{pair.n} set verdict = 'written_after_migration' where verdict = 'update'
    and exists (select from op_{pair.n} where migrated and (was is null or diff <> '{{}}'));
insert into gone_{pair.n} ({_ks(pair)})
select {", ".join(f"(a.key::jsonb ->> {literal(c.name)})::{pair.kind(c)}" for c in pair.keys)} from {NOTES}.applied a
    where {_put(pair, "<>")} and a.op = 'inherit' and not exists (select from op_{pair.n} o where o.key = a.key);
create temp table del_{pair.n} as
select g.*, {gone_text} as key, md5((t.*)::text) as now, case
    when {_done(pair, gone_text, "=")} then 'same'
    when t.{first} is null then case when g.was is null then 'gone' else 'same' end
    when g.was is null or t.xmin <> g.was then 'deleted_and_changed'
    else 'delete' end as verdict
from gone_{pair.n} g left join {pair.new.rows} t on {gone};
create index on op_{pair.n} ({_ks(pair)});
create index on del_{pair.n} ({_ks(pair)});
analyze op_{pair.n};
analyze del_{pair.n};
"""


def _ks(pair: Pair) -> str:
    return ", ".join(f"k{i}" for i in range(1, len(pair.keys) + 1))


def _done(pair: Pair, key: str, whose: str = "") -> str:
    return f"exists (select from {NOTES}.applied a where {_put(pair, whose)} and a.key = {key})"


def _put(pair: Pair, whose: str) -> str:
    """Spell what was put into a table: by this salvage (=), by others from the same base (<>), by anyone."""
    run = f" and a.run {whose} {literal(pair.run)}" if whose else ""
    return f"a.base = {literal(pair.mark)} and a.tbl = {literal(pair.new.sql)} and a.outcome = 'done'{run}"


def _object(fields: Iterable[tuple[str, str]]) -> str:
    return f"jsonb_build_object({', '.join(f'{literal(name)}, {value}' for name, value in fields)})::text"


def each(pair: Pair) -> Iterator[tuple[int, tuple[Column, Column]]]:
    """Number the columns that travel, from 1."""
    return enumerate(pair.shared, 1)


def taken(pair: Pair) -> str:
    """Spell: a row whose unique values another row of the restored database holds, for good, is a person's."""
    lines = []
    for unique in pair.new.uniques:
        places = [pair.at(name) for name in unique]
        if set(unique) == set(pair.new.key) or None in places:
            continue
        columns = [(pair.new.column(name), i) for name, i in zip(unique, places, strict=True)]
        equal = " and ".join(pair.meets("t", c, i) for c, i in columns if c and i)
        mine, leaves = pair.named("t", "o"), pair.named("t", "x")
        lines.append(f"""
update op_{pair.n} o set verdict = 'unique_taken'
where (verdict = 'insert' or verdict = 'update' and diff && array{places}) and exists (
    select from {pair.new.rows} t where {equal} and not ({mine})
    and not exists (select from del_{pair.n} x where {leaves} and x.verdict = 'delete')
    and not exists (select from op_{pair.n} x where {leaves} and x.verdict = 'update'));
""")
    return "".join(lines)


def parents(group: Sequence[Pair], pairs: dict[str, Pair], tables: dict[str, Table]) -> str:
    """Spell: a row whose parent is neither there nor comes is a person's, and so are those that need that row."""
    steps = [step for pair in group for link in pair.new.links if (step := _orphan(pair, link, pairs, tables))]
    return _until_quiet(steps)


def _orphan(pair: Pair, link: Link, pairs: dict[str, Pair], tables: dict[str, Table]) -> str:
    parent, places = tables.get(link.to), [pair.at(name) for name in link.columns]
    if parent is None or None in places:
        return ""
    named = [parent.column(name) for name in link.named]
    equal = " and ".join(pair.meets("p", c, i) for c, i in zip(named, places, strict=True) if c and i)
    whole = " and ".join(f"o.c{i} is not null" for i in places)
    comes = _comes(link, places, pairs.get(link.to))
    return f"""update op_{pair.n} o set verdict = 'parent_gone'
    where (verdict = 'insert' or verdict = 'update' and diff && array{places}) and {whole}
    and not exists (select from {parent.rows} p where {equal}) {f"and not {comes}" if comes else ""};"""


def _comes(link: Link, places: Sequence[int | None], parent: Pair | None) -> str:
    """Spell that the row a link names is among what is inserted or updated."""
    theirs = [parent.at(name) for name in link.named] if parent else [None]
    if parent is None or None in theirs:
        return ""
    equal = " and ".join(f"x.c{j} = o.c{i}" for i, j in zip(places, theirs, strict=True))
    return f"exists (select from op_{parent.n} x where {equal} and x.verdict in ('insert', 'update'))"


def children(group: Sequence[Pair], pairs: dict[str, Pair], tables: dict[str, Table]) -> str:
    """Spell: a row to delete that rows of the restored database still refer to is a person's."""
    steps = []
    for pair in group:
        for child, link in referring(pair.new, tables):
            steps.append(_needed(pair, child, link, pairs.get(child.sql)))
    return _until_quiet(steps)


def referring(table: Table, tables: dict[str, Table]) -> list[tuple[Table, Link]]:
    """List the foreign keys that name a table."""
    return [(child, link) for child in tables.values() for link in child.links if link.to == table.sql]


def _needed(pair: Pair, child: Table, link: Link, known: Pair | None) -> str:
    mine = pair.named("t", "d")
    refers = _refers(pair.new, child, link)
    leaves = ""
    if known:
        keys = known.named("r", "x")
        leaves = f"""and not exists (select from del_{known.n} x where {keys} and x.verdict = 'delete')
        and not exists (select from op_{known.n} x where {keys} and x.verdict = 'update')"""
    return f"""update del_{pair.n} d set verdict = 'children_added' where verdict = 'delete' and exists (
        select from {pair.new.rows} t join {child.rows} r on {refers} where {mine} {leaves});"""


def _refers(table: Table, child: Table, link: Link) -> str:
    columns = [(child.column(c), table.column(n)) for c, n in zip(link.columns, link.named, strict=True)]
    return " and ".join(f"r.{c.sql} = t.{n.sql}" for c, n in columns if c and n)


def _until_quiet(steps: Sequence[str]) -> str:
    if not steps:
        return ""
    counted = "\n    ".join(f"{step} get diagnostics n = row_count; total := total + n;" for step in steps)
    return f"""
do $judge$ declare n bigint; total bigint; begin loop total := 0;
    {counted}
    exit when total = 0; end loop; end $judge$;
"""


def bare(group: Sequence[Pair], pairs: dict[str, Pair]) -> str:
    """Spell which columns a row of a circle is inserted without, to be linked when all of the circle is there."""
    lines = []
    for pair in group:
        for link in pair.new.links:
            target = pairs.get(link.to)
            if target and target in group and not link.late and (empty := _emptied(pair, link)):
                lines.append(_bare(pair, link, target, empty, alone=len(group) == 1))
    return "".join(lines)


def _emptied(pair: Pair, link: Link) -> list[int]:
    columns = [(pair.new.column(name), pair.at(name)) for name in link.columns if name not in pair.new.key]
    return [i for c, i in columns if c and i and c.null]


def _bare(pair: Pair, link: Link, target: Pair, empty: list[int], *, alone: bool) -> str:
    places = [pair.at(name) for name in link.columns]
    comes = _comes(link, places, target)
    if not comes:
        return ""
    empties = f"update op_{pair.n} o set bare = bare || array{empty} where verdict = 'insert' and {comes}"
    if not alone:
        return empties + ";\n"
    theirs = [pair.at(name) for name in link.named]
    up = " and ".join(f"x.c{j} = o.c{i}" for i, j in zip(places, theirs, strict=True))
    # Within one table only a circle of rows needs it: all others come after the row they name.
    return f"""
with recursive free as (
    select o.ord from op_{pair.n} o where o.verdict = 'insert' and not exists (
        select from op_{pair.n} x where {up} and x.verdict = 'insert')
    union select o.ord from op_{pair.n} o, op_{pair.n} x, free f
    where o.verdict = 'insert' and {up} and x.ord = f.ord)
{empties} and not exists (select from free f where f.ord = o.ord);
"""


# ---- the statements


@dataclass(frozen=True)
class Writing:
    """What every statement carries: the base, the run, and a tag that no row can hold."""

    base: str
    run: str
    tag: str

    def put(self, op: str, table: str, statement: str) -> str:
        """Spell a query that spells one call for each row: the statement, and what it is known by."""
        head = literal(f"call {NOTES}.put({literal(self.base)}, {literal(self.run)}, ")
        of = literal(f", {literal(table)}, ")
        known = f"quote_literal({op}) || {of} || quote_literal(o.key)"
        return f"{head} || {known} || ', {self.tag}' || chr(10) || {statement} || chr(10) || '{self.tag});'"


def inserts(pair: Pair, w: Writing) -> str:
    """Spell the inserts of a table, in the order in which their rows were written."""
    maybe = {i for link in pair.new.links for i in _emptied(pair, link)}
    values = [
        f"case when {i} = any(o.bare) then 'NULL' else quote_nullable(o.c{i}) end"
        if i in maybe
        else f"quote_nullable(o.c{i})"
        for i, _ in each(pair)
    ]
    op = "case when o.born then 'inherit' else 'insert' end"
    put = w.put(op, pair.new.sql, _insert(pair, values))
    return f"select {put} from op_{pair.n} o where o.verdict = 'insert' order by o.ord;\n"


def _insert(pair: Pair, values: Sequence[str]) -> str:
    columns = ", ".join(c.sql for _, c in pair.shared)
    over = " overriding system value" if any(c.identity == "a" for _, c in pair.shared) else ""
    head = literal(f"insert into {pair.new.sql} ({columns}){over} values (")
    return f"{head} || {_joined(values)} || ')'"


def _joined(parts: Sequence[str]) -> str:
    return " || ', ' || ".join(parts)


def links(pair: Pair, w: Writing) -> str:
    """Spell the updates that close a circle."""
    sets = _sets(pair, "o.bare")
    empty = f"(select string_agg('t.' || n || ' is null', ' and ') from unnest({_named(pair)}) with ordinality x(n, i)"
    empty += " where i = any(o.bare))"
    statement = f"{literal(f'update {pair.new.rows} t set ')} || {sets} || ' where ' || {_by_key(pair)} || ' and '"
    put = w.put("'link'", pair.new.sql, f"{statement} || {empty}")
    return f"select {put} from op_{pair.n} o where o.verdict = 'insert' and o.bare <> '{{}}' order by o.ord;\n"


def _named(pair: Pair) -> str:
    return f"array[{', '.join(literal(c.sql) for _, c in pair.shared)}]"


def _sets(pair: Pair, which: str) -> str:
    parts = ", ".join(
        f"case when {i} = any({which}) then {literal(f'{c.sql} = ')} || quote_nullable(o.c{i}) end"
        for i, (_, c) in each(pair)
    )
    return f"array_to_string(array_remove(array[{parts}], null), ', ')"


def _by_key(pair: Pair) -> str:
    parts = [f"{literal(f't.{c.sql} = ')} || quote_literal(o.k{i}::text)" for i, c in enumerate(pair.keys, 1)]
    return " || ' and ' || ".join(parts)


AS_IT_WAS = "' and md5((t.*)::text) = ' || quote_literal(o.now)"


def updates(pair: Pair, w: Writing) -> str:
    """Spell the updates of a table: only what differs, and only where the row still is what it was when looked at."""
    statement = (
        f"{literal(f'update {pair.new.rows} t set ')} || {_sets(pair, 'o.diff')} || ' where ' || {_by_key(pair)}"
    )
    put = w.put("'update'", pair.new.sql, f"{statement} || {AS_IT_WAS}")
    return f"select {put} from op_{pair.n} o where o.verdict = 'update' order by o.ord;\n"


def deletes(pair: Pair, tables: dict[str, Table], w: Writing) -> str:
    """Spell the deletes of a table. A row that would take others with it stays, and is told.

    Such a row is locked first, which waits for a child being committed; the delete after it then sees that child.
    """
    guards = "".join(
        f" and not exists (select from {child.rows} r where {_refers(pair.new, child, link)})"
        for child, link in referring(pair.new, tables)
        if link.changes
    )
    head = f"{literal(f'delete from {pair.new.rows} t where ')} || {_by_key(pair)}"
    if guards:
        lock = literal(f"select from {pair.new.rows} t where ")
        head = f"{lock} || {_by_key(pair)} || ' for update;' || chr(10) || {head}"
    put = w.put("'delete'", pair.new.sql, f"{head} || {AS_IT_WAS} || {literal(guards)}")
    return f"select {put} from del_{pair.n} o where o.verdict = 'delete' order by o.ord;\n"


def gone(pair: Pair, w: Writing) -> str:
    """Spell what is only to be remembered: a row gone from here that the salvage of another database might bring."""
    statement = f"{literal(f'select where not exists (select from {pair.new.rows} t where ')} || {_by_key(pair)} || ')'"
    put = w.put("'gone'", pair.new.sql, statement)
    return f"select {put} from del_{pair.n} o where o.verdict = 'gone' order by o.ord;\n"


def conflicts(pair: Pair) -> str:
    """Spell what only a person can decide, a line of JSON for each row, with the values of both sides."""
    mine = pair.named("t", "o")
    now = f"(select to_jsonb(t) from {pair.new.rows} t where {mine})"
    values = ", ".join(f"({literal(c.name)}, o.c{i})" for i, (_, c) in each(pair))
    old = f"(select jsonb_object_agg(e.k, e.v) from (values {values}) e(k, v))"
    label = literal(pair.new.label)
    return f"""
select json_build_object('table', {label}, 'key', o.key, 'why', o.verdict, 'old', {old}, 'new', {now})
from op_{pair.n} o where o.verdict not in ('same', 'insert', 'update') order by o.ord;
select json_build_object('table', {label}, 'key', o.key, 'why', 'column_missing', 'old', o.extra)
from op_{pair.n} o where o.extra is not null and not o.migrated order by o.ord;
select json_build_object('table', {label}, 'key', o.key, 'why', o.verdict, 'new', {now})
from del_{pair.n} o where o.verdict not in ('same', 'delete', 'gone') order by o.ord;
"""


def counts(pair: Pair, *, keyed: bool) -> str:
    """Spell how many rows each kind of statement has, how many a migration wrote, and how many conflicts there are."""
    told = [op for op in OPS if op != "link"]
    parts = ", ".join(f"'{op}', count(*) filter (where verdict = '{op}')" for op in told)
    extra = "extra is not null and not migrated" if keyed else "false"
    return f"""
select json_build_object('n', {pair.n}, {parts}, 'link', count(*) filter (where linked),
    'migrated', count(*) filter (where migrated), 'conflicts', count(*) filter (where verdict not in
    ('same', {", ".join(map(literal, told))})) + count(*) filter (where more)) from (
    select verdict, verdict = 'insert' and bare <> '{{}}' as linked, migrated, {extra} as more from op_{pair.n}
    union all select verdict, false, false, false from del_{pair.n}) o;
"""


# ---- a table without a key: contents, counted


def load_alike(pair: Pair, place: str) -> str:
    """Spell how contents come in, and what of them the restored database still has."""
    columns = "".join(f", c{i}" for i, _ in each(pair))
    texts = "".join(f", c{i} text" for i, _ in each(pair))
    key = "o.k1 || '#' || j"
    return f"""
create temp table changed_{pair.n} (k1 text, n bigint{texts}, ord bigint generated always as identity);
\\copy changed_{pair.n} (k1, n{columns}) from '{place}/changed_{pair.n}'
create temp table gone_{pair.n} (k1 text, n bigint, ord bigint generated always as identity);
\\copy gone_{pair.n} (k1, n) from '{place}/gone_{pair.n}'
create temp table op_{pair.n} as select o.*, {key} as key, '{{}}'::int[] as bare, false as migrated,
    case when {_done(pair, key)} then 'same' else 'insert' end as verdict
from changed_{pair.n} o, generate_series(1, o.n) j;
create temp table del_{pair.n} as select o.*, {key} as key,
    case when {_done(pair, key)} then 'same' when j > coalesce(h.n, 0) then 'changed_and_deleted'
    else 'delete' end as verdict
from gone_{pair.n} o cross join generate_series(1, o.n) j
left join (select md5((t.*)::text) as k1, count(*) as n from {pair.new.rows} t group by 1) h on h.k1 = o.k1;
"""


def write_alike(pair: Pair, w: Writing) -> tuple[str, str]:
    """Spell the inserts and the deletes of contents."""
    put = w.put("'insert'", pair.new.sql, _insert(pair, [f"quote_nullable(o.c{i})" for i, _ in each(pair)]))
    one = f"{literal(f'delete from {pair.new.rows} t where (t.tableoid, t.ctid) = ')}"
    one += f" || {literal(f'(select s.tableoid, s.ctid from {pair.new.rows} s where md5((s.*)::text) = ')}"
    one += " || quote_literal(o.k1) || ' limit 1)'"
    out = w.put("'delete'", pair.new.sql, one)
    return (
        f"select {put} from op_{pair.n} o where o.verdict = 'insert' order by o.ord, o.key;\n",
        f"select {out} from del_{pair.n} o where o.verdict = 'delete' order by o.ord, o.key;\n",
    )


def conflicts_alike(pair: Pair) -> str:
    """Spell the contents that are on neither side as often as they should be."""
    return f"""select json_build_object('table', {literal(pair.new.label)}, 'key', o.key, 'why', o.verdict)
from del_{pair.n} o where o.verdict not in ('same', 'delete') order by o.ord;
"""


# ---- what is run before the first file

BEGIN = f"""\
{APPLIED}
create or replace procedure {NOTES}.put(_base text, _run text, _op text, _tbl text, _key text, _statement text)
language plpgsql as $put$
declare
    n bigint := 0; why text := 'not_as_it_was'; held text;
begin
    -- Once: a row that was put is not put again, whatever became of it since.
    if exists (select from {NOTES}.applied a where a.base = _base and a.tbl = _tbl and a.key = _key
        and a.op = _op and a.run = _run and a.outcome = 'done') then
        return;
    end if;
    begin
        execute _statement;
        get diagnostics n = row_count;
    exception
        when lock_not_available or deadlock_detected then raise;
        when others then
            get stacked diagnostics held = constraint_name;
            why := sqlstate || ' ' || coalesce(held, '');
    end;
    insert into {NOTES}.applied values (_base, _tbl, _key, _op, _run, case n when 1 then 'done' else 'left' end,
        case n when 1 then '' else why end)
    on conflict (base, tbl, key, op, run) do update
        set outcome = excluded.outcome, why = excluded.why, at = clock_timestamp() where applied.outcome <> 'done';
end $put$;
"""
