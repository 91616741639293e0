"""A program of its own: load Alembic revisions, let Alembic itself say what SQL each would run, answer as JSON.

It is started by `migrations.py` in a process without the operator's credentials, since a revision is code. No database
is reached: a revision that asks one gets empty answers, and its loops end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

OPTIONS = {
    "as_sql": True,
    "literal_binds": True,
    "transactional_ddl": True,
    # Any other style writes % as %%, which is not what PostgreSQL would get.
    "dialect_opts": {"paramstyle": "named"},
}


class Nothing:
    """What a database without rows answers."""

    rowcount = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def scalar(self) -> None:
        """Answer no value."""

    def first(self) -> None:
        """Answer no row."""

    def fetchone(self) -> None:
        """Answer no row."""

    def all(self) -> list[Any]:
        """Answer no rows."""
        return []

    fetchall = all
    scalar_one_or_none = one_or_none = first

    def scalars(self) -> Nothing:
        """Answer nothing, by column."""
        return self

    mappings = scalars


class Recorder:
    """Stands where the connection would: writes down what is executed, and the line that did it."""

    def __init__(self, path: Path) -> None:
        self.statements: list[tuple[int, str, bool]] = []
        self._file = str(path)
        self.context = MigrationContext.configure(dialect_name="postgresql", opts=dict(OPTIONS))
        self.context.impl.static_output = self._write  # type: ignore[method-assign]
        # Alembic's own begin and commit, told from those that a revision executes.
        self.context.impl.emit_begin = partial(self._write, "BEGIN", framing=True)  # type: ignore[method-assign]
        self.context.impl.emit_commit = partial(self._write, "COMMIT", framing=True)  # type: ignore[method-assign]
        self._offline = self.context.connection
        self.context.connection = self.context.impl.connection = self  # type: ignore[assignment]
        self.dialect = self.context.dialect

    def execute(self, construct: Any, parameters: Any = None, **options: Any) -> Nothing:
        """Write a statement down as the database would get it."""
        if parameters:
            construct = construct.bindparams(**(parameters[0] if isinstance(parameters, list) else parameters))
        self.context.impl._exec(construct)
        return Nothing()

    def scalar(self, construct: Any, parameters: Any = None) -> None:
        """Write a question down; there is no answer."""
        self.execute(construct, parameters)

    def scalars(self, construct: Any, parameters: Any = None) -> Nothing:
        """Write a question down; the answer is empty."""
        return self.execute(construct, parameters)

    def __getattr__(self, name: str) -> Any:
        """Leave everything else, such as the making of types, to what Alembic itself uses without a database."""
        return getattr(self._offline, name)

    def _write(self, text: str, *, framing: bool = False) -> None:
        self.statements.append((line_in(self._file), text.strip().rstrip(";"), framing))


def line_in(file: str) -> int:
    """Find the line of a file that is being executed; 1 where none is."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_lineno if frame is not None else 1


def read(path: Path) -> dict[str, Any]:
    """Run one revision's upgrade against the recorder."""
    recorder = Recorder(path)
    try:
        module = load(path)
        if not hasattr(module, "upgrade"):
            return {"statements": [], "complaint": "it has no upgrade()", "line": 1}
        recorder.context.impl.emit_begin()
        with environment(recorder), Operations.context(recorder.context):
            module.upgrade()
        recorder.context.impl.emit_commit()
    except (Exception, SystemExit) as why:  # noqa: BLE001  (a revision is anybody's code; what it raised is the answer)
        return {"statements": recorder.statements, "complaint": said(why), "line": line_of(why, path)}
    return {"statements": recorder.statements, "complaint": "", "line": 1}


def environment(recorder: Recorder) -> EnvironmentContext:
    """Make what `from alembic import context` speaks to: offline, with the recorder's own context."""
    made = EnvironmentContext(Config(), None, as_sql=True)  # type: ignore[arg-type]
    made._migration_context = recorder.context
    return made


def load(path: Path) -> ModuleType:
    """Import a revision under a name of its own."""
    if b"\0" in path.read_bytes():  # which Python calls a ValueError before 3.11.4
        raise SyntaxError("source code cannot contain null bytes")
    spec = importlib.util.spec_from_file_location(f"revision_{abs(hash(path))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(why: BaseException) -> str:
    """Say an exception in one line."""
    first = (str(why).splitlines() or [""])[0]
    return f"{type(why).__name__}: {first}"[:300]


def line_of(why: BaseException, path: Path) -> int:
    """Find the line of the revision in which it was raised."""
    if isinstance(why, SyntaxError):
        return why.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(why.__traceback__) if frame.filename == str(path)]
    return (lines or [1])[-1] or 1


def main() -> None:
    """Read the request from stdin, answer on stdout; what revisions print goes to stderr."""
    asked = json.load(sys.stdin)
    sys.path.extend(asked["beside"])
    sys.dont_write_bytecode = True
    with contextlib.redirect_stdout(sys.stderr):
        answers = {path: read(Path(path)) for path in asked["paths"]}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
