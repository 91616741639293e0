"""Plan upkeep: room on hosts, and secrets that everything that runs holds the same value of.

A running process keeps the secrets it was started with. The release before stands in while what serves is started
anew, so that no request is lost: traffic flips to it and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Frozen, HostView, Known, Release, World
from ratemyunit_ops.planning.common import database_of, in_service, live_release, need, schema_of
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import Proven, Ready
from ratemyunit_ops.steps.fleet import NONE_STAYS, Prepare, Retire, StartRelease, StartWorker, StopRelease
from ratemyunit_ops.steps.infra import MakeRoles
from ratemyunit_ops.steps.traffic import Serve
from ratemyunit_ops.steps.upkeep import PruneImages, RenewSecret, TodaysSecrets

APP = "app/"
OF_ROLES = frozenset({"db/app_password", "db/migrate_password", "db/ops_password"})


class UpkeepRequest(Frozen):
    """What the operator asked for; `secret` is the one to give a new value, None for those that have one already."""

    run: str
    rmu_version: str
    secret: str | None = None
    known: tuple[str, ...] = ()
    ready_deadline: timedelta = timedelta(minutes=2)
    warm_floor: int = 0


def plan_prune(world: World, request: UpkeepRequest) -> Plan:
    """Plan to remove the images that nothing needs."""
    return _plan(world, request, "host prune", [PruneImages()])


def plan_renew(world: World, request: UpkeepRequest) -> Plan:
    """Plan a new value for a secret, if one is named, and a flip there and back that gives it to what serves.

    Raises Refused for an unknown secret, where nothing is live, or no earlier release can stand in.
    """
    live = live_release(world)
    if live is None:
        raise Refused("nothing is live, so nothing holds a secret", next="rmu status")
    _known(request)
    steps = [*_renewed(world, request), *_there_and_back(world, request, live, _stand_in(world, live))]
    return _plan(world, request, "secret rotate" if request.secret else "secret renew", steps)


def _renewed(world: World, request: UpkeepRequest) -> Iterator[Step]:
    if request.secret:
        yield RenewSecret(name=request.secret, run=request.run)
    if request.secret is None or request.secret in OF_ROLES:
        # PostgreSQL keeps the sessions that are open; whoever opens one meanwhile with the old password is refused.
        yield MakeRoles(database=database_of(world).identifier)


def _there_and_back(world: World, request: UpkeepRequest, live: Release, other: Release) -> Iterator[Step]:
    database = database_of(world)
    there, back = other.on(database.identifier), live.on(database.identifier)
    deadline = request.ready_deadline
    yield Prepare(release=other, database=database)
    # One that is warm holds the old values too. That it stops being warm needs no undo.
    yield Retire(release=there, warm_floor=NONE_STAYS)
    yield StartRelease(release=there, schema_head=other.schema_head, worker_before=back, deadline=deadline)
    yield Ready(release=there, schema_head=other.schema_head, deadline=deadline)
    yield Serve(release=there, instead_of=back)
    yield StopRelease(release=back, schema_head=live.schema_head, resume_worker=None)
    yield StartRelease(release=back, schema_head=live.schema_head, worker_before=None, deadline=deadline)
    yield Ready(release=back, schema_head=live.schema_head, deadline=deadline)
    yield Serve(release=back, instead_of=there)
    yield Proven(release=back)
    yield StartWorker(release=back, instead_of=None)
    yield Retire(release=there, warm_floor=request.warm_floor)
    yield TodaysSecrets()


def _stand_in(world: World, live: Release) -> Release:
    """Choose who serves meanwhile: the newest other release whose code runs on the schema, one that is here first."""
    schema = schema_of(world, database_of(world))
    head, admits = (schema.head, schema.admits) if schema else (live.schema_head, live.schema_admits)
    others = [r for r in need(world.releases, "the list of releases") if r.version != live.version]
    able = [r for r in others if r.verdict != "unknown" and r.runs_on(head, admits)]
    if not able:
        raise Refused(
            f"no other release can stand in for {live.version} while it is started anew",
            next="push the same image under another version and deploy that: rmu image push VERSION",
        )
    return max(able, key=lambda r: (_held(world, r), r.created))


def _held(world: World, release: Release) -> bool:
    hosts: tuple[HostView, ...] = world.hosts.value if isinstance(world.hosts, Known) else ()
    return bool(hosts) and all(h.holding(release.ref) for h in hosts)


def _known(request: UpkeepRequest) -> None:
    known = [*(f"{APP}{name}" for name in request.known), *sorted(OF_ROLES)]
    if request.secret is not None and request.secret not in known:
        raise Refused(f"there is no secret {request.secret}; known: {', '.join(known)}", next="rmu secret list")


def _plan(world: World, request: UpkeepRequest, verb: str, steps: list[Step]) -> Plan:
    hosts = in_service(world)
    live = live_release(world)
    return Plan(
        run=request.run,
        verb=verb,
        environment=world.environment,
        request={"version": request.secret},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"live": live.version if live else None, "hosts": hosts},
        holds={"hosts": hosts},
        surveyed=int(isinstance(world.hosts, Known)),
        steps=tuple(steps),
    )
