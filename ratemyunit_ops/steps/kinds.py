"""The union of every kind of step, and the one parser of plans."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from ratemyunit_ops.steps.base import Change, Check, Plan, Step
from ratemyunit_ops.steps.checks import Bake, ImageFit, Proven, Ready, StillWorks
from ratemyunit_ops.steps.data import (
    ApplySalvage,
    ComputeSalvage,
    FenceDatabase,
    MoveSequences,
    UnfenceDatabase,
    WarmDatabase,
)
from ratemyunit_ops.steps.database import Migrate, NoteRestorePoint
from ratemyunit_ops.steps.fleet import Prepare, Retire, StartRelease, StartWorker, StopRelease
from ratemyunit_ops.steps.hosts import HostBack, NewHostServes, RebootHost, Rejoin, ReplaceHost, StandBy
from ratemyunit_ops.steps.infra import (
    AdoptDatabase,
    ApplyInfra,
    DestroyInfra,
    EnsureSecrets,
    HostsInService,
    MakeRoles,
    NothingLeft,
)
from ratemyunit_ops.steps.releases import RecordRelease
from ratemyunit_ops.steps.restore import (
    DatabaseAvailable,
    DropDatabase,
    PointTo,
    RecordRestore,
    RenewPasswords,
    Restorable,
    RestoreDatabase,
    RetireDatabase,
    SameSettings,
    SettleDatabase,
)
from ratemyunit_ops.steps.traffic import HoldRequests, LetRequestsGo, Serve

AnyStep = Annotated[
    AdoptDatabase
    | ApplyInfra
    | ApplySalvage
    | Bake
    | ComputeSalvage
    | DatabaseAvailable
    | DestroyInfra
    | DropDatabase
    | EnsureSecrets
    | FenceDatabase
    | HoldRequests
    | HostBack
    | HostsInService
    | ImageFit
    | LetRequestsGo
    | MakeRoles
    | Migrate
    | MoveSequences
    | NewHostServes
    | NoteRestorePoint
    | NothingLeft
    | PointTo
    | Prepare
    | Proven
    | Ready
    | RebootHost
    | RecordRelease
    | RecordRestore
    | Rejoin
    | RenewPasswords
    | ReplaceHost
    | Restorable
    | RestoreDatabase
    | Retire
    | RetireDatabase
    | SameSettings
    | Serve
    | SettleDatabase
    | StandBy
    | StartRelease
    | StartWorker
    | StillWorks
    | StopRelease
    | UnfenceDatabase
    | WarmDatabase,
    Field(discriminator="kind"),
]

_step: TypeAdapter[Any] = TypeAdapter(AnyStep)


def parse_step(data: dict[str, Any]) -> Step:
    """Read one step from its JSON values. Raises pydantic.ValidationError for a kind or a field we do not know."""
    step: Step = _step.validate_python(data)
    return step


def parse_plan(data: dict[str, Any]) -> Plan:
    """Read a plan from its JSON values. Raises pydantic.ValidationError."""
    return Plan.model_validate({**data, "steps": tuple(parse_step(s) for s in data["steps"])})


__all__ = ["AnyStep", "Change", "Check", "Plan", "Step", "parse_plan", "parse_step"]
