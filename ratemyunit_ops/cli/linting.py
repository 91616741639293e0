"""What `rmu migrate lint` does: find the files, have them read, judge them, show what was found."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from ratemyunit_ops import settings as settings_file
from ratemyunit_ops.cli.wire import Wired, wire
from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import DataView
from ratemyunit_ops.outside.migrations import FilesOfMigrations
from ratemyunit_ops.outside.squawk import Squawk
from ratemyunit_ops.records import read_pointer
from ratemyunit_ops.reports.lint.judging import Around, Finding, examine, lines, unsafe
from ratemyunit_ops.reports.lint.rules import ASKED
from ratemyunit_ops.show.screen import Screen

MIGRATIONS = Path("app") / "ratemyunit" / "migrations"
NEXT = "rmu migrate lint --help"


def lint(paths: Sequence[Path], rows: Sequence[str], env: str | None, *, as_json: bool) -> None:
    """Judge migrations and show the findings; exit 3 when one is unsafe. Only a named environment is looked at."""
    screen, seen, applied = Screen(as_json=as_json), _counted(rows), ""
    if env:
        wired = wire(env, as_json=as_json)
        screen = wired.screen
        rows_there, applied = look_live(wired)
        seen = {**rows_there, **seen}
    root = checkout(env)
    files = find(paths or [root / MIGRATIONS])
    findings = lint_files(files, root=root, rows=seen, applied=applied)
    document = {"findings": [f.model_dump() for f in findings], "read": len(files), "unsafe": unsafe(findings)}
    screen.result(document, lines(findings, len(files)))
    if unsafe(findings):
        raise typer.Exit(3)


def look_live(wired: Wired) -> tuple[dict[str, int], str]:
    """Count the rows of each table of the database that serves, and name its schema.

    Before the first deploy there is none, and nothing is known of it.
    """
    database = read_pointer(wired.outside.ledger).database
    live = wired.outside.data.look(database, since=None) if database else DataView()
    return {name: table.rows for name, table in live.tables.items()}, live.schema_head


def lint_files(files: Sequence[Path], *, root: Path, rows: Mapping[str, int], applied: str = "") -> tuple[Finding, ...]:
    """Judge these files, each in the line of its folder; findings about its neighbours are left out.

    Raises:
        Refused: squawk, or what reads revisions, is missing.
    """
    package = _package(files) or root / MIGRATIONS.parent
    around = Around(code=_code(package, root), rows=rows, applied=applied)
    texts = FilesOfMigrations([package.parent]).read(_with_neighbours(files))
    found = examine(texts, Squawk().complaints(texts, ASKED), around, root=root)
    asked = {_shown(path, root) for path in files}
    return tuple(f for f in found if f.file in asked)


def checkout(env: str | None = None) -> Path:
    """Name the folder with rmu.toml; here, where there is none: a file can be judged anywhere."""
    try:
        return settings_file.load(env).root
    except Mistyped:
        if env:
            raise
        return Path.cwd()


def find(paths: Sequence[Path]) -> list[Path]:
    """List the migrations under the given files and folders.

    Raises:
        Mistyped: there is no such path, it is neither .py nor .sql, or a folder has no migrations.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Mistyped(f"there is no {path}", next=NEXT)
        if path.is_file() and path.suffix not in {".py", ".sql"}:
            raise Mistyped(f"{path} is no migration: it is neither .py nor .sql", next=NEXT)
        if not os.access(path, os.R_OK):
            raise Mistyped(f"{path} may not be read by you", next=f"ls -l {path}")
        inside = [path] if path.is_file() else sorted(_inside(path))
        if not inside:
            raise Mistyped(f"{path} has no migrations in it", next=NEXT)
        found += [p.resolve() for p in inside]
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> Iterator[Path]:
    """List what is a migration under a folder; hidden folders, such as a .venv, are left out."""
    for path in folder.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        if path.suffix == ".sql" or (path.suffix == ".py" and _is_revision(path)):
            yield path


def _is_revision(path: Path) -> bool:
    """Tell whether a file stands in Alembic's line: by its folder, else by what it defines."""
    if path.parent.name == "versions":
        return path.name != "__init__.py"
    try:
        body = ast.parse(path.read_text(errors="replace")).body
    except (SyntaxError, ValueError):
        return False
    names = {getattr(node, "name", "") for node in body}
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return "upgrade" in names and any(isinstance(t, ast.Name) and t.id == "revision" for t in targets)


def _with_neighbours(files: Sequence[Path]) -> list[Path]:
    """Add the other revisions of each folder: what came before decides what a revision may do."""
    folders = sorted({p.parent for p in files if p.suffix == ".py"})
    beside = (p for folder in folders for p in sorted(folder.glob("*.py")) if _is_revision(p))
    return list(dict.fromkeys([*files, *beside]))


def _package(files: Sequence[Path]) -> Path | None:
    """Find the package that the migrations belong to, in whatever tree: its code is what they meet."""
    folders = (folder for path in files for folder in path.parents if folder.name == MIGRATIONS.name)
    return next((f.parent for f in folders if (f.parent / "__init__.py").is_file()), None)


def _code(package: Path, root: Path) -> dict[str, str]:
    sources = (p for p in package.rglob("*.py") if "migrations" not in p.relative_to(package).parts)
    return {_shown(p, root): p.read_text(errors="replace") for p in sources}


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _counted(rows: Sequence[str]) -> dict[str, int]:
    counted = {}
    for word in rows:
        table, equals, count = word.partition("=")
        if not table or not equals or not count.replace("_", "").isdigit():
            raise Mistyped(f"--rows {word}: write it as table=number", next="rmu migrate lint --rows units=2000000")
        counted[table] = int(count)
    return counted
