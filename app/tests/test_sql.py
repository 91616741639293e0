"""SQL takes values through parameters only: no statement is put together from text that comes from elsewhere."""

import ast
from pathlib import Path

import pytest
from conftest import APP

# What takes SQL as text, by the last part of its name.
TAKERS = {"text", "execute", "exec_driver_sql", "scalar", "scalars", "literal_column", "executemany"}

# Put together, and harmless: why.
KNOWN = {
    ("migrate.py", "f\"set lock_timeout = '{LOCK_TIMEOUT}'\""): "a constant of the module",
    (
        "migrate.py",
        "f'drop index concurrently if exists {name}'",
    ): "PostgreSQL's own spelling of a regclass, quoted by it",
}


def put_together(source: str) -> set[str]:
    """Find what is handed to a taker of SQL and is no plain constant, in its own words."""
    found = set()
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in TAKERS and call.args and _pieces(call.args[0]):
            found.add(ast.unparse(call.args[0]))
    return found


def _pieces(sql: ast.expr) -> bool:
    if isinstance(sql, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in sql.values)
    if isinstance(sql, ast.BinOp):
        return not all(isinstance(n, ast.Constant) for n in (sql.left, sql.right))
    if isinstance(sql, ast.Call) and isinstance(sql.func, ast.Attribute):
        return sql.func.attr in {"format", "join", "replace"} and isinstance(sql.func.value, ast.Constant)
    return False


def modules() -> list[Path]:
    """List our modules; what migrates has no values but its own constants."""
    return [p for p in sorted((APP / "ratemyunit").rglob("*.py")) if "versions" not in p.parts]


def test_no_statement_of_ours_is_put_together_from_text() -> None:
    found = {(path.name, sql) for path in modules() for sql in put_together(path.read_text())}

    assert len(modules()) > 30
    assert found - set(KNOWN) == set()
    assert set(KNOWN) - found == set()


@pytest.mark.parametrize(
    "naive",
    [
        "connection.execute(text(f\"select * from users where email = '{email}'\"))",
        'connection.execute(text("select * from users where email = \'" + email + "\'"))',
        "connection.execute(text(\"select * from users where email = '%s'\" % email))",
        "connection.execute(text(\"select * from users where email = '{}'\".format(email)))",
        "connection.exec_driver_sql(f'select {column} from users')",
        "query.order_by(literal_column(f'{column} desc'))",
        "connection.execute(text(' '.join(words)))",
    ],
)
def test_the_search_finds_each_naive_way(naive: str) -> None:
    assert put_together(naive)


@pytest.mark.parametrize(
    "fine",
    ["connection.execute(text('select :x'), {'x': email})", "connection.execute(select(users))", "log.info(f'{x}')"],
)
def test_and_leaves_parameters_alone(fine: str) -> None:
    assert not put_together(fine)
