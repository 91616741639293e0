"""What a runbook may say. Strict: an unknown key is an error. No code lives in a runbook, and no shell.

A check gathers evidence, its `reads` turn evidence into named facts, `causes` compare facts with literals, and a
remedy is one plan that a person picks. Inputs stand for whole arguments, as `$name`, never for a part of one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from ratemyunit_ops.runbooks.conditions import Condition
from ratemyunit_ops.spans import Span


def _condition(value: Any) -> Any:
    return Condition.parse(value) if isinstance(value, str) else value


Says = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
"""Of runbooks, checks, causes and remedies."""
FactName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Of facts and inputs."""
Compared = Annotated[Condition, BeforeValidator(_condition)]
Literals = str | int | float | bool
Argv = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=2000)], ...], Field(min_length=1)]
Source = Literal[
    "alarms",
    "carrier",
    "certificates",
    "database",
    "front_door",
    "group",
    "images",
    "instances",
    "ledger",
    "metrics",
    "queue",
    "releases",
    "secrets",
    "survey",
    "vitals",
]
"""What rmu looks up already; docs/runbooks.md lists what each tells."""
Kind = Literal["host", "database", "release", "run", "pid", "text", "choice"]


class Strict(BaseModel):
    """A part of a runbook: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Input(Strict):
    """What a person may say; else a value, or what is looked up, or a fact that the diagnosis has read."""

    kind: Kind
    says: Says
    value: str | int | None = None
    look_up: Literal["ailing", "first", "live", "previous", "open", "newest"] | None = None
    fact: FactName | None = None
    of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_default(self) -> Input:
        if sum(x is not None for x in (self.value, self.look_up, self.fact)) > 1:
            raise ValueError("one default is enough: value, look_up or fact")
        if (self.kind == "choice") != bool(self.of):
            raise ValueError("a choice, and nothing else, lists its values under `of`")
        if self.look_up is not None and self.look_up not in LOOK_UPS.get(self.kind, ()):
            known = ", ".join(LOOK_UPS.get(self.kind, ())) or "nothing"
            raise ValueError(f"of a {self.kind}, {known} can be looked up")
        return self


LOOK_UPS: dict[str, tuple[str, ...]] = {
    "host": ("ailing", "first"),
    "database": ("live",),
    "release": ("live", "previous"),
    "run": ("open", "newest"),
}
"""What can be looked up of each kind. `ailing`: the first member of the group that is not well, else the first."""


class Read(Strict):
    """How one named fact is read out of a check's evidence.

    Of one place: `path` into a JSON document, `column` of rows, `regex` over lines (its group, if it has one), or
    `exit`, `answered`, `error` of the check itself. `where` picks rows first; `take` says what becomes of several.
    """

    path: str | None = None
    column: str | None = None
    regex: str | None = None
    exit: Literal[True] | None = None
    answered: Literal[True] | None = None
    error: Literal[True] | None = None
    where: dict[str, Literals] = Field(default_factory=dict)
    take: Literal["first", "last", "count", "sum", "max", "min"] = "first"
    type: Literal["number", "text", "truth"] = "text"
    otherwise: Literals | None = Field(
        default=None, alias="else", description="where the check answered, and it is not there"
    )
    says: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Read:
        places = [n for n in PLACES if getattr(self, n) is not None]
        if len(places) != 1:
            raise ValueError(f"read from one place: {', '.join(PLACES)}")
        if self.take in {"sum", "max", "min"} and self.type != "number":
            raise ValueError(f"{self.take} is taken of numbers: type: number")
        if self.where and places != ["column"]:
            raise ValueError("where picks rows, so it goes with column")
        return self

    @property
    def of_type(self) -> str:
        """Tell the type of what comes out."""
        if self.exit or self.take == "count":
            return "number"
        return "truth" if self.answered else "text" if self.error else self.type


PLACES = ("path", "column", "regex", "exit", "answered", "error")


class Asked(Strict):
    """One question: a command, a statement, or what rmu looks up already. Exactly one of the three."""

    command: Argv | None = None
    sql: Annotated[str, StringConstraints(min_length=1, max_length=8000)] | None = None
    facts: Source | None = None
    on: FactName | None = Field(default=None, description="the input that names the host; default `host`")
    database: FactName | None = Field(default=None, description="the input that names the database; default `database`")
    changes: bool | None = None
    exits: tuple[int, ...] = (0,)
    deadline: Span = timedelta(seconds=30)
    minutes: int = Field(default=15, ge=1, le=1440, description="how far metrics and vitals look back")

    @model_validator(mode="after")
    def _one_question(self) -> Asked:
        if sum(x is not None for x in (self.command, self.sql, self.facts)) != 1:
            raise ValueError("ask one thing: command, sql or facts")
        if self.command is not None and self.changes is None:
            raise ValueError("a command says changes: true or changes: false")
        if not timedelta(0) < self.deadline <= timedelta(minutes=30):
            raise ValueError("a deadline is longer than nothing and no longer than 30m")
        return self


class Check(Asked):
    """One question of the diagnosis, and the facts that are read out of its answer."""

    name: Name
    says: Says
    reads: dict[FactName, Read] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _looks_only(self) -> Check:
        if self.changes:
            raise ValueError("a diagnosis changes nothing: what changes belongs to a remedy")
        return self


class Judged(Strict):
    """Conditions on facts: all of `all`, one of `any`, none of `none`."""

    all: tuple[Compared, ...] = ()
    any: tuple[Compared, ...] = ()
    none: tuple[Compared, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """List every condition, in the order they are shown."""
        return (*self.all, *self.any, *self.none)


class Cause(Judged):
    """What may be the matter: the first one of the list whose conditions are true is the likeliest."""

    name: Name
    says: Says
    advice: str = Field(default="", description="what else a person should know")
    commands: tuple[Says, ...] = Field(default=(), description="what a person types, where rmu cannot carry it")
    remedies: tuple[Name, ...] = ()
    see: Name | None = Field(default=None, description="the runbook that this belongs to, if not this one")

    @model_validator(mode="after")
    def _is_judged(self) -> Cause:
        if not self.conditions:
            raise ValueError("a cause needs a condition: all, any or none")
        return self


class Done(Asked):
    """How it is told that a step is done already: what the question prints is this, or no longer this (or an input).

    A command may print nothing and tell by its exit code alone.
    """

    prints: str | None = None
    prints_not: str | None = None

    @model_validator(mode="after")
    def _can_tell(self) -> Done:
        if self.facts is not None:
            raise ValueError("a step tells by a command or by sql whether it is done")
        if self.prints is not None and self.prints_not is not None:
            raise ValueError("prints or prints_not")
        if self.sql is not None and self.prints is None and self.prints_not is None:
            raise ValueError("sql tells by what it prints: prints or prints_not")
        return self


class Back(Asked):
    """What takes a step back, and how it is told that it is taken back already."""

    title: Says
    done: Done | None = None


class Deed(Asked):
    """One change of a remedy. `done: null` where nothing tells: a resume does it again, so that must be safe."""

    title: Says
    done: Done | None
    undo: Back | None

    @model_validator(mode="after")
    def _changes(self) -> Deed:
        if self.facts is not None:
            raise ValueError("a step is a command or sql")
        if self.changes is not True:
            raise ValueError("a step of a remedy says changes: true")
        return self


class Existing(Strict):
    """A step that rmu has already, by its kind; values may be inputs."""

    step: Literal["ask", "pause_queue", "resume_queue"]
    values: dict[str, Literals] = Field(default_factory=dict, alias="with")


class Only(Judged):
    """What has to be so of what a remedy is about; where it is not, or is unknown, nobody may pick the remedy."""

    says: Says


class Proof(Judged):
    """What is so once the remedy has worked, looked at until it is or until the deadline."""

    deadline: Span = timedelta(minutes=2)


def _which(value: Any) -> str:
    return "step" if isinstance(value, Existing) or (isinstance(value, dict) and "step" in value) else "deed"


AnyDeed = Annotated[
    Annotated[Deed, Tag("deed")] | Annotated[Existing, Tag("step")],
    Discriminator(_which),
]


class Remedy(Strict):
    """One way to mend it: a verb that exists, or steps and the proof that they worked."""

    name: Name
    says: Says
    costs: Says
    takes: Span
    verb: Argv | None = Field(default=None, description="words of an rmu command, without rmu itself")
    only: Only | None = None
    steps: tuple[AnyDeed, ...] = ()
    proof: Proof | None = None
    approve_within: Span = Field(
        default=timedelta(minutes=10), description="how old the evidence may be when agreed to"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Remedy:
        if (self.verb is None) == (not self.steps):
            raise ValueError("a remedy is a verb, or steps")
        if self.steps and (self.proof is None or not self.proof.conditions):
            raise ValueError("steps need a proof: what is so once they have worked")
        if self.verb is not None and self.proof is not None:
            raise ValueError("a verb proves itself")
        if self.only is not None and (self.verb is not None or not self.only.conditions):
            raise ValueError("only goes with steps, and has conditions")
        return self


class Runbook(Strict):
    """One runbook, as its file says it."""

    name: Name
    title: Says
    severity: Literal["SEV-1", "SEV-2", "SEV-3"]
    alarms: tuple[Name, ...] = ()
    symptoms: tuple[Says, ...] = Field(min_length=1)
    inputs: dict[FactName, Input] = Field(default_factory=dict)
    diagnosis: tuple[Check, ...] = Field(min_length=1)
    causes: tuple[Cause, ...] = Field(min_length=1)
    remedies: tuple[Remedy, ...] = ()
    after: tuple[Says, ...] = Field(default=(), description="what to do once it is mended, so that it does not recur")

    def reads(self) -> dict[str, Read]:
        """List every fact that the diagnosis reads."""
        return {name: read for check in self.diagnosis for name, read in check.reads.items()}

    def remedy(self, name: str) -> Remedy | None:
        """Find a remedy by name."""
        return next((r for r in self.remedies if r.name == name), None)
