"""Plan a restore from backups alone, always beside what serves; a drill is one that is torn down again.

Nothing here needs the source, a host or the ledger's records to be there: what can be asked is asked by whoever makes
the request, what cannot is left out, and the plan says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import (
    BROKEN,
    Database,
    DatabaseSettings,
    DatabaseView,
    DrillHost,
    Frozen,
    Known,
    Pointer,
    Release,
    RestorePoint,
    RestoreWindow,
    World,
)
from ratemyunit_ops.planning.common import TAKES, credentials_last, need
from ratemyunit_ops.planning.restore import possible_from
from ratemyunit_ops.steps.base import Change, Plan, Step
from ratemyunit_ops.steps.checks import Proven, Ready
from ratemyunit_ops.steps.data import WarmDatabase
from ratemyunit_ops.steps.drill import (
    GOING,
    AdmitHosts,
    Answers,
    AppAnswers,
    CompareData,
    DrillHostAnswers,
    EndDrillHost,
    FenceFromOutside,
    LaunchDrillHost,
    MoveReminder,
    NothingElseServes,
    StandsInCorner,
)
from ratemyunit_ops.steps.fleet import Prepare, StartRelease, StartWorker
from ratemyunit_ops.steps.infra import HostsInService
from ratemyunit_ops.steps.kinds import ChangeInCorner, CheckInCorner
from ratemyunit_ops.steps.restore import (
    DatabaseAvailable,
    DropDatabase,
    PointTo,
    RecordRestore,
    RenewPasswords,
    Restorable,
    RestoreDatabase,
    SameSettings,
    SettleDatabase,
)
from ratemyunit_ops.steps.traffic import BringAlong, Serve

QUARTER = timedelta(days=91)
A_DRILL_IS_OVER = timedelta(hours=3)
"""How old what another ledger's drill made must be until it counts as left behind."""
TOLD_BY_PLACES = (
    *("instance_class", "multi_az", "storage_gb", "subnet_group", "security_groups", "parameter_group"),
    *("port", "public", "encrypted", "log_exports"),
)
"""Settings that are known where no instance is left to ask: what Terraform wrote down, and what it never changes."""
CORNER_ONLY: dict[str, Any] = {"deletion_protection": False, "multi_az": False}
"""How a copy in the corner differs from its source on purpose, its security group aside."""


class Source(Frozen):
    """What is restored: whose backups, how far they reach, and the instance itself where it still lives."""

    window: RestoreWindow
    alive: Database | None = None
    settings: DatabaseSettings
    settings_known: bool = Field(description="read from an instance, not from what Terraform wrote down")
    schema_head: str = Field(default="", description="what was noted for the restore point; empty: nothing was")


class Leftover(Frozen):
    """What a drill that is over left in the corner: its run, and its database's name."""

    run: str
    database: str | None = None


class Standing(Frozen):
    """An instance that serves, did, or was restored from: its status, whether it answers, and whom it admits."""

    status: str
    answers: Answers = Answers()
    admits: tuple[str, ...] = ()


class DrillRequest(Frozen):
    """What the operator asked for, and what could be found out without a ledger."""

    run: str
    verb: Literal["dr restore", "dr drill"]
    rmu_version: str
    typed: str = Field(description="the command's own arguments: typed again, they resume the run")
    at: datetime
    source: Source
    release: Release
    corner_group: str
    image: str | None = None
    cut_over: bool = False
    others: dict[str, Standing] = Field(
        default_factory=dict, description="instances that serve, did, or were restored from"
    )
    expects_database: str = Field(default="", description="what a cut-over puts another database in the place of")
    ready_deadline: timedelta = timedelta(minutes=2)
    expires: datetime | None = Field(default=None, description="when the caller's credentials end")
    takes: timedelta = Field(default=TAKES, description="what a restore may take by those that were done before")
    leftovers: tuple[Leftover, ...] = ()


def plan_drill(world: World, request: DrillRequest) -> Plan:
    """Plan a restore beside what serves, in the corner; torn down for a drill, made live with `cut_over`.

    Raises:
        Refused: the moment cannot be restored, or a cut-over while the source still lives.
    """
    _possible(request)
    for name, standing in sorted(request.others.items()):
        _may_be_left(name, standing)
    credentials_last(request.expires, world.at, request.takes)
    latest = request.source.window.latest
    return Plan(
        run=request.run,
        verb=request.verb,
        environment=world.environment,
        request={
            "version": request.typed,
            "source": request.source.window.identifier,
            "source_lives": request.source.alive is not None,
            "at": request.at.isoformat(),
            "latest": latest.isoformat(),
            "database": corner_name(world.environment, request),
            "instance_class": _corner_settings(request).instance_class,
            "storage_gb": request.source.settings.storage_gb,
            "release": request.release.version,
            "image": request.image,
        },
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"database": request.expects_database} if request.cut_over else {},
        steps=tuple(_steps(world, request)),
    )


def choose_window(world: World, asked: str | None, *, pointer: Pointer | None) -> RestoreWindow:
    """Find whose backups are meant: those of the instance that was named, by name or resource id, else the live one's.

    `pointer` is None where nobody can tell what served. One name may have had several lives: where the pointer names
    it, the instance is meant; where it names nothing, what is there was made anew, and its backups are those of before.

    Raises:
        Refused: nothing can be restored, or several can and nobody knows which one served.
        Unreachable: the control plane could not be read.
    """
    windows = need(world.windows, "what can be restored")
    ours = [w for w in windows if not is_of_a_drill(world.environment, w.identifier)]
    named = pointer.database.identifier if pointer and pointer.database else None
    wanted = asked or named
    found = [w for w in ours if wanted in (None, w.identifier, w.resource_id)]
    if not found:
        what = f"there is no backup of {wanted}" if wanted else "there is no backup that could be restored"
        raise Refused(what, next="rmu status")
    if pointer is not None and len({w.identifier for w in found}) == 1:
        serves = found[0].identifier == named
        found = [w for w in found if (w.source == "instance") == serves] or found
        return max(found, key=lambda w: w.latest)
    if len(found) > 1:
        told = ", ".join(sorted(f"{w.identifier} ({w.resource_id}, to {w.latest:%m-%d %H:%M})" for w in found))
        raise Refused(f"several left backups, and no ledger says which one served: {told}", next="add --database NAME")
    return found[0]


def choose_release(world: World, images: tuple[Release, ...], *, asked: str | None, at: datetime) -> Release:
    """Find the release to run: the one that was named, the one noted live at that moment, else the newest kept image.

    Raises Refused where there is neither record nor image of one.
    """
    records = world.releases.value if isinstance(world.releases, Known) else ()
    notes = world.live_notes.value if isinstance(world.live_notes, Known) else ()
    pointer = world.pointer.value if isinstance(world.pointer, Known) else Pointer()
    noted = [n.release for n in notes if n.at <= at]
    wanted = asked or (noted[-1] if noted else pointer.release)
    record = next((r for r in records if r.version == wanted), None)
    if record is not None:
        return record
    if not images:
        raise Refused(
            f"there is no image {asked}" if asked else "the registry has no image, so nothing could run on it",
            next="rmu image list",
        )
    return images[0]


def schema_at(world: World, identifier: str, at: datetime) -> str:
    """Tell the schema head that was noted for an instance at a moment; empty where nobody noted one."""
    notes = world.schema_notes.value if isinstance(world.schema_notes, Known) else ()
    before = [n for n in notes if n.database == identifier and n.at <= at]
    return before[-1].head if before else ""


def settings_from(places: Mapping[str, str], environment: str) -> DatabaseSettings:
    """Make the settings of an instance that is gone from what Terraform wrote down. Raises Refused before that."""
    told = places.get("database_settings")
    if not told:
        raise Refused("no instance is left, and the stack did not write down what one was like", next="rmu infra apply")
    return DatabaseSettings(
        **json.loads(told),
        subnet_group=places.get("db_subnet_group", ""),
        security_groups=tuple(filter(None, (places.get("db_security_group"),))),
        parameter_group=places.get("db_parameter_group", ""),
        log_exports=("postgresql", "upgrade"),
        tags={"rmu:env": environment},
    )


def leftovers(
    world: World,
    hosts: Sequence[DrillHost],
    databases: Sequence[DatabaseView],
    runs: Mapping[str, tuple[str, str | None]],
) -> tuple[Leftover, ...]:
    """Find what drills that are over left in the corner. What a restore left standing on purpose is not among it.

    `runs` are verb and outcome of those in this ledger. Another ledger's drill may be under way: it is left alone while
    it is young.
    """
    named = {d.made_by: d.identifier for d in databases if d.made_by and is_of_a_drill(world.environment, d.identifier)}
    kept = {d.made_by for d in databases if d.made_by and d.made_by not in named}
    young = {h.run for h in hosts if world.at - h.born < A_DRILL_IS_OVER}
    young |= {d.made_by for d in databases if d.made_by and d.created and world.at - d.created < A_DRILL_IS_OVER}
    made = sorted({*named, *(h.run for h in hosts if h.run and h.run not in kept)})
    over = [run for run in made if (runs[run][1] is not None if run in runs else run not in young)]
    return tuple(Leftover(run=run, database=named.get(run)) for run in over)


def plan_end(world: World, *, run: str, ended: Leftover, corner_group: str, rmu_version: str) -> Plan:
    """Plan to take away what a restore left standing in the corner."""
    return Plan(
        run=run,
        verb="dr end",
        environment=world.environment,
        request={"version": ended.run},
        rmu_version=rmu_version,
        created=world.at,
        steps=tuple(_taken_away(ended, corner_group)),
    )


def fences(request: DrillRequest) -> tuple[FenceFromOutside, ...]:
    """List what a cut-over has to fence from outside: what is there, and dead."""
    dead = ((name, s) for name, s in sorted(request.others.items()) if s.status not in GOING)
    return tuple(FenceFromOutside(identifier=name, admits=s.admits) for name, s in dead)


def corner_name(environment: str, request: DrillRequest) -> str:
    """Name the restored instance for life: a drill's says so, one that may become the live one reads like any other."""
    kind = "drill" if request.verb == "dr drill" else "db"
    return f"rmu-{environment}-{kind}-{request.run.removeprefix('r-').lower()}"[:63]


def is_of_a_drill(environment: str, identifier: str) -> bool:
    """Tell whether an instance is a drill's: it is never a source, and may be taken away."""
    return identifier.startswith(f"rmu-{environment}-drill-")


def _steps(world: World, request: DrillRequest) -> list[Step]:
    database = Database(identifier=corner_name(world.environment, request))
    first = [step for left in request.leftovers for step in _taken_away(left, request.corner_group)]
    return [*first, *_beside(world, request, database), *_after(world, request, database)]


def _taken_away(left: Leftover, corner_group: str) -> list[Step]:
    end = EndDrillHost(run=left.run)
    if left.database is None:
        return [end]
    stands = StandsInCorner(identifier=left.database, group=corner_group)
    return [stands, end, DropDatabase(identifier=left.database, run=left.run)]


def _beside(world: World, request: DrillRequest, database: Database) -> list[Step]:
    """Restore, boot and prove it in the corner. The host boots while RDS restores: that takes longer."""
    run, name, settings = request.run, database.identifier, _corner_settings(request)
    point = RestorePoint(resource_id=request.source.window.resource_id, at=request.at)
    release, ref = request.release, request.release.on(name)
    head, only = release.schema_head, () if request.source.settings_known else TOLD_BY_PLACES
    return [
        Restorable(point=point, verb=request.verb, **_wait(world, request)),
        RestoreDatabase(identifier=name, point=point, like=settings, run=run),
        LaunchDrillHost(run=run, image=request.image),
        DrillHostAnswers(run=run),
        DatabaseAvailable(identifier=name, verb=request.verb, point=point),
        SettleDatabase(identifier=name, like=settings),
        SameSettings(identifier=name, like=settings, only=only, verb=request.verb),
        _there(run, RenewPasswords(database=database)),
        # What is fenced from outside is kept, and a salvage needs the keys of the moment in which both part.
        *([_there(run, WarmDatabase(database=database, run=run))] if fences(request) else []),
        _there(run, Prepare(release=release, database=database)),
        _there(
            run,
            StartRelease(release=ref, schema_head=head, worker_before=None, deadline=request.ready_deadline),
        ),
        CheckInCorner(run=run, step=Ready(release=ref, schema_head=head, deadline=request.ready_deadline)),
        _there(run, Serve(release=ref, instead_of=None)),
        AppAnswers(run=run, release=ref),
        CompareData(
            run=run,
            restored=database,
            source=request.source.alive,
            at=request.at,
            head=request.source.schema_head,
        ),
    ]


def _there(run: str, step: Change) -> ChangeInCorner:
    return ChangeInCorner(run=run, step=step)


def _after(world: World, request: DrillRequest, database: Database) -> list[Step]:
    if request.verb == "dr drill":
        made = Leftover(run=request.run, database=database.identifier)
        return [*_taken_away(made, request.corner_group), MoveReminder(until=world.at + QUARTER)]
    return _made_live(world, request, database) if request.cut_over else []


def _made_live(world: World, request: DrillRequest, database: Database) -> list[Step]:
    """Make it the real thing. The pointer is the fence: hosts boot from it by themselves, and then they write.

    One that is in service begins to start it before: it serves soon after. The group may replace hosts all the while,
    since without a database they are ill; whoever is there in the end is brought along.
    """
    was = need(world.pointer, "the live pointer")
    release, ref = request.release, request.release.on(database.identifier)
    hosts = [i.id for i in need(world.instances, "the list of hosts") if i.state == "InService"]
    settings = request.source.settings
    admit = AdmitHosts(identifier=database.identifier, like=settings, corner=_corner_settings(request))
    point_to = PointTo(
        pointer=Pointer(release=release.version, database=database),
        was=was,
        run=request.run,
        restored_from=RestorePoint(resource_id=request.source.window.resource_id, at=request.at),
        record=release,
        fence=True,
    )
    head, deadline = release.schema_head, request.ready_deadline
    started: list[Step] = [
        Prepare(release=release, database=database),
        StartRelease(release=ref, schema_head=head, worker_before=None, deadline=deadline),
        Ready(release=ref, schema_head=head, deadline=deadline),
    ]
    record = RecordRestore(
        release=release.version, left=None, database=database, admits=release.schema_admits, run=request.run
    )
    return [
        EndDrillHost(run=request.run),
        admit,
        *(started if hosts else []),
        *fences(request),
        NothingElseServes(was=was, instances=tuple(sorted(request.others))),
        point_to,
        HostsInService(),
        BringAlong(release=release, database=database, ready=deadline, all_of_them=True),
        Proven(release=release.ref, deadline=timedelta(minutes=3)),
        record,
        *([StartWorker(release=ref, instead_of=None)] if hosts else []),
    ]


def _corner_settings(request: DrillRequest) -> DatabaseSettings:
    """Take the source's settings, but for whom it admits: a drill's host, and nobody else."""
    only_here: dict[str, Any] = {"security_groups": (request.corner_group,)}
    if not request.cut_over:
        only_here |= CORNER_ONLY
    return request.source.settings.model_copy(update=only_here)


def _may_be_left(name: str, standing: Standing) -> None:
    """See that an instance is gone, or dead for good and can be fenced from outside. Raises Refused."""
    status, answers = standing.status, standing.answers
    if status in GOING or (status in BROKEN and not answers.yes):
        return
    if answers.yes:
        what = f"{name} ({status}) is still there and answers: it must be fenced first"
        raise Refused(what, next="rmu db restore --latest")
    if status != "available":
        what = f"{name} ({status}) is still there, and RDS is not done with it: most states mend"
        raise Refused(what, next="rmu status   (wait for RDS; then the same command again)")
    if not answers.no:
        what = f"{name} ({status}) is still there, and whether it answers could not be seen: {answers.why}"
        raise Refused(what, next="rmu host list   (a host in service has to ask it; then the same command again)")


def _possible(request: DrillRequest) -> None:
    window = request.source.window
    if request.at < window.earliest:
        raise Refused(
            f"backups of {window.identifier} begin at {window.earliest:%Y-%m-%d %H:%M:%S} UTC",
            next="rmu dr restore --latest",
        )
    if request.at > window.latest and window.source == "retained":
        raise Refused(
            f"{window.identifier} is gone, and its backups end at {window.latest:%Y-%m-%d %H:%M:%S} UTC",
            next="rmu dr restore --latest",
        )


def _wait(world: World, request: DrillRequest) -> dict[str, Any]:
    """Say from when the moment can be restored: logs are shipped every few minutes."""
    when = possible_from(request.source.window, request.at, world.at)
    return {"possible": when, "wait": when - world.at} if when else {}
