"""Migrations on this machine: what SQL they run, found without a database.

An Alembic revision is run against a recorder in a process of its own, so that the SQL is Alembic's and each statement
knows its line; .sql files are cut at PostgreSQL's own statement borders. Both are parsed by PostgreSQL's own parser.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.ports import MigrationText, Statement

NEEDED = ("alembic", "pgparse")
INSTALL = "pip install 'ratemyunit-ops[lint]'   (in a checkout: make check)"
DEADLINE = 60.0
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")
"""A revision is code: it gets none of the operator's credentials."""


class FilesOfMigrations:
    """The Migrations of ports.py. `beside`: folders from which revisions may import, such as the app's."""

    def __init__(self, beside: Sequence[Path] = ()) -> None:
        self._beside = beside

    def read(self, paths: Sequence[Path]) -> tuple[MigrationText, ...]:
        """Read every migration, in the order given.

        Raises:
            Refused: a package of the extra `lint` is missing, or the revisions did not end in time.
        """
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise Refused(
                f"this rmu has no {' and no '.join(missing)}, by which migrations are read",
                state="Nothing was judged.",
                next=INSTALL,
            )
        answers = self._run([p for p in paths if p.suffix == ".py"])
        return tuple(_revision(p, answers[p]) if p.suffix == ".py" else _sql_file(p) for p in paths)

    def _run(self, revisions: Sequence[Path]) -> dict[Path, dict[str, Any]]:
        if not revisions:
            return {}
        program = Path(__file__).with_name("revision_program.py")
        asked = {"paths": [str(p) for p in revisions], "beside": [str(p) for p in self._beside]}
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(program)],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                check=False,
                timeout=DEADLINE,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            )
        except subprocess.TimeoutExpired as why:
            raise _unread(f"they did not end within {DEADLINE:.0f} s", revisions) from why
        if done.returncode:
            raise _unread((done.stderr.strip().splitlines() or ["no reason given"])[-1], revisions)
        return {Path(path): answer for path, answer in json.loads(done.stdout).items()}


def _unread(why: str, revisions: Sequence[Path]) -> Refused:
    named = revisions[0].name if len(revisions) == 1 else f"{len(revisions)} revisions"
    return Refused(f"{named} could not be run to see the SQL: {why}", state="Nothing was judged.", next=INSTALL)


def _revision(path: Path, answer: dict[str, Any]) -> MigrationText:
    text = path.read_text(errors="replace")
    found, complaint, line = [], answer["complaint"], answer["line"]
    for at, sql, framing in answer["statements"]:
        parts, wrong = _cut(sql)
        # A statement's own lines are inside a string that Alembic was handed: only the call's line is known.
        found += [part.model_copy(update={"line": at, "framing": framing}) for part in parts]
        if wrong and not complaint:
            complaint, line = wrong[0], at
    return MigrationText(path=path, text=text, statements=tuple(found), complaint=complaint, complaint_line=line)


def _sql_file(path: Path) -> MigrationText:
    raw = path.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return MigrationText(path=path, text=raw.decode(errors="replace"), complaint="it is not UTF-8 text")
    parts, wrong = _cut(text)
    complaint, line = wrong or ("", 1)
    return MigrationText(path=path, text=text, statements=tuple(parts), complaint=complaint, complaint_line=line)


def _cut(sql: str) -> tuple[list[Statement], tuple[str, int] | None]:
    """Cut a text into statements; with it, what the parser did not understand and on which line."""
    import pgparse

    try:
        trees = pgparse.parse(sql)
    except pgparse.PGQueryError as why:
        at = max(int(why.position or 1) - 1, 0)
        return [], (str(why.message), sql[:at].count("\n") + 1)
    return list(_statements(sql.encode(), trees)), None


def _statements(raw: bytes, trees: list[dict[str, Any]]) -> Iterator[Statement]:
    for found in trees:
        start = found.get("stmt_location", 0)
        length = found.get("stmt_len") or len(raw) - start
        start, end = start + _gap(raw[start : start + length]), start + length
        sql = raw[start:end].decode()
        yield Statement(sql=sql.rstrip().rstrip(";"), line=raw[:start].count(b"\n") + 1, tree=found["stmt"])


def _gap(raw: bytes) -> int:
    """Measure the spaces and comments before a statement's first word."""
    at = 0
    while at < len(raw):
        if raw[at : at + 2] == b"--":
            end = raw.find(b"\n", at)
            at = len(raw) if end < 0 else end
        elif raw[at : at + 2] == b"/*":
            at = raw.find(b"*/", at) + 2
        elif raw[at : at + 1].isspace():
            at += 1
        else:
            return at
    return at
