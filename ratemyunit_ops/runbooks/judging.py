"""From facts to the likeliest cause, with what speaks for it and against it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.runbooks.conditions import Condition, Facts
from ratemyunit_ops.runbooks.evidence import Evidence, facts_of
from ratemyunit_ops.runbooks.schema import Cause, Judged, Remedy, Runbook


class Verdict(Frozen):
    """What the facts say to one cause. Each reason is a condition, with what the fact is."""

    cause: str
    says: str
    holds: Literal["yes", "no", "unknown"]
    speaks_for: tuple[str, ...] = ()
    speaks_against: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    see: str | None = None
    advice: str = ""
    commands: tuple[str, ...] = ()


class Diagnosis(Frozen):
    """What was found: the likeliest cause, None where none of the known ones is true, and every verdict."""

    cause: str | None
    verdicts: tuple[Verdict, ...]
    facts: Facts

    @property
    def likeliest(self) -> Verdict | None:
        """Name the verdict of the likeliest cause."""
        return next((v for v in self.verdicts if v.cause == self.cause), None)


def judge(runbook: Runbook, found: Sequence[Evidence]) -> Diagnosis:
    """Name the likeliest cause by recorded evidence: of those that hold, the first of the file."""
    facts = facts_of(runbook, found)
    verdicts = [_verdict(runbook, cause, facts) for cause in runbook.causes]
    order = {"yes": 0, "unknown": 1, "no": 2}
    ranked = sorted(verdicts, key=lambda v: order[v.holds])
    return Diagnosis(cause=ranked[0].cause if ranked[0].holds == "yes" else None, verdicts=tuple(ranked), facts=facts)


def holds(judged: Judged, facts: Facts) -> bool | None:
    """Tell whether all of `all`, one of `any` and none of `none` are so; None where that hangs on what is unknown."""
    parts = [c.holds(facts) for c in judged.all]
    parts += [None if seen is None else not seen for seen in (c.holds(facts) for c in judged.none)]
    if judged.any:
        seen = [c.holds(facts) for c in judged.any]
        parts.append(True if True in seen else None if None in seen else False)
    return False if False in parts else None if None in parts else True


def may_be_picked(remedy: Remedy | None, facts: Facts) -> bool:
    """Tell whether a remedy is for what was found: what it is only for is so."""
    return remedy is not None and (remedy.only is None or holds(remedy.only, facts) is True)


def _verdict(runbook: Runbook, cause: Cause, facts: Facts) -> Verdict:
    whole = holds(cause, facts)
    speaks: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for condition in (*cause.all, *cause.any):
        speaks[condition.holds(facts)].append(reason(condition, facts))
    for condition in cause.none:
        seen = condition.holds(facts)
        speaks[None if seen is None else not seen].append(f"not {reason(condition, facts)}")
    return Verdict(
        cause=cause.name,
        says=cause.says,
        holds="unknown" if whole is None else "yes" if whole else "no",
        speaks_for=tuple(speaks[True]),
        speaks_against=tuple(speaks[False]),
        unknown=tuple(speaks[None]),
        remedies=tuple(name for name in cause.remedies if may_be_picked(runbook.remedy(name), facts)),
        see=cause.see,
        advice=cause.advice,
        commands=cause.commands,
    )


def reason(condition: Condition, facts: Facts) -> str:
    """Say a condition, and what its fact is."""
    if condition.op == "is":
        return str(condition)
    if condition.fact not in facts:
        return f"{condition} (unknown)"
    value = facts[condition.fact]
    return (
        str(condition) if condition.op == "==" and value == condition.literal else f"{condition} ({json.dumps(value)})"
    )
