"""What is unsafe in the SQL of one migration: its statements in order, and the transaction each runs in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import Statement
from ratemyunit_ops.reports.lint.code import Code
from ratemyunit_ops.reports.lint.deeds import Deed, mentions
from ratemyunit_ops.reports.lint.migration import Migration

MANY_ROWS = 10_000
"""More rows than this in one transaction hold their locks for longer than a request waits."""
BIG_TABLE = 100_000
LONGEST_LOCK_TIMEOUT = 10.0
LONGEST_STATEMENT = 300.0
UNITS = {"ms": 0.001, "": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Said(NamedTuple):
    """A rule that speaks, about which statement (None: about the file) and what it saw."""

    rule: str
    statement: int | None
    what: str


class Known(Frozen):
    """What is known beside the migrations: the app's code, and how many rows tables have."""

    code: Code
    rows: Mapping[str, int]


@dataclass
class Transaction:
    """What the transaction that is open has done so far; a new one begins empty."""

    open: bool = False
    altered: set[str] = field(default_factory=set)
    enum_values: set[str] = field(default_factory=set)


def judge(migration: Migration, known: Known) -> Iterator[Said]:
    """Hold each statement against the rules that need to know more than its own words."""
    transaction = Transaction()
    for number, (statement, deeds) in enumerate(zip(migration.text.statements, migration.deeds, strict=True)):
        yield from _used_at_once(number, statement, transaction)
        for deed in deeds:
            foreign = not migration.makes(deed.table, "" if deed.kind == "add_column" else deed.column)
            for rule in (*_RULES, *(_OF_OTHERS if foreign else ())):
                yield from (Said(name, number, what) for name, what in rule(deed, known, transaction))
            if deed.kind in {"commit", "rollback"} and migration.is_revision and not statement.framing:
                yield Said("commits-itself", number, statement.sql[:40])
            _follow(deed, transaction, foreign)


Judgement = Iterator[tuple[str, str]]


def _follow(deed: Deed, transaction: Transaction, foreign: bool) -> None:
    if deed.kind in {"begin", "commit", "rollback"}:
        transaction.open = deed.kind == "begin"
        transaction.altered.clear()
        transaction.enum_values.clear()
    elif deed.kind in ALTERING and foreign and transaction.open:
        transaction.altered.add(deed.table)
    elif deed.kind == "add_enum_value" and transaction.open:
        transaction.enum_values.add(deed.name)


ALTERING = frozenset(
    {"add_column", "drop_column", "rename_column", "rename_table", "change_type", "set_not_null", "drop_not_null"}
    | {"set_default", "drop_default", "add_constraint", "drop_constraint", "alter_table", "disable_trigger"}
)
"""Deeds after which nobody else can read or write the table until the transaction ends."""


def _used_at_once(number: int, statement: Statement, transaction: Transaction) -> Iterator[Said]:
    words = {str(c["sval"].get("sval", "")) for c in mentions(statement.tree, "A_Const") if "sval" in c}
    for value in sorted(words & transaction.enum_values):
        yield Said("enum-value-used-at-once", number, f"“{value}” is used in the transaction that adds it")


def _settings(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    if deed.kind not in {"set", "reset"}:
        return
    value = seconds(deed.column) if deed.kind == "set" else 0.0
    if deed.name in {"lock_timeout", "all"} and _too_long(value, LONGEST_LOCK_TIMEOUT):
        yield "lock-timeout-off", f"lock_timeout becomes {deed.column or 'what the server has, which is none'}"
    if deed.name in {"statement_timeout", "all"} and _too_long(value, LONGEST_STATEMENT):
        yield "statement-timeout-off", f"statement_timeout becomes {deed.column or 'what the server has, none'}"
    if deed.name == "session_replication_role" and deed.column != "origin":
        yield "triggers-off", "session_replication_role = replica fires no trigger"


def seconds(text: str) -> float | None:
    """Read a PostgreSQL duration; a bare number is milliseconds. None where it is no duration."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d|)\s*", text)
    return float(found[1]) * UNITS[found[2]] if found else None


def _too_long(value: float | None, most: float) -> bool:
    return value is not None and not 0 < value <= most


def _place(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    kinds = {"drop_index", "reindex", "detach_partition"}
    concurrently = deed.kind in kinds and "concurrently" in deed.flags
    if transaction.open and (concurrently or deed.kind == "vacuum"):
        words = deed.kind.replace("_", " ")
        yield "not-in-transaction", f"{words}{' concurrently' if concurrently else ''} in a transaction"


def _enums(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    if deed.kind == "rename_enum_value":
        yield "enum-value-renamed", f"a value of {deed.table} becomes “{deed.name}”"


def _opaque(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    if deed.kind == "opaque":
        yield "cannot-judge", "a DO block or a call runs SQL that is not seen here"


def _locks(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    if deed.kind == "lock":
        yield "lock-table", f"{deed.table} is locked by hand"
    if deed.kind == "rewrite":
        yield "rewrites-table", f"{deed.table or 'every table'} is written anew"
    if deed.kind == "add_column" and "checked" in deed.flags:
        yield "check-with-the-column", f"{deed.table}.{deed.column} comes with a check"
    if deed.kind == "create_trigger":
        yield "trigger-on-live-table", f"{deed.table} gets the trigger {deed.name}"
    rows = known.rows.get(deed.table, 0)
    if deed.kind == "create_index" and "concurrently" not in deed.flags and rows > BIG_TABLE:
        yield "index-on-big-table", f"{deed.table} has {rows:,} rows"


def _data(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    rows = known.rows.get(deed.table)
    if deed.kind == "truncate":
        yield "truncate", f"{deed.table} is emptied"
    elif deed.kind == "delete" and "everywhere" in deed.flags:
        yield "delete-without-where", f"every row of {deed.table} is deleted"
    elif deed.kind == "update" and "everywhere" in deed.flags and (rows is None or rows > MANY_ROWS):
        counted = "how many is not known; --rows tells" if rows is None else f"{rows:,} of them"
        yield "update-without-where", f"every row of {deed.table} is updated ({counted})"
    elif deed.kind in {"update", "delete", "copy_rows"} and "limited" not in deed.flags and (rows or 0) > MANY_ROWS:
        yield "many-rows-at-once", f"{deed.table} has {rows:,} rows, and one statement may take them all"
    if deed.kind in {"update", "delete", "copy_rows"} and "limited" not in deed.flags and transaction.altered:
        yield "lock-held-during-data", f"{', '.join(sorted(transaction.altered))} was altered in this transaction"


def _compatible(deed: Deed, known: Known, transaction: Transaction) -> Judgement:
    code = known.code
    if deed.kind in {"drop_table", "rename_table"} and code.place(deed.table):
        yield "code-still-names", f"{code.place(deed.table)} names the table {deed.table}"
    if deed.kind in {"drop_column", "rename_column"} and code.place(deed.table, deed.column):
        where = code.place(deed.table, deed.column)
        yield "code-still-names", f"{where} names {deed.table}.{deed.column}"
    column = code.tables[deed.table].columns.get(deed.column) if deed.table in code.tables else None
    if deed.kind == "set_not_null" and column is not None and column.nullable:
        yield "code-still-writes-null", f"{column.where} allows {deed.table}.{deed.column} to be empty"
    omitted = deed.kind == "add_column" and "required" in deed.flags
    omitted |= deed.kind == "drop_default" and column is not None and not column.nullable and column.filled
    if omitted and code.writes(deed.table):
        yield "old-writes-omit", f"{code.writes(deed.table)} inserts into {deed.table} without {deed.column}"


Rule = Callable[[Deed, Known, Transaction], Judgement]
_RULES: tuple[Rule, ...] = (_settings, _place, _enums, _opaque)
_OF_OTHERS: tuple[Rule, ...] = (_locks, _data, _compatible)
"""Rules that do not mind what happens to a table or column which the same migration makes."""
