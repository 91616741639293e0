"""Plan what comes after a restore: give back the rows it left behind, let the instance go that it superseded."""

from __future__ import annotations

from datetime import datetime, timedelta

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Database, DatabaseNote, Frozen, World
from ratemyunit_ops.planning.common import need
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.data import ApplySalvage, ComputeSalvage, FenceDatabase
from ratemyunit_ops.steps.drill import AdmitAgain, FenceFromOutside
from ratemyunit_ops.steps.restore import PointTo, RetireDatabase

SLACK = timedelta(seconds=60)
"""How much earlier than the restore point a salvage begins to look: a commit is stamped before it is durable."""


class SalvageRequest(Frozen):
    """Whose left-behind rows are meant: those of a restore; `apply` gives them back at once."""

    run: str
    rmu_version: str
    restore: Plan
    apply: bool = False


class ForgetRequest(Frozen):
    """Which instance is to be let go; `held` is the one that Terraform holds."""

    run: str
    rmu_version: str
    identifier: str
    held: str = ""


class Common(Frozen):
    """The past that two databases share: until when, and which restore noted the keys of that moment."""

    until: datetime
    noted_by: str


def plan_salvage(world: World, request: SalvageRequest) -> Plan:
    """Plan to find, and with `apply` to give back, what the live database lacks of the one a restore superseded.

    Raises Refused: no restore, one that was undone, an instance that is forgotten, two databases with no common past.
    """
    old, new = _superseded_by(request.restore), need(world.pointer, "the live pointer").database
    notes = {n.identifier: n for n in need(world.database_notes, "the notes of databases")}
    if new is None or old.identifier == new.identifier or old.identifier not in notes:
        raise Refused(f"run {request.restore.run} superseded no database: nothing was left behind", next="rmu history")
    if notes[old.identifier].state == "forgotten":
        raise Refused(f"{old.identifier} is forgotten: its rows can be read no more", next="rmu status")
    common = common_past(notes, old.identifier, new.identifier)
    steps: list[Step] = [
        *_reached_again(request.restore, old),
        ComputeSalvage(
            restore=request.restore.run,
            base=common.noted_by,
            old=old,
            new=new,
            since=common.until - SLACK,
            run=request.run,
        ),
    ]
    if request.apply:
        steps.append(ApplySalvage(restore=request.restore.run, new=new, run=request.run, fence=True))
    return Plan(
        run=request.run,
        verb="db salvage",
        environment=world.environment,
        request={"version": words_of(request.restore.run, apply=request.apply)},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"database": new.identifier},
        holds={"database": new.identifier},
        steps=tuple(steps),
    )


def words_of(restore: str, *, apply: bool) -> str:
    """Spell what was asked for: the same words again go on with a dead run, and nothing else does."""
    return f"{restore} --apply" if apply else restore


def plan_forget(world: World, request: ForgetRequest) -> Plan:
    """Plan to cut a superseded instance off, snapshot it and delete it, its automated backups retained.

    Raises Refused for an instance that serves, that no restore superseded, or that Terraform still holds.
    """
    live = need(world.pointer, "the live pointer").database
    noted = next(
        (n for n in need(world.database_notes, "the notes of databases") if n.identifier == request.identifier), None
    )
    if live is not None and live.identifier == request.identifier:
        raise Refused(f"{request.identifier} is the database that serves", next="rmu status")
    if noted is None or noted.state != "superseded":
        said = (
            "is forgotten already"
            if noted is not None and noted.state == "forgotten"
            else "was superseded by no restore"
        )
        raise Refused(f"{request.identifier} {said}", next="rmu status")
    if request.held == request.identifier:
        raise Refused(f"Terraform still holds {request.identifier}", next="rmu infra adopt")
    return Plan(
        run=request.run,
        verb="db forget",
        environment=world.environment,
        request={"version": request.identifier},
        rmu_version=request.rmu_version,
        created=world.at,
        steps=(RetireDatabase(identifier=request.identifier, fence=True),),
    )


def common_past(notes: dict[str, DatabaseNote], old: str, new: str) -> Common:
    """Find until when two databases are the same, and who noted the keys of that moment.

    Every restore leaves the history of its source at its restore point, so two databases part where the first of
    them left the history they share. Raises Refused where they share none.
    """
    olds, news = _line(notes, old), _line(notes, new)
    shared = next((resource for resource in news if resource in olds), None)
    parted = [end for end in (news.get(shared or ""), olds.get(shared or "")) if end is not None]
    if shared is None or not parted:
        raise Refused(f"{old} and {new} share no past that rmu noted", next="rmu status")
    return min(parted, key=lambda c: c.until)


def _line(notes: dict[str, DatabaseNote], identifier: str) -> dict[str, Common | None]:
    """List the histories a database comes from, its own first: resource id -> where it left it (None: its own)."""
    by_resource = {n.resource_id: n for n in notes.values()}
    note: DatabaseNote | None = notes.get(identifier)
    line: dict[str, Common | None] = {note.resource_id: None} if note else {}
    noted_by = note.run if note else ""
    while note is not None and note.restored_from is not None:
        left = note.restored_from
        line[left.resource_id] = Common(until=left.at, noted_by=noted_by)
        note = by_resource.get(left.resource_id)
        if note is not None and (note.live_at is None or left.at >= note.live_at):
            noted_by = note.run  # else nobody had written there yet: the keys of the later restore are its keys too
    return line


def _reached_again(restore: Plan, old: Database) -> list[Step]:
    """Open what a cut-over fenced from outside, and fence it by SQL instead: it must be read, and take no write."""
    shut = (s for s in restore.steps if isinstance(s, FenceFromOutside) and s.identifier == old.identifier)
    again = [AdmitAgain(identifier=s.identifier, admits=s.admits) for s in shut]
    return [*again, FenceDatabase(database=old, for_good=True)] if again else []


def _superseded_by(restore: Plan) -> Database:
    """Find the database that a restore put another one in the place of. Raises Refused for a run of another kind."""
    moved = next((s for s in restore.steps if isinstance(s, PointTo)), None)
    if moved is None or moved.was.database is None:
        raise Refused(f"run {restore.run} is no restore but a {restore.verb}", next="rmu history")
    return moved.was.database
