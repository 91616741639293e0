"""What a version's migrations are, who can run on what they make, and whether all is ready for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from ratemyunit_ops.model import (
    DatabaseView,
    Facts,
    Frozen,
    ImageView,
    PendingMigration,
    Release,
    RunHeader,
    SchemaNote,
)
from ratemyunit_ops.ports import Ledger
from ratemyunit_ops.records import read_bodies, read_headers

TAKES_AT_MOST = 30.0
"""Seconds; what takes longer is split into smaller migrations."""
SHIPPED_WITHIN = timedelta(minutes=15)
"""Logs reach the backups every five minutes; three times that is no delay any more."""
A_QUARTER = timedelta(days=92)


class CanRun(Frozen):
    """Whether a release can run on the schema as it is, after the expand revisions, and after the contract ones."""

    release: str
    code: str
    serves: bool
    now: bool
    after_expand: bool
    after_contract: bool


class MigrationsReport(Frozen):
    """The answer of `rmu migrate plan --json`."""

    version: str
    database: str
    current: str
    head: str
    tip: str
    pending: tuple[PendingMigration, ...]
    can_run: tuple[CanRun, ...]


class ChecklistLine(Frozen):
    """One line of the checklist, and what was looked up for it just now. `ask` is for a person to answer."""

    line: str
    verdict: Literal["ok", "fails", "ask"]
    seen: str
    mend: str = ""


class Rehearsal(Frozen):
    """What the newest rehearsal of a version saw."""

    run: str
    at: datetime
    outcome: str
    digest: str = ""
    head_before: str = ""
    took_s: float | None = None
    contract_s: float | None = None
    old_works: bool | None = None


def report_migrations(
    version: str, image: ImageView, now: SchemaNote, releases: Sequence[Release], live: str | None
) -> MigrationsReport:
    """Tell what an image would bring to a database, and who can run on the result. Without labels: head alone."""
    tip = image.tip
    pending = image.pending(now.head, contract=True)
    expanded = image.pending(now.head)
    stages = [
        (now.head, now.admits),
        (max(now.head, image.schema_head), _admits(now, expanded)),
        (max(now.head, tip), _admits(now, pending)),
    ]
    shown = [r for r in releases if r.version == live or r.verdict == "good"][-6:]
    return MigrationsReport(
        version=version,
        database=now.database,
        current=now.head,
        head=image.schema_head,
        tip=tip,
        pending=pending,
        can_run=tuple(
            CanRun(
                release=r.version,
                code=r.schema_head,
                serves=r.version == live,
                **dict(
                    zip(
                        ("now", "after_expand", "after_contract"),
                        (r.runs_on(head, admits) for head, admits in stages),
                        strict=True,
                    )
                ),
            )
            for r in shown
        ),
    )


def newest_rehearsal(ledger: Ledger, version: str) -> Rehearsal | None:
    """Read the newest rehearsal of a version out of the journal; None where there was none."""
    for header in reversed(read_headers(ledger)):
        if header.verb != "migrate rehearse" or header.outcome is None:
            continue
        bodies = read_bodies(ledger, header.run)
        if bodies[0]["facts"]["plan"]["request"].get("version") == version:
            return _rehearsal(header, bodies)
    return None


def checklist(
    *,
    now: datetime,
    image: ImageView,
    schema: SchemaNote,
    live: Release,
    rehearsal: Rehearsal | None,
    runs: Sequence[RunHeader],
    database: DatabaseView | str,
    lint: tuple[bool, str, str],
    dashboard: str,
) -> tuple[ChecklistLine, ...]:
    """Judge the review's pre-production checklist; `database` and `lint` tell why where they could not be looked at.

    `lint`: whether the revisions are safe, what was seen, and what mends it.
    """
    return (
        _line("tested before it gets here: lint", *lint),
        _rehearsed(image, schema, rehearsal),
        _way_back_tested(now, runs),
        _compatible(image, schema, live, rehearsal),
        _fast(image, schema, rehearsal),
        _restorable(now, database),
        ChecklistLine(line="dashboard open while it runs", verdict="ask", seen=dashboard),
        ChecklistLine(line="engineer on call at hand", verdict="ask", seen="only a person knows"),
    )


def _admits(now: SchemaNote, revisions: Sequence[PendingMigration]) -> str:
    return max([now.admits, *(r.oldest_code for r in revisions)])


def _rehearsal(header: RunHeader, bodies: list[dict[str, Any]]) -> Rehearsal:
    done: Facts = next((b["facts"] for b in bodies if b["kind"] == "done" and "rehearsed" in b["facts"]), {})
    after: Facts = next((b["facts"] for b in bodies if b["kind"] == "done" and "contracted" in b["facts"]), {})
    # One that was killed in the middle found its work done, and measured nothing.
    took, contract = (facts["took_s"] if facts.get("ran") else None for facts in (done, after))
    return Rehearsal(
        run=header.run,
        at=header.started,
        outcome=header.outcome or "open",
        digest=done.get("rehearsed", ""),
        head_before=done.get("head_before") or "",
        took_s=took,
        contract_s=contract,
        old_works=(done.get("old_works") or {}).get("ok"),
    )


def _line(line: str, ok: bool, seen: str, mend: str) -> ChecklistLine:
    return ChecklistLine(line=line, verdict="ok" if ok else "fails", seen=seen, mend="" if ok else mend)


def _rehearsed(image: ImageView, schema: SchemaNote, seen: Rehearsal | None) -> ChecklistLine:
    line, mend = (
        "tested on a copy of this database",
        f"rmu migrate rehearse {image.tags[0] if image.tags else 'VERSION'}",
    )
    if seen is None:
        return _line(line, False, "never rehearsed", mend)
    if seen.outcome != "done":
        return _line(line, False, f"run {seen.run} of {seen.at:%Y-%m-%d %H:%M} UTC ended as {seen.outcome}", mend)
    if seen.digest != image.digest:
        return _line(line, False, f"run {seen.run} rehearsed another image, {seen.digest[:19]}", mend)
    if seen.head_before != schema.head:
        why = f"run {seen.run} began at schema {seen.head_before}, the database has {schema.head} now"
        return _line(line, False, why, mend)
    return _line(line, True, f"run {seen.run}, {seen.at:%Y-%m-%d %H:%M} UTC", mend)


def _way_back_tested(now: datetime, runs: Sequence[RunHeader]) -> ChecklistLine:
    line = "way back documented (docs/migrations.md) and tested"
    proofs = [r for r in runs if r.verb in {"db restore", "dr drill", "dr restore"} and r.outcome == "done"]
    if not proofs:
        return _line(line, False, "no restore and no drill was ever done here", "rmu dr drill")
    newest = proofs[-1]
    seen = f"{newest.verb} {newest.run}, {(now - newest.started).days} days ago"
    return _line(line, now - newest.started <= A_QUARTER, seen, "rmu dr drill")


def _compatible(image: ImageView, schema: SchemaNote, live: Release, seen: Rehearsal | None) -> ChecklistLine:
    line = f"backward compatible: {live.version} goes on reading and writing"
    todo = image.pending(schema.head)
    contract = [r.revision for r in todo if r.phase == "contract"]
    if contract or _admits(schema, todo) > live.schema_head:
        which = f"{contract[0]} is a contract revision" if contract else f"it needs code of {_admits(schema, todo)}"
        return _line(line, False, which, "rmu migrate plan")
    proven = seen is not None and seen.old_works is True
    how = f"every revision says so, and run {seen.run} tried it" if seen and proven else "no rehearsal has tried it"
    return _line(line, proven, how, "rmu migrate rehearse VERSION")


def _fast(image: ImageView, schema: SchemaNote, seen: Rehearsal | None) -> ChecklistLine:
    line, mend = f"runs in under {TAKES_AT_MOST:.0f} s", "split it into smaller migrations, then rehearse again"
    expand, contract = image.schema_head > schema.head, image.tip > max(schema.head, image.schema_head)
    if not expand and not contract:
        return _line(line, True, "nothing to run", mend)
    took = [seen.took_s if expand else None, seen.contract_s if contract else None] if seen else []
    measured = [seconds for seconds in took if seconds is not None]
    if len(measured) < expand + contract or seen is None:
        return _line(line, False, "never measured", "rmu migrate rehearse VERSION")
    told = " and, its contract, ".join(f"{seconds:.1f} s" for seconds in measured)
    return _line(line, max(measured) < TAKES_AT_MOST, f"{told} on the copy of run {seen.run}", mend)


def _restorable(now: datetime, database: DatabaseView | str) -> ChecklistLine:
    line = "database can be restored to just before it"
    if isinstance(database, str):
        return _line(line, False, f"it could not be looked at: {database}", "rmu doctor")
    latest = database.latest_restorable
    if latest is None:
        return _line(line, False, f"{database.identifier} has no backups", "rmu status")
    seen = f"{database.identifier} up to {latest:%H:%M:%S} UTC; what comes after ships within minutes"
    return _line(line, now - latest <= SHIPPED_WITHIN, seen, "rmu status")
