"""The union of every kind of step, and the one parser of plans."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from ratemyunit_ops.steps.base import Change, Check, Plan, Step
from ratemyunit_ops.steps.checks import Bake, ImageFit, Proven, Ready, StillWorks
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
from ratemyunit_ops.steps.traffic import Serve

AnyStep = Annotated[
    AdoptDatabase
    | ApplyInfra
    | Bake
    | DestroyInfra
    | EnsureSecrets
    | HostBack
    | HostsInService
    | ImageFit
    | MakeRoles
    | Migrate
    | NewHostServes
    | NoteRestorePoint
    | NothingLeft
    | Prepare
    | Proven
    | Ready
    | RebootHost
    | RecordRelease
    | Rejoin
    | ReplaceHost
    | Retire
    | Serve
    | StandBy
    | StartRelease
    | StartWorker
    | StillWorks
    | StopRelease,
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
