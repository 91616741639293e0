"""Plan a blue/green deploy: everything before `serve` is beside what serves; everything after can flip back."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Frozen, ImageView, Known, Release, ReleaseRef, SchemaNote, World, astray
from ratemyunit_ops.planning.common import database_of, in_service, live_release, need, schema_of
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import Bake, ImageFit, Proven, Ready, StillWorks
from ratemyunit_ops.steps.database import BackedUp, Migrate, NoteRestorePoint, note_before
from ratemyunit_ops.steps.fleet import Prepare, Retire, StartRelease, StartWorker
from ratemyunit_ops.steps.releases import RecordRelease
from ratemyunit_ops.steps.traffic import Serve


class DeployRequest(Frozen):
    """What the operator asked for, and what of the settings a deploy is made of."""

    run: str
    version: str
    rmu_version: str
    repository: str
    base: str | None = None
    bake: timedelta = timedelta(minutes=5)
    ready_deadline: timedelta = timedelta(minutes=2)
    probe: bool = True
    allow_critical: bool = False
    warm_floor: int = Field(default=150 * 2**20, description="bytes")
    config: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    slo: Literal["warn", "refuse"] = Field(default="warn", description="what to do where a budget is gone")


def plan_deploy(world: World, request: DeployRequest) -> Plan:
    """Plan to bring VERSION live.

    Raises:
        Refused: no such image, CRITICAL findings, an archived image, a base that is not live, a schema that the old
            release or the new one cannot run on, a contract revision that has to run first, a budget that is gone.
        Unreachable: something the deploy relies on could not be read.
    """
    live = live_release(world)
    image = fit_image(world, request)
    _base_is_live(request, live)
    _budgets_allow(world, request)
    release = release_of(world, request, image)
    schema_fits(world, release, image, live)
    hosts = in_service(world)
    return Plan(
        run=request.run,
        verb="deploy",
        environment=world.environment,
        request={"version": request.version},
        rmu_version=request.rmu_version,
        created=world.at,
        expects={"live": live.version if live else None, "hosts": hosts},
        holds={"hosts": hosts, "database": database_of(world).identifier},
        surveyed=1,
        steps=tuple(_steps(world, request, release, live)),
    )


def already_serves(world: World, request: DeployRequest) -> bool:
    """Tell whether this version, with this digest and config, is what serves."""
    live = live_release(world)
    image = need(world.image, "the registry")
    return (
        live is not None
        and image is not None
        and (live.version, live.digest) == (request.version, image.digest)
        and live.config == request.config
    )


def serves_well(world: World, request: DeployRequest) -> bool:
    """Tell whether this version is what serves, on every host from the live database.

    Raises Refused where a host serves it from another one: another deploy of the same would not move it.
    """
    if not already_serves(world, request):
        return False
    pointer = need(world.pointer, "the live pointer")
    hosts = need(world.hosts, "the hosts")
    strays = sorted(astray(hosts, pointer))
    if strays and pointer.database is not None:
        raise Refused(
            f"{request.version} serves already, but {', '.join(strays)} serve from another database than"
            f" {pointer.database.identifier}, which the pointer names",
            next=f"rmu host replace {strays[0]}",
        )
    return True


def fit_image(world: World, request: DeployRequest) -> ImageView:
    """Find the image of the version that was asked for, if it may be run. Raises Refused."""
    image = need(world.image, "the registry")
    if image is None:
        raise Refused(f"the registry has no image {request.version}", next=f"rmu image push {request.version}")
    if not image.active:
        raise Refused(f"image {request.version} is archived in the registry", next=f"rmu image push {request.version}")
    if not image.schema_head:
        raise Refused(
            f"image {request.version} does not say which schema it is of (label rmu.schema.head)",
            next=f"rmu image build {request.version}   (docs/contract-app.md has the labels)",
        )
    if image.scan == "critical" and not request.allow_critical:
        raise Refused(
            f"the scan of {request.version} found {image.findings} CRITICAL findings",
            next=f"rmu image scan {request.version}",
        )
    return image


def schema_fits(world: World, release: Release, image: ImageView, live: Release | None) -> None:
    """See that both releases can run on what the migration makes: they stand side by side. Raises Refused."""
    now = schema_of(world, database_of(world))
    if now is None:
        return  # an empty database: nobody needs an old shape
    if release.schema_head <= now.head and not release.runs_on(now.head, now.admits):
        raise Refused(
            f"{release.version} (code {release.schema_head}) cannot run on schema {now.head}, "
            f"which needs code of {now.admits} or newer",
            next=f"rmu db restore --before {now.run}",
        )
    todo = image.pending(now.head)
    contract = next((r for r in todo if r.phase == "contract"), None)
    if contract is not None:
        raise Refused(
            f"{contract.revision} of {release.version} is a contract revision and lies before its head "
            f"{release.schema_head}: a deploy runs expand revisions alone",
            next=f"rmu migrate up {release.version} --contract",
        )
    if live is not None and release.schema_head > now.head and release.schema_admits > live.schema_head:
        raise Refused(
            f"schema {release.schema_head} of {release.version} needs code of {release.schema_admits} or newer, but "
            f"{live.version} (code {live.schema_head}) serves on it until the flip",
            next=f"rmu migrate plan {release.version}",
        )


def schema_before(world: World, request: DeployRequest, *, contract: bool) -> SchemaNote | None:
    """Make the note of the schema for while a version's revisions run; None for an empty database."""
    now, image = schema_of(world, database_of(world)), fit_image(world, request)
    if now is None:
        return None
    todo = image.pending(now.head, contract=contract)
    expanded = image.schema_admits if image.schema_head > now.head else ""
    return note_before(now, admits=max([expanded, *(r.oldest_code for r in todo)]), run=request.run)


def nothing_pending(world: World, request: DeployRequest, *, contract: bool) -> bool:
    """Tell whether the database has by the records all that a version would bring."""
    now, image = schema_of(world, database_of(world)), need(world.image, "the registry")
    if now is None or image is None:
        return False
    return not image.pending(now.head, contract=contract) and now.head >= image.schema_head


def backed_up(world: World, request: DeployRequest, *, contract: bool) -> list[Step]:
    """Wait for a backup before a version changes a schema that holds something."""
    database = database_of(world)
    if schema_of(world, database) is None or nothing_pending(world, request, contract=contract):
        return []
    return [BackedUp(database=database.identifier)]


def release_of(world: World, request: DeployRequest, image: ImageView) -> Release:
    """Tie an image, the config it is pinned to, and this run together."""
    return Release(
        version=request.version,
        digest=image.digest,
        image=request.repository,
        config=request.config,
        secrets=request.secrets,
        schema_head=image.schema_head,
        schema_oldest=image.schema_oldest,
        schema_admits=image.schema_admits,
        created=world.at,
        run=request.run,
    )


def _steps(world: World, request: DeployRequest, release: Release, live: Release | None) -> list[Step]:
    database, ref, old = database_of(world), release.ref, live.ref if live else None
    before = schema_before(world, request, contract=False)
    return [
        ImageFit(release=ref, base=live.version if live else None, allow_critical=request.allow_critical),
        *_left_behind(world, request),
        Prepare(release=release, database=database),
        *backed_up(world, request, contract=False),
        NoteRestorePoint(release=release, database=database.identifier, schema_before=before),
        Migrate(release=ref, head=release.schema_head, old=old, database=database.identifier, run=request.run),
        *([StillWorks(release=old, head=release.schema_head, run=request.run)] if old else []),
        StartRelease(release=ref, schema_head=release.schema_head, worker_before=old, deadline=request.ready_deadline),
        Ready(release=ref, schema_head=release.schema_head, deadline=request.ready_deadline),
        Serve(release=ref, instead_of=old, stand_by=old is not None, probe=request.probe),
        Proven(release=ref),
        StartWorker(release=ref, instead_of=old),
        Bake(release=ref, length=request.bake, probe=request.probe),
        RecordRelease(release=ref.version, instead_of=old.version if old else None, database=database, run=request.run),
        *([Retire(release=old, warm_floor=request.warm_floor, fence=True)] if old else []),
    ]


def _left_behind(world: World, request: DeployRequest) -> list[Step]:
    """Take out of the backup role what a deploy given up past its fence left there: it would need both slots."""
    backed = [h for h in need(world.hosts, "the hosts") if h.backup_on]
    behind = [s for h in backed for name, s in h.slots.items() if name != h.live_slot]
    refs = {ReleaseRef(version=s.release, digest=s.digest) for s in behind if s.release and s.digest}
    return [Retire(release=ref, warm_floor=request.warm_floor) for ref in sorted(refs, key=lambda r: r.version)]


def _budgets_allow(world: World, request: DeployRequest) -> None:
    """See that settings let a deploy spend what is left of budgets; budgets that nobody could read stop nothing."""
    lost = world.budgets_gone.value if isinstance(world.budgets_gone, Known) else ()
    if lost and request.slo == "refuse" and not already_serves(world, request):
        raise Refused(
            f"nothing is left of the budget of {', '.join(lost)}, and settings let no deploy spend more",
            next='rmu slo show   (for a deploy that mends it: slo = "warn" in rmu.toml)',
        )


def _base_is_live(request: DeployRequest, live: Release | None) -> None:
    version = live.version if live else None
    if request.base is not None and request.base != version:
        raise Refused(
            f"this deploy was made for base {request.base}, but {version or 'nothing'} is live",
            next=f"rmu deploy {request.version} --dry-run",
        )
