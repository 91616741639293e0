"""Plan a restore: another database beside what serves, the right release on it, and a cut-over with requests held."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from pydantic import Field

from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.model import (
    Database,
    DataView,
    Frozen,
    LiveNote,
    Pointer,
    Release,
    RestorePoint,
    RestoreWindow,
    SchemaNote,
    Unknown,
    World,
)
from ratemyunit_ops.planning.common import TAKES, credentials_last, database_of, live_release, members, need, schemas_of
from ratemyunit_ops.spans import WRITTEN, read_span
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import Proven, Ready
from ratemyunit_ops.steps.data import FenceDatabase, MoveSequences, WarmDatabase
from ratemyunit_ops.steps.database import JUST_AFTER
from ratemyunit_ops.steps.fleet import Prepare, StartRelease, StartWorker, StopRelease
from ratemyunit_ops.steps.infra import HostsInService
from ratemyunit_ops.steps.restore import (
    DatabaseAvailable,
    PointTo,
    RecordRestore,
    RenewPasswords,
    Restorable,
    RestoreDatabase,
    SameSettings,
    SettleDatabase,
)
from ratemyunit_ops.steps.traffic import BringAlong, HoldRequests, LetRequestsGo, Serve

SHIPPED_EVERY = timedelta(minutes=5)
"""How often logs reach the backups: nothing newer than the last can be restored."""
MIGRATES = timedelta(minutes=20)
"""A migration is noted once it has ended: one that was noted so soon after a moment may have been under way in it."""
PROVEN_WITHIN = timedelta(minutes=2)
"""A host that has just come into service is behind the front door a little later."""
HELD_AT_MOST = timedelta(seconds=30)
TO = "--to '2026-11-27 14:05 UTC'   (or '12m ago')"


class Before(Frozen):
    """The moment that a run noted before it changed the schema, and which release was live then."""

    run: str
    point: RestorePoint
    live: str | None


class RestoreRequest(Frozen):
    """What the operator asked for: a moment, the moment before a run, or (neither) the latest there is."""

    run: str
    rmu_version: str
    words: str
    at: datetime | None = None
    before: Before | None = None
    ready_deadline: timedelta = timedelta(minutes=2)
    expires: datetime | None = None
    takes: timedelta = TAKES


class Aim(Frozen):
    """What a restore leads to: the point, and the release that runs on what was there."""

    point: RestorePoint
    release: Release
    head: str
    admits: str
    sure: bool = Field(default=False, description="whether no migration was under way then, so that the head is known")


def read_time(text: str, now: datetime) -> datetime:
    """Read a moment as people type it, to whole seconds: with a zone, or `12m ago`.

    Raises Mistyped: no time at all, no zone, in the future.
    """
    text = text.strip()
    ago = text.removesuffix(" ago")
    if ago != text and WRITTEN.fullmatch(ago):
        return (now - read_span(ago)).replace(microsecond=0)
    try:
        found = datetime.fromisoformat(re.sub(r"\s*UTC$", "+00:00", text))
    except ValueError as why:
        raise Mistyped(f"“{text}” is no time that rmu can read", next=TO) from why
    if found.tzinfo is None:
        raise Mistyped(f"“{text}” names no time zone, and an hour off is an hour of rows", next=f"--to '{text} UTC'")
    found = found.astimezone(now.tzinfo).replace(microsecond=0)
    if found > now:
        raise Mistyped(f"{found:%Y-%m-%d %H:%M:%S} UTC is still to come (it is {now:%H:%M:%S} UTC)", next=TO)
    return found


def aim(world: World, request: RestoreRequest) -> Aim:
    """Find the point and the release that was live then, or another one that runs on the schema of then.

    Raises:
        Refused: nothing was live then, no release runs on that schema, the history of that database is gone.
        Unreachable: ledger or control plane could not be read.
    """
    if request.before is not None:
        point, note = request.before.point, _live_at(world, request.before.point.at)
        version = request.before.live or (note.release if note else None)
    else:
        at = request.at or _latest(world)
        note = _live_at(world, at)
        point, version = RestorePoint(resource_id=_resource(world, note), at=at), note.release if note else None
    point = point.model_copy(update={"at": point.at.replace(microsecond=0)})
    window = _window(world, point)
    schema = _schema_at(world, window, point.at)
    soon = [n for n in schemas_of(world, window.identifier) if point.at < n.at < point.at + MIGRATES]
    return Aim(
        sure=schema is not None and (request.before is not None or not soon),
        point=point,
        release=_runs(world, version, window, schema, point.at),
        head=schema.head if schema else "",
        admits=schema.admits if schema else "",
    )


def plan_restore(world: World, request: RestoreRequest, goal: Aim) -> Plan:
    """Plan to bring the data of a moment back, and the release that runs on it, beside what serves until the cut-over.

    Raises:
        Refused: before the window, no longer possible, an image that is gone, credentials that end too early.
        Unreachable: something the restore relies on could not be read, or the live database does not answer.
    """
    live = live_release(world)
    if live is None:
        raise Refused("nothing is live, so there is nothing to restore beside", next="rmu status")
    _possible(world, goal)
    _image_is_there(world, goal.release)
    credentials_last(request.expires, world.at, request.takes)
    left = _what_serves(world)
    hosts, source = members(world), database_of(world)
    return Plan(
        run=request.run,
        verb="db restore",
        environment=world.environment,
        request={"version": request.words, "told": told(world, request, goal, left)},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"live": live.version, "members": hosts, "database": source.identifier},
        holds={"members": hosts},
        steps=tuple(_steps(world, request, goal, live)),
    )


def _what_serves(world: World) -> DataView:
    """Read the database that serves. Raises Unreachable, which names what fences one that SQL cannot reach."""
    if isinstance(world.data, Unknown) and world.data.mute:
        raise Unreachable(
            f"the database that serves does not answer: {world.data.why}",
            next="rmu dr restore --latest --cut-over   (fences it from outside, if it stays dead)",
        )
    return need(world.data, "the database that serves")


def told(world: World, request: RestoreRequest, goal: Aim, left: DataView) -> dict[str, Any]:
    """Make what programs are told of a restore, beyond what they are told of any run."""
    return {
        "restore_point": goal.point.model_dump(mode="json"),
        "left_behind": {n: t.written for n, t in sorted(left.tables.items()) if t.written} if left.dated else None,
        "instance": restored_name(world.environment, request.run),
        "superseded": None,
    }


def restored_name(environment: str, run: str) -> str:
    """Name the restored instance at plan time, as RDS allows; it keeps the name for life."""
    return f"rmu-{environment}-db-{run.removeprefix('r-').lower()}"[:63]


def possible_from(window: RestoreWindow, at: datetime, now: datetime) -> datetime | None:
    """Tell when a moment can be restored, by how often logs are shipped; None where it can be now."""
    if at <= window.latest:
        return None
    shipments = -((window.latest - at) // SHIPPED_EVERY)
    return max(window.latest + shipments * SHIPPED_EVERY, now + timedelta(minutes=1))


def _steps(world: World, request: RestoreRequest, goal: Aim, live: Release) -> list[Step]:
    source, pointer = database_of(world), need(world.pointer, "the live pointer")
    name, run = restored_name(world.environment, request.run), request.run
    like, restored = need(world.settings, "the settings of the database"), Database(identifier=name)
    ref, old, head = goal.release.on(name), live.on(source.identifier), goal.release.schema_head
    return [
        _restorable(world, goal),
        RestoreDatabase(identifier=name, point=goal.point, like=like, run=run),
        DatabaseAvailable(identifier=name, verb="db restore", point=goal.point),
        SettleDatabase(identifier=name, like=like),
        SameSettings(identifier=name, like=like),
        RenewPasswords(database=restored),
        WarmDatabase(database=restored, run=run),
        HostsInService(),
        Prepare(release=goal.release, database=restored),
        StartRelease(release=ref, schema_head=head, worker_before=old, deadline=request.ready_deadline),
        Ready(release=ref, schema_head=head, deadline=request.ready_deadline),
        HoldRequests(at_most=HELD_AT_MOST),
        FenceDatabase(database=source, hold=HELD_AT_MOST),
        MoveSequences(old=source, new=restored, hold=HELD_AT_MOST),
        PointTo(
            pointer=Pointer(release=goal.release.version, database=restored),
            was=pointer,
            run=run,
            restored_from=goal.point,
            hold=HELD_AT_MOST,
            fence=True,
        ),
        Serve(release=ref, instead_of=old, let_go=True, fence=True),
        LetRequestsGo(),
        BringAlong(release=goal.release, database=restored, ready=request.ready_deadline),
        Proven(release=ref, every_host=True, deadline=PROVEN_WITHIN),
        RecordRestore(
            release=goal.release.version,
            left=live.version if live.version != goal.release.version else None,
            database=restored,
            head=goal.head if goal.sure else "",
            admits=goal.admits,
            run=run,
        ),
        StartWorker(release=ref, instead_of=old),
        StopRelease(release=old, schema_head=live.schema_head, resume_worker=None),
    ]


def _restorable(world: World, goal: Aim) -> Restorable:
    when = possible_from(_window(world, goal.point), goal.point.at, world.at)
    wait = when - world.at if when else timedelta(0)
    return Restorable(point=goal.point, verb="db restore", possible=when, wait=wait)


def _live_at(world: World, at: datetime) -> LiveNote | None:
    """Find what was noted to be live at a moment. Before the first note, the records of releases tell."""
    notes = need(world.live_notes, "the notes of what was live")
    before = [n for n in notes if n.at <= at]
    if before:
        return before[-1]
    later = {n.run for n in notes}
    older = [
        r
        for r in need(world.releases, "the list of releases")
        if r.created <= at and r.verdict != "unknown" and r.run not in later
    ]
    if not older:
        return None
    first = notes[0] if notes else None
    return LiveNote(
        at=older[-1].created,
        release=older[-1].version,
        database=first.database if first else database_of(world),
        resource_id=first.resource_id if first else "",
        run=older[-1].run,
    )


def _latest(world: World) -> datetime:
    live = need(world.database, "the database that serves")
    window = next((w for w in _windows(world) if w.resource_id == live.resource_id), None)
    if window is None:
        raise Refused(f"{live.identifier} has no backup yet that could be restored", next="rmu status")
    return window.latest


def _resource(world: World, note: LiveNote | None) -> str:
    """Find the history that holds a moment: the resource id that was noted, else the instance's of that name."""
    if note is not None and note.resource_id:
        return note.resource_id
    live = need(world.database, "the database that serves")
    name = note.database.identifier if note is not None and note.database else live.identifier
    return next((w.resource_id for w in _windows(world) if w.identifier == name), live.resource_id)


def _windows(world: World) -> tuple[RestoreWindow, ...]:
    return need(world.windows, "what can be restored")


def _window(world: World, point: RestorePoint) -> RestoreWindow:
    found = next((w for w in _windows(world) if w.resource_id == point.resource_id), None)
    if found is None:
        raise Refused(
            f"{point.resource_id}, which served at {point.at:%Y-%m-%d %H:%M:%S} UTC, is gone with all its backups",
            next="rmu status",
        )
    return found


def _schema_at(world: World, window: RestoreWindow, at: datetime) -> SchemaNote | None:
    before = [n for n in schemas_of(world, window.identifier) if n.at <= at]
    return before[-1] if before else None


def _runs(world: World, version: str | None, window: RestoreWindow, schema: SchemaNote | None, at: datetime) -> Release:
    """Choose the release: what was live then, where it runs on the schema of then; else the newest good one that does.

    Raises Refused where none is good, and names the moment before the run that shut out what was live.
    """
    releases = need(world.releases, "the list of releases")
    then = next((r for r in releases if r.version == version), None)
    if then is None:
        raise Refused(f"nothing was live at {at:%Y-%m-%d %H:%M:%S} UTC", next="rmu history")
    if schema is None or then.runs_on(schema.head, schema.admits):
        return then
    fit = [r for r in releases if r.verdict == "good" and r.created <= at and r.runs_on(schema.head, schema.admits)]
    if not fit:
        before = _before_shut(schemas_of(world, window.identifier), then, at)
        raise Refused(
            f"no good release of then runs on the schema of then ({schema.head})",
            next=f"rmu db restore --to '{before:%Y-%m-%d %H:%M:%S} UTC'",
        )
    return fit[-1]


def _before_shut(notes: Sequence[SchemaNote], then: Release, at: datetime) -> datetime:
    """Tell the last whole second before the run that had shut a release out at a moment touched the schema."""
    shut = list(takewhile(lambda n: not then.runs_on(n.head, n.admits), reversed([n for n in notes if n.at <= at])))
    began = min(n.at for n in notes if n.run == shut[-1].run)
    return (began - JUST_AFTER).replace(microsecond=0)


def _possible(world: World, goal: Aim) -> None:
    window, at = _window(world, goal.point), goal.point.at
    if at < window.earliest:
        raise Refused(
            f"{at:%Y-%m-%d %H:%M:%S} UTC is before what can be restored: backups of {window.identifier} begin at"
            f" {window.earliest:%Y-%m-%d %H:%M:%S} UTC",
            next=f"rmu db restore --to '{window.earliest:%Y-%m-%d %H:%M:%S} UTC'",
        )
    if at > window.latest and window.source == "retained":
        raise Refused(
            f"the backups of {window.identifier}, which is gone, end at {window.latest:%Y-%m-%d %H:%M:%S} UTC",
            next=f"rmu db restore --to '{window.latest:%Y-%m-%d %H:%M:%S} UTC'",
        )


def _image_is_there(world: World, release: Release) -> None:
    image = need(world.image, "the registry")
    if image is None or not image.active or image.digest != release.digest:
        raise Refused(
            f"{release.version} would run on the restored database, but the registry has no such image any more",
            next=f"rmu image push {release.version}",
        )
