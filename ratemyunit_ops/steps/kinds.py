"""The union of every kind of step, and the one parser of plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ratemyunit_ops.model import Facts
from ratemyunit_ops.ports import Outside
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
from ratemyunit_ops.steps.database import (
    BackedUp,
    Contract,
    Migrate,
    NotePoint,
    NoteRestorePoint,
    Rehearse,
    RehearseContract,
    Unneeded,
)
from ratemyunit_ops.steps.drill import (
    AdmitAgain,
    AdmitHosts,
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
from ratemyunit_ops.steps.people import Ask
from ratemyunit_ops.steps.queue import PauseQueue, ResumeQueue
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
from ratemyunit_ops.steps.runbook import Command, Holds, Sql
from ratemyunit_ops.steps.traffic import BringAlong, HoldRequests, LetRequestsGo, Serve
from ratemyunit_ops.steps.upkeep import PruneImages, RenewSecret, TodaysSecrets


class ChangeInCorner(Change):
    """A change that is done on a drill's host, in the place of the hosts that serve: the step itself is the same.

    It is undone with the host and the database it was done to: they are this run's own, and go when their making is
    undone. That host may be gone by then.
    """

    kind: Literal["change_in_corner"] = "change_in_corner"
    run: str
    step: AnyStep

    def title(self) -> str:
        return f"{self.step.title()} (in the corner)"

    def done(self, o: Outside) -> bool:
        return self._change.done(o.in_corner(self.run))

    def do(self, o: Outside) -> Facts:
        return self._change.do(o.in_corner(self.run))

    def undo(self) -> None:
        return None

    @property
    def _change(self) -> Change:
        assert isinstance(self.step, Change)
        return self.step


class CheckInCorner(Check):
    """A check of a drill's host, in the place of the hosts that serve."""

    kind: Literal["check_in_corner"] = "check_in_corner"
    run: str
    step: AnyStep

    def title(self) -> str:
        return f"{self.step.title()} (in the corner)"

    def look(self, o: Outside) -> Facts:
        assert isinstance(self.step, Check)
        return self.step.look(o.in_corner(self.run))


AnyStep = Annotated[
    AdmitAgain
    | AdmitHosts
    | AdoptDatabase
    | AppAnswers
    | ApplyInfra
    | ApplySalvage
    | Ask
    | BackedUp
    | Bake
    | BringAlong
    | ChangeInCorner
    | CheckInCorner
    | Command
    | CompareData
    | ComputeSalvage
    | Contract
    | DatabaseAvailable
    | DestroyInfra
    | DrillHostAnswers
    | DropDatabase
    | EndDrillHost
    | EnsureSecrets
    | FenceDatabase
    | FenceFromOutside
    | HoldRequests
    | Holds
    | HostBack
    | HostsInService
    | ImageFit
    | LaunchDrillHost
    | LetRequestsGo
    | MakeRoles
    | Migrate
    | MoveReminder
    | MoveSequences
    | NewHostServes
    | NotePoint
    | NoteRestorePoint
    | NothingElseServes
    | NothingLeft
    | PauseQueue
    | PointTo
    | Prepare
    | Proven
    | PruneImages
    | Ready
    | RebootHost
    | RecordRelease
    | RecordRestore
    | Rejoin
    | RenewPasswords
    | RenewSecret
    | Rehearse
    | RehearseContract
    | ReplaceHost
    | Restorable
    | RestoreDatabase
    | ResumeQueue
    | Retire
    | RetireDatabase
    | SameSettings
    | Serve
    | SettleDatabase
    | Sql
    | StandBy
    | StandsInCorner
    | StartRelease
    | StartWorker
    | StillWorks
    | StopRelease
    | TodaysSecrets
    | UnfenceDatabase
    | Unneeded
    | WarmDatabase,
    Field(discriminator="kind"),
]

ChangeInCorner.model_rebuild()
CheckInCorner.model_rebuild()

_step: TypeAdapter[Any] = TypeAdapter(AnyStep)


def parse_step(data: dict[str, Any]) -> Step:
    """Read one step from its JSON values. Raises pydantic.ValidationError for a kind or a field we do not know."""
    step: Step = _step.validate_python(data)
    return step


def parse_plan(data: dict[str, Any]) -> Plan:
    """Read a plan from its JSON values. Raises pydantic.ValidationError."""
    return Plan.model_validate({**data, "steps": tuple(parse_step(s) for s in data["steps"])})


__all__ = ["AnyStep", "Change", "Check", "Plan", "Step", "parse_plan", "parse_step"]
