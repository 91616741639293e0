"""The lint of migrations: findings, each with why and the safe way. Files are read, and squawk is run, elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import Complaint, MigrationText
from ratemyunit_ops.reports.lint import line, statements
from ratemyunit_ops.reports.lint.code import read_code
from ratemyunit_ops.reports.lint.migration import Migration, always_written, migration_of
from ratemyunit_ops.reports.lint.rules import RULES
from ratemyunit_ops.reports.lint.statements import Known, Said

SHORTEST_REASON = 10
SAYS_MORE = {
    "old-writes-omit": "adding-required-field",
    "index-on-big-table": "require-concurrent-index-creation",
    "triggers-off": "ban-disable-trigger",
}
"""Rules of ours that know more than one of squawk's about the same statement, and speak in its place."""
ABOUT_LINES = {
    "phase": ("phase-missing", "phase-wrong"),
    "oldest_code": ("oldest-code-missing", "oldest-code-raised", "oldest-code-too-old", "contract-before-expand"),
    "revision": ("revision-number",),
    "down_revision": ("revision-line",),
    "statement_timeout": ("statement-timeout-off",),
}
FACT_OF = {rule: fact for fact, rules in ABOUT_LINES.items() for rule in rules}


class Finding(Frozen):
    """One thing found. `accepted` is the reason that the migration gives for an exception."""

    file: str
    line: int
    rule: str
    severity: Literal["error", "warning", "accepted"]
    why: str
    safe_way: str
    statement: str = ""
    accepted: str = ""


class Around(Frozen):
    """What the migrations run into: the app's sources by name, rows by table, and the live schema's head."""

    code: Mapping[str, str]
    rows: Mapping[str, int]
    applied: str = ""


def examine(
    texts: Sequence[MigrationText], complaints: Sequence[Complaint], around: Around, *, root: Path
) -> tuple[Finding, ...]:
    """Judge every migration in the line of its folder. `root`: file names are told from there."""
    known = Known(code=read_code(around.code), rows=around.rows)
    by_path = defaultdict(list)
    for complaint in complaints:
        by_path[complaint.path].append(complaint)
    found: list[Finding] = []
    for revisions in _lines(texts):
        for number, migration in enumerate(revisions):
            said = [*line.judge(migration, revisions[:number]), *statements.judge(migration, known)]
            said += [s for m, s in line.order(revisions, around.applied) if m is migration]
            heard = [c for c in by_path[migration.path] if _matters(migration, c, revisions[:number])]
            found += _findings(migration, said, heard, _name(migration.path, root))
    return tuple(found)


def unsafe(findings: Sequence[Finding]) -> bool:
    """Tell whether something must not run as it is."""
    return any(f.severity == "error" for f in findings)


def _lines(texts: Sequence[MigrationText]) -> Iterator[list[Migration]]:
    """Put the revisions of one folder into their line; a .sql file stands alone."""
    folders: dict[Path, list[Migration]] = defaultdict(list)
    for text in texts:
        migration = migration_of(text)
        if migration.is_revision:
            folders[text.path.parent].append(migration)
        else:
            yield [migration]
    for found in folders.values():
        yield sorted(found, key=lambda m: (m.said("revision") or "9999", m.path.name))


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _findings(
    migration: Migration, said: Sequence[Said], complaints: Sequence[Complaint], name: str
) -> Iterator[Finding]:
    better = {(s.statement, SAYS_MORE[s.rule]) for s in said if s.rule in SAYS_MORE}
    found = [_ours(migration, s, name) for s in said]
    found += [_squawks(migration, c, name) for c in complaints if (c.statement, c.rule) not in better]
    if migration.text.complaint:
        found.append(_unreadable(migration, name))
    found += [
        _unexplained(migration, rule, why, name) for rule, why in migration.accepted.items() if _hollow(rule, why)
    ]
    for finding in sorted(set(found), key=lambda f: (f.line, f.rule)):
        yield _accepted(finding, migration)


def _ours(migration: Migration, said: Said, name: str) -> Finding:
    statement = None if said.statement is None else migration.text.statements[said.statement]
    at = statement.line if statement else migration.line_of(FACT_OF.get(said.rule, ""))
    return _finding(said.rule, name, at, f"{said.what}: {RULES[said.rule].why}", statement.sql if statement else "")


def _squawks(migration: Migration, complaint: Complaint, name: str) -> Finding:
    if complaint.rule == "syntax-error":
        return _blind(migration, complaint, name)
    rule = RULES[complaint.rule]
    why = rule.why if rule.phase == "any" else f"in an expand, older code still runs: {rule.why}"
    sql = migration.text.statements[complaint.statement].sql
    return _finding(rule.name, name, complaint.line, why, sql)


def _blind(migration: Migration, complaint: Complaint, name: str) -> Finding:
    """Say that squawk gave up on what PostgreSQL itself understands: its rules then hold for nothing in the file."""
    sql = migration.text.statements[complaint.statement].sql
    return _finding("cannot-judge", name, complaint.line, f"squawk does not understand it ({complaint.message})", sql)


def _matters(migration: Migration, complaint: Complaint, before: Sequence[Migration]) -> bool:
    """Leave out what a contract may do, and what happens to a table or column that nobody else can know yet."""
    rule = RULES.get(complaint.rule)
    if rule is None or (rule.phase == "expand" and migration.is_contract):
        return False
    if migration.text.statements[complaint.statement].framing:
        return False  # Alembic's own begin, whose end is missing where the revision could not be read to its end
    deeds = [d for d in migration.deeds[complaint.statement] if d.table]
    if not deeds or complaint.rule in {"adding-field-with-default", "adding-required-field"}:
        columns = [d for d in deeds if d.kind == "add_column"]
        return not columns or not all(migration.makes(d.table) for d in columns)
    if all(d.kind == "create_table" for d in deeds):
        return True
    if complaint.rule == "ban-set-default" and all(always_written(before, d.table, d.column) for d in deeds):
        return False  # no older code leaves it out, so none meets the default
    return not all(_own(migration, d.table, (d.column, *d.columns), rule.phase) for d in deeds)


def _own(migration: Migration, table: str, columns: Sequence[str], phase: str) -> bool:
    named = [c for c in columns if c]
    # An old table is locked, whatever column is new; but its new columns concern no older code.
    new_columns = bool(named) and all(migration.makes(table, c) for c in named)
    return migration.makes(table) or (phase == "expand" and new_columns)


def _unreadable(migration: Migration, name: str) -> Finding:
    syntax = "syntax error" in migration.text.complaint or "SyntaxError" in migration.text.complaint
    rule = "syntax-error" if syntax else "unreadable"
    return _finding(rule, name, migration.text.complaint_line, f"{migration.text.complaint}: {RULES[rule].why}", "")


def _hollow(rule: str, why: str) -> bool:
    return rule not in RULES or len(why) < SHORTEST_REASON


def _unexplained(migration: Migration, rule: str, why: str, name: str) -> Finding:
    at = next((n for n, t in enumerate(migration.text.text.splitlines(), 1) if f"accept {rule}:" in t), 1)
    what = f"accept {rule} gives no reason" if rule in RULES else f"there is no rule {rule}"
    return _finding("accepted-without-reason", name, at, f"{what}: {RULES['accepted-without-reason'].why}", "")


def _accepted(finding: Finding, migration: Migration) -> Finding:
    why = migration.accepted.get(finding.rule, "")
    if not why or _hollow(finding.rule, why):
        return finding
    return finding.model_copy(update={"severity": "accepted", "accepted": why})


def _finding(rule: str, name: str, at: int, why: str, sql: str) -> Finding:
    known = RULES[rule]
    return Finding(
        file=name,
        line=at,
        rule=rule,
        severity=known.severity,
        why=why,
        safe_way=known.safe_way,
        statement=" ".join(sql.split())[:200],
    )


def lines(findings: Sequence[Finding], read: int) -> list[str]:
    """Write the findings for people (rich markup)."""
    shown = [line for finding in findings for line in _shown(finding)]
    wrong = sum(f.severity == "error" for f in findings)
    verdict = f"[red]{wrong} unsafe[/]" if wrong else "[green]nothing unsafe[/]"
    return [*shown, f"{read} {'migration' if read == 1 else 'migrations'} read, {verdict}"]


MARKS = {"error": "[red]✗[/]", "warning": "[yellow]![/]", "accepted": "[green]=[/]"}


def _shown(f: Finding) -> Iterator[str]:
    yield f"{MARKS[f.severity]} {_plain(f.file)}:{f.line}  [bold]{f.rule}[/]"
    if f.statement:
        yield f"    sql       {_plain(f.statement)}"
    yield f"    why       {_plain(f.why)}"
    yield f"    accepted  {_plain(f.accepted)}" if f.accepted else f"    safe way  {_plain(f.safe_way)}"


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
