"""A database's tables as salvage sees them: columns, the key that names a row, foreign keys, and their order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .data_psql import Psql

NOTES = "rmu_salvage"
# Which migrations ran is the schema's business: the restored database has its own answer.
OF_MIGRATIONS = ("alembic_version", "schema_line")

APPLIED = f"""create schema if not exists {NOTES};
create table if not exists {NOTES}.applied (base text, tbl text, key text, op text, run text, outcome text, why text,
    at timestamptz default clock_timestamp(), primary key (base, tbl, key, op, run));"""

OURS_NOT = f"""n.nspname !~ '^pg_' and n.nspname not in ('information_schema', '{NOTES}')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
        and d.deptype = 'e')"""
TABLES = f"""from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't' and {OURS_NOT}"""

_NAMES = """(select coalesce(json_agg(a.attname order by x.n), '[]') from unnest({keys}) with ordinality x(k, n)
        join pg_attribute a on a.attrelid = {table} and a.attnum = x.k)"""
# A key names a row: unique, never null, checked at once, on plain columns of every row.
CATALOG = f"""
select json_build_object(
    'name', c.relname, 'schema', n.nspname, 'sql', format('%I.%I', n.nspname, c.relname), 'kind', c.relkind,
    'columns', (select coalesce(json_agg(json_build_object(
            'name', a.attname, 'sql', quote_ident(a.attname), 'type', format_type(a.atttypid, a.atttypmod),
            'bare', format_type(a.atttypid, -1), 'plain', y.typnamespace = 'pg_catalog'::regnamespace,
            'filled', not a.attnotnull or a.atthasdef or a.attidentity <> '', 'identity', a.attidentity,
            'null', not a.attnotnull, 'generated', a.attgenerated <> '',
            'standard', case when pg_get_expr(d.adbin, d.adrelid) !~ '[(]' then pg_get_expr(d.adbin, d.adrelid) end)
            order by a.attnum), '[]')
        from pg_attribute a join pg_type y on y.oid = a.atttypid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'uniques', (select coalesce(json_agg({_NAMES.format(keys="i.indkey[0:i.indnkeyatts - 1]", table="c.oid")}
            order by i.indisprimary desc, i.indnkeyatts, i.indexrelid), '[]')
        from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indexprs is null),
    'key', (select {_NAMES.format(keys="i.indkey[0:i.indnkeyatts - 1]", table="c.oid")}
        from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indexprs is null and (i.indisprimary or i.indimmediate)
            and not exists (select from pg_attribute a where a.attrelid = c.oid and not a.attnotnull
                and a.attnum = any(i.indkey[0:i.indnkeyatts - 1]))
        order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1),
    'links', (select coalesce(json_agg(json_build_object('to', format('%I.%I', pn.nspname, p.relname),
            'columns', {_NAMES.format(keys="f.conkey", table="c.oid")},
            'named', {_NAMES.format(keys="f.confkey", table="p.oid")},
            'late', f.condeferrable, 'changes', f.confdeltype in ('c', 'n', 'd')) order by f.conname), '[]')
        from pg_constraint f join pg_class p on p.oid = f.confrelid join pg_namespace pn on pn.oid = p.relnamespace
        where f.contype = 'f' and f.conparentid = 0 and f.conrelid = c.oid),
    'triggers', (select count(*) from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal
        and g.tgenabled <> 'D'))
{TABLES} order by n.nspname, c.relname;
"""


@dataclass(frozen=True)
class Column:
    """One column. `filled`: a row may be inserted without it; `standard`: its default, where that is a constant.

    `bare` is its type without a length, which a cast would cut to; `plain`: a type that every database has alike.
    """

    name: str
    sql: str
    type: str
    bare: str
    plain: bool
    filled: bool
    null: bool
    identity: str
    generated: bool
    standard: str | None


@dataclass(frozen=True)
class Link:
    """A foreign key. `late`: it can be deferred; `changes`: deleting the other row deletes or empties this one."""

    to: str
    columns: list[str]
    named: list[str]
    late: bool
    changes: bool


@dataclass(frozen=True)
class Table:
    """One table; a partitioned one is one table."""

    name: str
    schema: str
    sql: str
    kind: str
    columns: list[Column]
    uniques: list[list[str]]
    key: list[str]
    links: list[Link]
    triggers: int

    @classmethod
    def of(cls, found: dict[str, Any]) -> Table:
        """Read what the catalogue says."""
        columns = [Column(**c) for c in found.pop("columns")]
        links = [Link(**f) for f in found.pop("links")]
        return cls(**{**found, "key": found["key"] or []}, columns=columns, links=links)

    @property
    def label(self) -> str:
        """Name it for people."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def rows(self) -> str:
        """Spell what stands in a `from`: its own rows, none of a table that inherits from it."""
        return self.sql if self.kind == "p" else f"only {self.sql}"

    @property
    def of_migrations(self) -> bool:
        """Tell whether it keeps which migrations ran."""
        return self.schema == "public" and self.name in OF_MIGRATIONS

    def column(self, name: str) -> Column | None:
        """Find a column."""
        return next((c for c in self.columns if c.name == name), None)

    def alike(self, other: Table) -> bool:
        """Tell whether both have the same columns, in the same order."""
        return [(c.name, c.type) for c in self.columns] == [(c.name, c.type) for c in other.columns]


def tables(psql: Psql) -> dict[str, Table]:
    """Read every table of the application."""
    found = [Table.of(json.loads(line)) for line in psql.run(CATALOG).splitlines() if line]
    return {t.sql: t for t in found}


def in_order(tables: Iterable[Table]) -> list[list[Table]]:
    """Group tables so that each group comes after those it refers to; a group of several is a circle."""
    left = {t.sql: t for t in tables}
    needs = {name: {f.to for f in t.links if f.to in left and f.to != name} for name, t in left.items()}
    groups: list[list[Table]] = []
    while left:
        ready = [name for name in left if not needs[name] & left.keys()]
        group = ready[:1] or _circle(left, needs)
        groups.append([left.pop(name) for name in group])
    return groups


def _circle(left: dict[str, Table], needs: dict[str, set[str]]) -> list[str]:
    """Find a circle that needs nothing else of what is left."""
    reached = [sorted(_reach(name, needs, left)) for name in left]
    return min(reached, key=len)


def _reach(name: str, needs: dict[str, set[str]], left: dict[str, Table]) -> set[str]:
    seen, ahead = set[str](), [name]
    while ahead:
        at = ahead.pop()
        if at not in seen:
            seen.add(at)
            ahead += needs[at] & left.keys()
    return seen
