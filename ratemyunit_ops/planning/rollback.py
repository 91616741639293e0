"""Plan a rollback: a flip where the old release is still started, else start it, else pull it."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import Literal

from pydantic import Field

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Database, Frozen, HostView, Known, Release, SchemaNote, World, previous_good
from ratemyunit_ops.planning.common import database_of, in_service, live_release, need, schemas_of
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import Proven, Ready
from ratemyunit_ops.steps.fleet import Prepare, StartRelease, StartWorker
from ratemyunit_ops.steps.releases import RecordRelease
from ratemyunit_ops.steps.traffic import Serve

Way = Literal["flip", "start", "pull"]


class RollbackRequest(Frozen):
    """What the operator asked for. `warm` names the release that the journal says is still started."""

    run: str
    version: str | None = None
    rmu_version: str
    ready_deadline: timedelta = timedelta(minutes=2)
    warm: str | None = Field(default=None, description="known from the ledger alone; hosts are asked by serve itself")


def plan_rollback(world: World, request: RollbackRequest) -> Plan:
    """Plan to send traffic back to the newest good release older than the live one, or to VERSION.

    Raises:
        Refused: nothing is live, no such release, a rollback straight after one, code too old for the schema.
        Unreachable: ledger or fleet could not be read. The database is not needed.
    """
    live = live_release(world)
    if live is None:
        raise Refused("nothing is live, so there is nothing to roll back", next="rmu status")
    target = _target(world, request, live)
    _runs_on_what_is_there(world, target, live)
    hosts = in_service(world)
    return Plan(
        run=request.run,
        verb="rollback",
        environment=world.environment,
        request={"version": request.version},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"live": live.version, "hosts": hosts},
        holds={"hosts": hosts},
        surveyed=int(isinstance(world.hosts, Known)),
        steps=tuple(_steps(world, request, target, live)),
    )


def _way_back(world: World, target: Release, warm: str | None) -> Way:
    """Tell how a release would come back: by a flip, by a start, or by a pull first.

    A slot that is set up with another database, as a restore leaves one behind, is written anew.
    """
    if target.version == warm:
        return "flip"
    hosts: tuple[HostView, ...] = getattr(world.hosts, "value", ())
    database = database_of(world)
    held = hosts and all(_set_up(h, target, database) for h in hosts)
    return "start" if held else "pull"


def way_of(plan: Plan) -> Way:
    """Tell which way back a plan takes."""
    kinds = {s.kind for s in plan.steps}
    return "pull" if "prepare" in kinds else "start" if "start_release" in kinds else "flip"


def target_of(plan: Plan) -> str:
    """Name the release that a plan brings back."""
    return next(s.release.version for s in plan.steps if isinstance(s, Serve) and s.release is not None)


def warm_on(world: World) -> str | None:
    """Name the release every host holds started beside what serves, on the live database; None where they differ."""
    hosts: tuple[HostView, ...] = getattr(world.hosts, "value", ())
    here = database_of(world).identifier
    warm = {
        next((s.release for s in h.slots.values() if s.state == "warm" and s.database in (None, here)), None)
        for h in hosts
    }
    return warm.pop() if len(warm) == 1 else None


def _set_up(host: HostView, target: Release, database: Database) -> bool:
    slot = host.holding(target.on(database.identifier))
    return slot is not None and slot.setup == target.setup(database)


def _steps(world: World, request: RollbackRequest, target: Release, live: Release) -> list[Step]:
    database = database_of(world)
    ref, head = target.on(database.identifier), target.schema_head
    way = _way_back(world, target, request.warm)
    return [
        *([Prepare(release=target, database=database)] if way == "pull" else []),
        *(
            [
                StartRelease(release=ref, schema_head=head, worker_before=live.ref, deadline=request.ready_deadline),
                Ready(release=ref, schema_head=head, deadline=request.ready_deadline),
            ]
            if way != "flip"
            else []
        ),
        Serve(release=ref, instead_of=live.ref),
        Proven(release=ref, smoke_decides=False),
        RecordRelease(
            release=target.version,
            instead_of=live.version,
            database=database,
            verdict_of_other="rolled_back",
            run=request.run,
        ),
        # A worker that does not start is no reason to send traffic back to what was just left: resume, or mend it.
        StartWorker(release=ref, instead_of=live.ref, fence=True),
    ]


def _target(world: World, request: RollbackRequest, live: Release) -> Release:
    releases = need(world.releases, "the list of releases")
    if request.version is not None:
        return _named(releases, request.version, live)
    back = previous_good(releases, live.version)
    last = need(world.last_run, "the list of runs")
    if last is not None and last.verb == "rollback":
        older = f"; the next older good release is {back.version}" if back else ""
        raise Refused(
            f"the last run was a rollback already (to {live.version}){older}",
            next=f"rmu rollback {back.version}" if back else "rmu history",
        )
    if back is None:
        raise Refused("there is no earlier good release to go back to", next="rmu history")
    return back


def _named(releases: tuple[Release, ...], version: str, live: Release) -> Release:
    found = next((r for r in releases if r.version == version), None)
    if version == live.version:
        raise Refused(f"{version} is what serves already", next="rmu status")
    if found is None:
        raise Refused(f"no release {version} was ever deployed here", next="rmu history")
    return found


def _runs_on_what_is_there(world: World, target: Release, live: Release) -> None:
    """See that the code can run on the schema the database has by its newest note, else by the live release's record.

    Raises Refused, which names the restore that helps: to before the run that shut this code out.
    """
    notes = schemas_of(world, database_of(world).identifier)
    shut = list(takewhile(lambda n: not target.runs_on(n.head, n.admits), reversed(notes)))
    if notes and not shut:
        return
    if not notes and (live.schema_head == target.schema_head or target.runs_on(live.schema_head, live.schema_admits)):
        return
    run = shut[-1].run if shut else live.run
    raise Refused(
        f"{target.version} cannot run on the schema that {_bringer(shut, live)}",
        next=f"rmu db restore --before {run}",
    )


def _bringer(shut: list[SchemaNote], live: Release) -> str:
    """Say which schema is there, who brought it, and what code it lets run."""
    if not shut:
        return f"{live.version} brought ({live.schema_head})"
    # Its first note is of the schema before it; the newest tells what it made.
    made = next(n for n in shut if n.run == shut[-1].run)
    admits = f", which lets no code run that is older than {made.admits}" if made.admits else ""
    return f"run {made.run} brought ({made.head}{admits})"
