"""squawk, the linter of PostgreSQL migrations: one process over many migrations, its complaints by statement."""

from __future__ import annotations

import json
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.outside.machine import on_path
from ratemyunit_ops.ports import Complaint, MigrationText

POSTGRES = "17"
SESSION = "set lock_timeout = '2s';\nset statement_timeout = '30s';\n"
"""What the app's `migrate` sets before a revision runs."""
DEADLINE = 60.0


class Squawk:
    """The SqlRules of ports.py."""

    def complaints(self, migrations: Sequence[MigrationText], rules: Sequence[str]) -> tuple[Complaint, ...]:
        """Hold every migration against the named rules.

        Raises:
            Refused: squawk is missing, did not end in time, or answered what it never did before.
        """
        program = _find()
        with tempfile.TemporaryDirectory(prefix="rmu-lint-") as folder:
            written = {str(number): m for number, m in enumerate(migrations) if m.statements}
            starts = {name: _write(Path(folder) / f"{name}.sql", m) for name, m in written.items()}
            # A configuration of its own: squawk would else take a .squawk.toml from wherever the operator stands.
            (Path(folder) / "squawk.toml").touch()
            argv = [program, "--config", "squawk.toml", "--reporter", "json", "--pg-version", POSTGRES]
            argv += [word for rule in rules for word in ("--include", rule)]
            found = _run([*argv, *(f"{name}.sql" for name in written)], folder) if written else []
        complaints = (
            _complaint(written, starts, each) for each in found if each["rule_name"] in {*rules, "syntax-error"}
        )
        return tuple(complaints)


def _find() -> str:
    found = on_path("squawk")
    if found is None:
        raise Refused(
            "this machine has no squawk, which knows the SQL rules",
            state="Nothing was judged.",
            next="pip install 'ratemyunit-ops[lint]'   (in a checkout: make check)",
        )
    return found


def _write(path: Path, migration: MigrationText) -> list[int]:
    """Write the statements one after the other; answer the line (from 0) on which each begins."""
    text, starts = SESSION if migration.path.suffix == ".py" else "", []
    for statement in migration.statements:
        starts.append(text.count("\n"))
        # An exception is made by `accept`, with a reason; squawk's own comments need none, so they do not count.
        text += statement.sql.replace("squawk-", "squawk_") + "\n;\n"
    path.write_text(text)
    return starts


def _run(argv: Sequence[str], folder: str) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=DEADLINE)
    except subprocess.TimeoutExpired as why:
        raise Refused(
            f"squawk did not end within {DEADLINE:.0f} s",
            state="Nothing was judged.",
            next="rmu migrate lint FILE   (one migration at a time shows which it is)",
        ) from why
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except json.JSONDecodeError as why:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise Refused(
            f"squawk ended with {done.returncode} and said: {said[0]}",
            state="Nothing was judged.",
            next="pip install --upgrade 'ratemyunit-ops[lint]'",
        ) from why
    return found


def _complaint(written: dict[str, MigrationText], starts: dict[str, list[int]], each: dict[str, Any]) -> Complaint:
    name = Path(each["file"]).stem
    migration = written[name]
    number = max(bisect_right(starts[name], int(each["line"])) - 1, 0)
    inside = int(each["line"]) - starts[name][number]
    first = migration.statements[number].line
    return Complaint(
        path=migration.path,
        statement=number,
        line=first + inside if migration.path.suffix == ".sql" else first,
        rule=str(each["rule_name"]),
        message=str(each["message"]),
    )
