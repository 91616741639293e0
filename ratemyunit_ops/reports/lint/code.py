"""What the app's code knows of the schema: which tables and columns it names, and where; which it writes.

Read from its source without running it: SQLAlchemy `Table(...)` declarations, `table.c.column`, `select`, `insert`,
`update`, and words of SQL in plain strings.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from ratemyunit_ops.model import Frozen

SQL_TABLE = re.compile(r"\b(?:from|into|update|join)\s+(\w+)", re.IGNORECASE)


class KnownColumn(Frozen):
    """A column as code declares it."""

    nullable: bool
    filled: bool
    where: str


class KnownTable(Frozen):
    """A table as code declares it, and where code writes it."""

    where: str
    columns: dict[str, KnownColumn]
    written: tuple[str, ...] = ()


class Code(Frozen):
    """The schema that code knows."""

    tables: dict[str, KnownTable]

    def place(self, table: str, column: str = "") -> str:
        """Tell where code names a table, or a column of it; empty where it does not."""
        known = self.tables.get(table)
        if known is None:
            return ""
        if not column:
            return known.where
        return known.columns[column].where if column in known.columns else ""

    def writes(self, table: str) -> str:
        """Tell where code writes a table; empty where it does not."""
        known = self.tables.get(table)
        return known.written[0] if known and known.written else ""


def read_code(files: Mapping[str, str]) -> Code:
    """Read what the given sources, by name, know. One that is not Python knows nothing."""
    trees = {name: tree for name, text in sorted(files.items()) if (tree := _parsed(text)) is not None}
    variables, tables = {}, {}
    for name, tree in trees.items():
        for variable, table, known in _declared(name, tree):
            variables[variable] = table
            tables[table] = known
    for name, tree in trees.items():
        for node in ast.walk(tree):
            _note_use(node, name, variables, tables)
    return Code(tables=tables)


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _declared(name: str, tree: ast.Module) -> Iterator[tuple[str, str, KnownTable]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or _called(node.value) != "Table":
            continue
        table = _text(node.value.args[0]) if node.value.args else None
        if table and isinstance(node.targets[0], ast.Name):
            columns = dict(_column(name, a) for a in node.value.args[1:] if _is_column(a))
            yield node.targets[0].id, table, KnownTable(where=f"{name}:{node.lineno}", columns=columns)


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _called(node) == "Column" and bool(node.args) and bool(_text(node.args[0]))


def _column(name: str, node: ast.expr) -> tuple[str, KnownColumn]:
    assert isinstance(node, ast.Call)
    words = {k.arg: k.value for k in node.keywords}
    nullable, primary = words.get("nullable"), words.get("primary_key")
    required = (isinstance(nullable, ast.Constant) and nullable.value is False) or primary is not None
    filled = bool({"server_default", "default"} & set(words))
    where = f"{name}:{node.lineno}"
    return str(_text(node.args[0])), KnownColumn(nullable=not required, filled=filled, where=where)


def _note_use(node: ast.AST, name: str, variables: dict[str, str], tables: dict[str, KnownTable]) -> None:
    if isinstance(node, ast.Call) and _called(node) in {"insert", "update", "delete"} and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.Name) and argument.id in variables:
            _written(tables, variables[argument.id], f"{name}:{node.lineno}")
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "c":
        owner = node.value.value
        if isinstance(owner, ast.Name) and owner.id in variables:
            _named(tables, variables[owner.id], node.attr, f"{name}:{node.lineno}")
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        _note_sql(node.value, f"{name}:{node.lineno}", tables)


def _note_sql(text: str, where: str, tables: dict[str, KnownTable]) -> None:
    words = set(re.findall(r"\w+", text))
    for table in set(SQL_TABLE.findall(text)) & set(tables):
        for column in words & set(tables[table].columns):
            _named(tables, table, column, where)


def _written(tables: dict[str, KnownTable], table: str, where: str) -> None:
    known = tables[table]
    tables[table] = known.model_copy(update={"written": (*known.written, where)})


def _named(tables: dict[str, KnownTable], table: str, column: str, where: str) -> None:
    """Keep the first place that uses a column, rather than the one that declares it: it is what would fail."""
    known = tables[table].columns.get(column)
    if known is not None and known.where.split(":")[0] == tables[table].where.split(":")[0]:
        tables[table].columns[column] = known.model_copy(update={"where": where})


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
