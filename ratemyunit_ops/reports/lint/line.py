"""What is wrong with what a migration says about itself, and with its place in the line of revisions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ratemyunit_ops.reports.lint.deeds import Deed
from ratemyunit_ops.reports.lint.migration import PHASES, Migration
from ratemyunit_ops.reports.lint.statements import LONGEST_STATEMENT, Said, seconds

FOUR_DIGITS = re.compile(r"\d{4}")
LEDGER = "schema_line"
"""The app's table in which every revision says which code it allows."""

TAKES_AWAY = frozenset({"drop_table", "drop_column", "rename_table", "rename_column"})
BREAKS = TAKES_AWAY | {
    *("change_type", "set_not_null", "drop_not_null", "set_default", "drop_default", "add_constraint"),
    *("validate_constraint", "drop_constraint", "drop_index", "drop_other", "drop_trigger", "rename_other"),
    *("alter_table", "alter_other", "revoke", "rename_enum_value", "delete", "update", "truncate", "opaque"),
}
"""Deeds for which a contract may be there."""


def judge(migration: Migration, before: Sequence[Migration]) -> Iterator[Said]:
    """Hold a migration against those before it in its line, oldest first."""
    if not migration.facts and migration.is_revision:
        return  # not readable as Python, which is said once
    yield from _content(migration)
    yield from _phase(migration)
    if not migration.is_revision:
        return
    yield from _number(migration, before)
    yield from _oldest_code(migration, before)
    if not migration.way_back:
        yield Said("no-way-back", None, "it says nothing about a way back")
    limit = seconds(migration.said("statement_timeout")) if migration.said("statement_timeout") else None
    if limit is not None and not 0 < limit <= LONGEST_STATEMENT:
        yield Said("statement-timeout-off", None, f"statement_timeout = “{migration.said('statement_timeout')}”")
    yield from _ledger(migration, before)


def order(revisions: Sequence[Migration], applied: str) -> Iterator[tuple[Migration, Said]]:
    """Find a contract that one deploy would have to run before its own expand. `applied`: the live schema's head."""
    for number, migration in enumerate(revisions):
        behind = [m for m in revisions[number + 1 :] if m.said("phase") == "expand"]
        if applied and migration.is_contract and migration.said("revision") > applied and behind:
            expand = behind[0].said("revision")
            yield migration, Said("contract-before-expand", None, f"{applied} is live, and the expand {expand} follows")


def _content(migration: Migration) -> Iterator[Said]:
    framing = {"begin", "commit", "rollback", "savepoint", "set", "reset"}
    deeds = [
        (s, d)
        for s, found in zip(migration.text.statements, migration.deeds, strict=True)
        for d in found or (Deed(kind="other"),)
    ]
    idle = all(d.kind in framing or (d.kind == "insert" and d.table == LEDGER) for _, d in deeds)
    if idle and not migration.text.complaint:
        yield Said("does-nothing", None, "no SQL in it")


def _phase(migration: Migration) -> Iterator[Said]:
    phase = migration.said("phase")
    if migration.is_revision and not phase:
        yield Said("phase-missing", None, "it names no phase")
    elif phase and phase not in PHASES:
        yield Said("phase-missing", None, f"there is no phase “{phase}”")
    if not migration.is_contract:
        return
    kinds = {deed.kind for deed in migration.all_deeds()}
    unique = any(d.kind == "create_index" and "unique" in d.flags for d in migration.all_deeds())
    required = any(d.kind == "add_column" and "required" in d.flags for d in migration.all_deeds())
    if kinds & {"create_table", "add_column"} and not kinds & BREAKS and not unique and not required:
        yield Said("phase-wrong", None, "a contract that only adds: code that needs it would serve before it is there")


def _number(migration: Migration, before: Sequence[Migration]) -> Iterator[Said]:
    revision, down = migration.said("revision"), migration.said("down_revision")
    if not FOUR_DIGITS.fullmatch(revision):
        yield Said("revision-number", None, f"“{revision}” is not four digits")
        return
    if not migration.path.name.startswith(f"{revision}_"):
        yield Said("revision-number", None, f"the file {migration.path.name} does not begin with {revision}_")
    for name in ("depends_on", "branch_labels"):
        if migration.said(name):
            yield Said("revision-line", None, f"{name} makes a second line")
    if not before:
        return
    previous = before[-1].said("revision")
    if revision in {m.said("revision") for m in before}:
        yield Said("revision-number", None, f"{revision} is there twice")
    elif previous.isdigit() and int(revision) != int(previous) + 1:
        yield Said("revision-number", None, f"{revision} does not follow {previous}")
    if down != previous:
        yield Said("revision-line", None, f"down_revision is {down or 'None'}, but {previous} is before it")


def _oldest_code(migration: Migration, before: Sequence[Migration]) -> Iterator[Said]:
    oldest = migration.said("oldest_code")
    if not FOUR_DIGITS.fullmatch(oldest):
        yield Said("oldest-code-missing", None, f"oldest_code is “{oldest}”" if oldest else "it has no oldest_code")
        return
    earlier = [m.said("oldest_code") for m in before if m.said("oldest_code")]
    previous = earlier[-1] if earlier else ""
    if previous and oldest < previous:
        yield Said("oldest-code-too-old", None, f"{oldest} is older than {previous}, which the one before it names")
    if previous and oldest > previous and migration.said("phase") == "expand":
        yield Said("oldest-code-raised", None, f"an expand raises oldest_code from {previous} to {oldest}")
    if not migration.is_contract:
        return
    if oldest >= migration.said("revision"):
        yield Said("contract-before-expand", None, f"it allows code of {oldest} and newer, which comes after it")
    yield from _too_old(migration, before, oldest, previous)


def _too_old(migration: Migration, before: Sequence[Migration], oldest: str, previous: str) -> Iterator[Said]:
    for deed in migration.all_deeds():
        made = _made_by(before, deed) if deed.kind in TAKES_AWAY else ""
        if made and oldest <= made:
            thing = f"{deed.table}.{deed.column}" if deed.column else deed.table
            yield Said("oldest-code-too-old", None, f"code of {oldest} names {thing}, which {made} made")
            return
    breaks = any(deed.kind in BREAKS for deed in migration.all_deeds())
    if breaks and before and not before[-1].is_contract and oldest == previous:
        yield Said("oldest-code-too-old", None, f"it breaks older code, but oldest_code stays {oldest}")


def _made_by(before: Sequence[Migration], deed: Deed) -> str:
    """Name the revision that made what a deed takes away; empty where that is not in the line."""
    for migration in reversed(before):
        for made in migration.all_deeds():
            table = made.kind == "create_table" and made.table == deed.table
            if table and (not deed.column or deed.column in made.columns):
                return migration.said("revision")
            if made.kind == "add_column" and (made.table, made.column) == (deed.table, deed.column):
                return migration.said("revision")
    return ""


def _ledger(migration: Migration, before: Sequence[Migration]) -> Iterator[Said]:
    if not any(m.makes(LEDGER) for m in (*before, migration)) or migration.text.complaint:
        return
    wanted = (migration.said("revision"), migration.said("oldest_code"))
    written = [d.columns for d in migration.all_deeds() if d.kind == "insert" and d.table == LEDGER]
    if wanted not in written:
        yield Said("schema-line", None, f"{wanted} is not written to {LEDGER}" if written else "it writes no line")
