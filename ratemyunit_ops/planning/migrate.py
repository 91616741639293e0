"""Plan migrations of their own: expand before a deploy, contract once nobody needs the old shape, and a rehearsal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Database, Release, RestorePoint, World
from ratemyunit_ops.planning.common import TAKES, credentials_last, database_of, in_service, live_release, need
from ratemyunit_ops.planning.deploy import (
    DeployRequest,
    backed_up,
    fit_image,
    release_of,
    schema_before,
    schema_fits,
)
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import ImageFit, StillWorks
from ratemyunit_ops.steps.database import (
    A_RELEASE_LATER,
    Contract,
    Migrate,
    NotePoint,
    Rehearse,
    RehearseContract,
    Unneeded,
    in_the_way,
)
from ratemyunit_ops.steps.fleet import Prepare
from ratemyunit_ops.steps.people import Ask
from ratemyunit_ops.steps.restore import DatabaseAvailable, DropDatabase, RenewPasswords, RestoreDatabase


def plan_expand(world: World, request: DeployRequest) -> Plan:
    """Plan to run the expand revisions of a version before its deploy.

    Raises:
        Refused: no such image, or a schema that it or the live release cannot run on.
        Unreachable: something this relies on could not be read.
    """
    live, image, database = live_release(world), fit_image(world, request), database_of(world)
    release = release_of(world, request, image)
    schema_fits(world, release, image, live)
    old = live.ref if live else None
    steps: list[Step] = [
        *_in_a_slot(request, release, live, database),
        *backed_up(world, request, contract=False),
        _point(world, request, contract=False),
        Migrate(release=release.ref, head=release.schema_head, old=old, database=database.identifier, run=request.run),
        *([StillWorks(release=old, head=release.schema_head, run=request.run)] if old else []),
    ]
    return _plan(world, request, "migrate up", steps)


def plan_contract(world: World, request: DeployRequest) -> Plan:
    """Plan to run the contract revisions of a version as well, up to the tip of its tree.

    Raises:
        Refused: nothing is live, the image names no revisions, or a release that needs the old shape can come back.
        Unreachable: something this relies on could not be read.
    """
    live, image, database = live_release(world), fit_image(world, request), database_of(world)
    if live is None:
        raise Refused("nothing is live, so nothing keeps an old shape", next=f"rmu deploy {request.version}")
    if not image.revisions:
        raise Refused(
            f"the image of {request.version} does not name its revisions", next=f"rmu image push {request.version}"
        )
    tip, admits = image.tip, max(r.oldest_code for r in image.revisions)
    _nobody_needs(world, live, tip, admits)
    release = live if live.version == request.version else release_of(world, request, image)
    steps: list[Step] = [
        *_in_a_slot(request, release, live, database),
        Unneeded(admits=admits, tip=tip),
        *backed_up(world, request, contract=True),
        _point(world, request, contract=True),
        Contract(
            release=release.ref, tip=tip, live=live.ref, database=database.identifier, run=request.run, fence=True
        ),
        StillWorks(release=live.ref, head=tip, run=request.run),
    ]
    return _plan(world, request, "migrate up --contract", steps)


def plan_rehearse(
    world: World, request: DeployRequest, *, expires: datetime | None = None, takes: timedelta = TAKES
) -> Plan:
    """Plan to restore a copy of the live database beside it, migrate the copy, and throw it away.

    Raises:
        Refused: no such image, nothing is live, its database cannot be restored, or credentials end too early.
        Unreachable: something this relies on could not be read.
    """
    live, image, source = live_release(world), fit_image(world, request), database_of(world)
    if live is None:
        raise Refused("nothing is live, so there is no data to rehearse on", next=f"rmu deploy {request.version}")
    credentials_last(expires, world.at, takes)
    release, point = release_of(world, request, image), _newest(world, source)
    name = f"rmu-{world.environment}-db-{request.run.removeprefix('r-')}"
    # A copy for minutes: nothing protects it, and nothing of it is backed up.
    like = need(world.settings, "the database's settings").model_copy(
        update={"deletion_protection": False, "multi_az": False}
    )
    copy, tip = Database(identifier=name), image.tip
    steps: list[Step] = [
        ImageFit(release=release.ref, base=live.version, allow_critical=request.allow_critical),
        RestoreDatabase(identifier=name, point=point, like=like, run=request.run),
        DatabaseAvailable(identifier=name, verb=f"migrate rehearse {release.version}", point=point, takes_moment=False),
        RenewPasswords(database=copy),
        Rehearse(release=release, live=live.ref, database=copy),
        *(
            [RehearseContract(release=release, live=live.ref, database=copy, tip=tip)]
            if tip > release.schema_head
            else []
        ),
        DropDatabase(identifier=name, run=request.run),
    ]
    return _plan(world, request, "migrate rehearse", steps)


def plan_questions(
    world: World,
    request: DeployRequest,
    seen: dict[str, str],
    questions: tuple[str, ...],
    lines: list[dict[str, Any]],
) -> Plan:
    """Plan to ask what only a person can answer before a migration.

    The journal keeps what was `seen` besides; programs are told all `lines` at the end.
    """
    plan = _plan(world, request, "migrate checklist", [Ask(question=q) for q in questions])
    told = {"version": request.version, "lines": lines}
    return plan.model_copy(update={"request": {**plan.request, "seen": seen, "told": told}})


def _plan(world: World, request: DeployRequest, verb: str, steps: list[Step]) -> Plan:
    live, hosts = live_release(world), in_service(world)
    return Plan(
        run=request.run,
        verb=verb,
        environment=world.environment,
        request={"version": request.version},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"live": live.version if live else None, "hosts": hosts},
        holds={"hosts": hosts, "database": database_of(world).identifier},
        steps=tuple(steps),
    )


def _point(world: World, request: DeployRequest, *, contract: bool) -> NotePoint:
    before = schema_before(world, request, contract=contract)
    return NotePoint(database=database_of(world).identifier, run=request.run, schema_before=before)


def _in_a_slot(request: DeployRequest, release: Release, live: Release | None, database: Database) -> list[Step]:
    """Bring a version's image to the hosts, into the slot that its deploy will use; the live one is there."""
    if live is not None and live.ref == release.ref:
        return []
    base = live.version if live else None
    return [
        ImageFit(release=release.ref, base=base, allow_critical=request.allow_critical),
        Prepare(release=release, database=database),
    ]


def _nobody_needs(world: World, live: Release, tip: str, admits: str) -> None:
    releases, hosts = need(world.releases, "the list of releases"), need(world.hosts, "the hosts")
    if live.schema_head < admits:
        raise Refused(
            f"{live.version} serves, and its code ({live.schema_head}) needs the shape that {tip} takes away",
            next="rmu deploy VERSION   (a release of newer code first)",
        )
    needing = in_the_way(hosts, releases, live.version, admits)
    if needing:
        raise Refused(
            f"schema {tip} needs code of {admits} or newer: {'; '.join(needing)}",
            next=f"rmu deploy VERSION   ({A_RELEASE_LATER})",
        )


def _newest(world: World, source: Database) -> RestorePoint:
    windows = need(world.windows, "what can be restored")
    found = next((w for w in windows if w.identifier == source.identifier and w.source == "instance"), None)
    if found is None:
        raise Refused(f"{source.identifier} has no backups to restore a copy from", next="rmu status")
    return RestorePoint(resource_id=found.resource_id, at=found.latest.replace(microsecond=0))
