"""Plan one remedy of a runbook: what is still so, what is changed, and the proof that it helped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from ratemyunit_ops.errors import Mistyped, Refused
from ratemyunit_ops.model import Frozen
from ratemyunit_ops.runbooks.binding import bind, checks_for, filled, needs
from ratemyunit_ops.runbooks.judging import Diagnosis, may_be_picked, reason
from ratemyunit_ops.runbooks.schema import Back as BackAsked
from ratemyunit_ops.runbooks.schema import Deed, Done, Existing, Judged, Remedy, Runbook
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.kinds import parse_step
from ratemyunit_ops.steps.runbook import Back, Command, Holds, Settled, Sql


class RemedyRequest(Frozen):
    """What the person picked, and what was found before."""

    run: str
    rmu_version: str
    environment: str
    at: datetime
    remedy: str
    inputs: dict[str, str] = Field(default_factory=dict)
    unknown: dict[str, str] = Field(default_factory=dict)


def plan_remedy(runbook: Runbook, diagnosis: Diagnosis, request: RemedyRequest) -> Plan:
    """Plan the remedy that was picked.

    Raises:
        Mistyped: there is no such remedy, or an input that it needs is unknown.
        Refused: it is a verb of its own, which has a planner of its own; or it is not for what was found.
    """
    remedy = picked(runbook, request.remedy)
    if remedy.verb is not None:
        words = " ".join(verb_of(remedy, request.inputs, request.unknown, runbook))
        raise Refused(f"{remedy.name} is a verb of its own", next=f"rmu {words}")
    _all_known(runbook, remedy, request.inputs, request.unknown)
    if not may_be_picked(remedy, diagnosis.facts):
        raise _not_for_this(runbook, remedy, diagnosis)
    told = {"runbook": runbook.name, "cause": _cause(diagnosis, remedy.name), "remedy": remedy.name}
    still = still_so(runbook, diagnosis, request)
    return Plan(
        run=request.run,
        verb=verb_name(runbook.name),
        environment=request.environment,
        request={"version": remedy.name, "inputs": request.inputs, "told": told},
        rmu_version=request.rmu_version,
        created=request.at,
        steps=(
            *([still] if still else []),
            *([_holds(runbook, remedy.only, request, label=remedy.only.says)] if remedy.only else []),
            *(_step(step, request) for step in remedy.steps),
            _proof(runbook, remedy, request),
        ),
    )


def still_so(runbook: Runbook, diagnosis: Diagnosis, request: RemedyRequest) -> Holds | None:
    """Look again before anything is changed, since a person may have thought; None for no cause that it is for."""
    cause = _cause(diagnosis, request.remedy)
    judged = next((c for c in runbook.causes if c.name == cause), None)
    return _holds(runbook, judged, request, label=f"still so: {judged.says}") if judged else None


def verb_name(runbook: str) -> str:
    """Name a runbook's run in the list of runs."""
    return f"runbook {runbook}"


def picked(runbook: Runbook, name: str) -> Remedy:
    """Find the remedy that a person named. Raises Mistyped, which names those that there are."""
    remedy = runbook.remedy(name)
    if remedy is None:
        known = ", ".join(r.name for r in runbook.remedies) or "none"
        raise Mistyped(f"{runbook.name} has no remedy {name}; it has: {known}", next=f"rmu runbook show {runbook.name}")
    return remedy


def verb_of(remedy: Remedy, inputs: Mapping[str, str], unknown: Mapping[str, str], runbook: Runbook) -> list[str]:
    """Say the words of a remedy that is a verb. Raises Mistyped for an input that nobody knows."""
    _all_known(runbook, remedy, inputs, unknown)
    return [filled(word, inputs) for word in remedy.verb or ()]


def _all_known(runbook: Runbook, remedy: Remedy, inputs: Mapping[str, str], unknown: Mapping[str, str]) -> None:
    name = next((one for one in needs(remedy) if one not in inputs), None)
    if name is not None:
        why = f" ({unknown[name]})" if name in unknown else ""
        raise Mistyped(
            f"nobody knows the input {name}{why}: {runbook.inputs[name].says}",
            next=f"rmu runbook run {runbook.name} --input {name}=VALUE",
        )


def _not_for_this(runbook: Runbook, remedy: Remedy, diagnosis: Diagnosis) -> Refused:
    assert remedy.only is not None
    seen = "; ".join(reason(c, diagnosis.facts) for c in remedy.only.conditions)
    return Refused(
        f"{remedy.name} is only where {remedy.only.says}: {seen}",
        next=f"rmu runbook run {runbook.name}   (it offers what is for this)",
    )


def _cause(diagnosis: Diagnosis, remedy: str) -> str | None:
    return diagnosis.cause if diagnosis.likeliest and remedy in diagnosis.likeliest.remedies else None


def _proof(runbook: Runbook, remedy: Remedy, request: RemedyRequest) -> Holds:
    assert remedy.proof is not None
    seen = _holds(runbook, remedy.proof, request, label="it helped: the symptom is gone")
    return seen.model_copy(update={"deadline": remedy.proof.deadline})


def _holds(runbook: Runbook, judged: Judged, request: RemedyRequest, *, label: str) -> Holds:
    checks = checks_for(runbook, tuple(c.fact for c in judged.conditions))
    return Holds(
        label=label,
        looks=tuple(bind(c, request.inputs, environment=request.environment) for c in checks),
        judged=Judged(all=judged.all, any=judged.any, none=judged.none),
        otherwise=f"rmu runbook run {runbook.name}",
    )


def _step(step: Deed | Existing, request: RemedyRequest) -> Step:
    if isinstance(step, Existing):
        values = {k: filled(v, request.inputs) if isinstance(v, str) else v for k, v in step.values.items()}
        return parse_step({"kind": step.step, **values})
    made = Command if step.command is not None else Sql
    return made(
        label=step.title,
        deed=bind(step, request.inputs, environment=request.environment, name="deed", says=step.title),
        settled=_settled(step.done, request),
        back=_back(step.undo, request),
    )


def _settled(done: Done | None, request: RemedyRequest) -> Settled | None:
    if done is None:
        return None
    look = bind(done, request.inputs, environment=request.environment, name="done", says="whether it is so already")
    prints, prints_not = (filled(v, request.inputs) if v else v for v in (done.prints, done.prints_not))
    return Settled(look=look, prints=prints, prints_not=prints_not)


def _back(undo: BackAsked | None, request: RemedyRequest) -> Back | None:
    if undo is None:
        return None
    deed = bind(undo, request.inputs, environment=request.environment, name="undo", says=undo.title)
    return Back(label=undo.title, deed=deed, settled=_settled(undo.done, request))
