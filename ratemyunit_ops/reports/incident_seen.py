"""What an incident's report is made of, read from CloudWatch and the journal: alarms, failures by the minute, evidence.

What cannot be read is added to `unknown`, with why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import AlarmChange, AlarmView, Facts, Frozen, IncidentEvent, RunHeader
from ratemyunit_ops.objectives import Measured
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.runs import Line as RunLine
from ratemyunit_ops.reports.runs import report_run
from ratemyunit_ops.reports.slo import Scope

HISTORY = timedelta(days=30)
STEP = timedelta(minutes=1)
BALANCER = "AWS/ApplicationELB"

Counted = dict[str, dict[datetime, float]]
"""By name, what was counted in the minute that begins then."""


class Span(Frozen):
    """Something that lasted: an alarm that was red, or a run. No end: it went on past the incident's.

    `ours` tells the alarms that the incident is judged by from those that have another story, or look back.
    """

    name: str
    began: datetime
    ended: datetime | None
    says: str = ""
    who: str = ""
    outcome: str = ""
    topic: str = ""
    ours: bool = True


class Evidence(Frozen):
    """One thing that a runbook looked at, and the first of what it saw."""

    says: str
    text: str
    answered: bool = True


class Diagnosis(Frozen):
    """What a runbook found, and what was picked; no `cause` where it named none, no `run` where nothing was done.

    `after` is what the remedy's run saw: that it was still so, and what it was like afterwards.
    """

    at: datetime
    runbook: str
    cause: str
    remedy: str = ""
    run: str = ""
    who: str
    speaks_for: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    after: tuple[Evidence, ...] = ()


class Minute(Frozen):
    """One minute in which requests failed, at the balancer, or probes of the hosts through the front door."""

    at: datetime
    requests: int = 0
    probes: int = 0


def alarms_red(o: Outside, since: datetime, until: datetime, unknown: list[str]) -> tuple[Span, ...]:
    """Find when each alarm was red; one that was red at the end has no end."""
    try:
        views = {a.name: a for a in o.metrics.alarms()}
        changes = o.metrics.changes(since)
    except RmuError as why:
        unknown.append(f"alarms: {why.what}")
        return ()
    if o.clock.now() - since > HISTORY:
        unknown.append(f"what alarms did: CloudWatch keeps it for {HISTORY.days} days")
    names = sorted({c.name for c in changes} | {n for n, a in views.items() if a.state == "ALARM"})
    found = [s for n in names if _tells(views.get(n)) for s in _red(n, views.get(n), changes, since)]
    seen = (_until(s, until) for s in found if s.began <= until)
    return tuple(sorted(seen, key=lambda s: s.began))


def _until(span: Span, until: datetime) -> Span:
    """Leave out what came after the incident's end."""
    return span if span.ended is None or span.ended <= until else span.model_copy(update={"ended": None})


def _tells(view: AlarmView | None) -> bool:
    """Leave out what is only a part of another alarm."""
    return view is None or bool(view.topic)


def _red(name: str, view: AlarmView | None, changes: Sequence[AlarmChange], since: datetime) -> list[Span]:
    """Find when an alarm was red."""
    mine = [c for c in changes if c.name == name]
    told = {"name": name, "says": view.says if view else "", "topic": view.topic if view else ""}
    if not mine:
        return [Span(began=max(view.since, since), ended=None, **told)] if view and view.state == "ALARM" else []
    began = since if mine[0].before == "ALARM" else None
    spans: list[Span] = []
    for change in mine:
        if began is not None and change.before == "ALARM":
            spans.append(Span(began=began, ended=change.at, **told))
            began = None
        if change.after == "ALARM":
            began = change.at
            told["says"] = told["says"] or change.why
    return [*spans, Span(began=began, ended=None, **told)] if began is not None else spans


def counted(o: Outside, environment: str, since: datetime, until: datetime, unknown: list[str]) -> Counted | None:
    """Count requests, failures and failed probes minute by minute."""
    asked = {
        "asked": Measured(namespace=BALANCER, metric="RequestCount", of="balancer"),
        "balancer": Measured(namespace=BALANCER, metric="HTTPCode_ELB_5XX_Count", of="balancer"),
        "app": Measured(namespace=BALANCER, metric="HTTPCode_Target_5XX_Count", of="balancer"),
        "probes": Measured(metric="ProbeFailed"),
    }
    try:
        scope = Scope.of_places(environment, o.places.all())
        queries = [scope.query(name, measured) for name, measured in asked.items()]
        found = o.metrics.data(queries, start=whole_minute(since), end=until + STEP, period=STEP)
    except RmuError as why:
        unknown.append(f"requests: {why.what}")
        return None
    return {name: {p.at: p.value for p in found.get(name, ())} for name in asked}


def whole_minute(moment: datetime) -> datetime:
    """Tell in which minute a moment lies."""
    return moment.replace(second=0, microsecond=0)


def diagnoses(
    o: Outside,
    events: Sequence[IncidentEvent],
    headers: Sequence[RunHeader],
    lines: Mapping[str, Sequence[RunLine]],
) -> tuple[Diagnosis, ...]:
    """Find what runbooks saw, and what came of their remedies; who looked twice and saw the same is told once."""
    noted = [_of_note(e) for e in events if e.kind == "noted" and "runbook" in e.facts]
    ran = [_of_run(o, h, lines[h.run], noted) for h in headers if h.verb.startswith("runbook ")]
    last = {(d.runbook, d.cause): d for d in sorted([*noted, *ran], key=lambda d: d.at)}
    return tuple(last.values())


def _of_note(event: IncidentEvent) -> Diagnosis:
    return Diagnosis(
        at=event.at,
        runbook=str(event.facts["runbook"]),
        cause=str(event.facts.get("cause") or ""),
        who=event.who,
        speaks_for=tuple(event.facts.get("speaks_for", ())),
        evidence=_evidence(event.facts["evidence"]),
    )


def _of_run(o: Outside, header: RunHeader, lines: Sequence[RunLine], noted: Sequence[Diagnosis]) -> Diagnosis:
    """Tell what a remedy did, with what its runbook had seen when it was picked."""
    told = report_run(o.ledger, header.run).told
    runbook = str(told.get("runbook") or header.verb.removeprefix("runbook "))
    seen = [said for line in lines if line.kind == "done" for said in line.facts.get("evidence", ())]
    before = next((d for d in reversed(noted) if d.runbook == runbook and d.at <= header.started), None)
    return Diagnosis(
        at=header.started,
        runbook=runbook,
        cause=str(told.get("cause") or ""),
        remedy=str(told.get("remedy") or ""),
        run=header.run,
        who=header.who,
        speaks_for=before.speaks_for if before else (),
        evidence=before.evidence if before else (),
        after=_evidence(seen),
    )


def _evidence(seen: Sequence[Facts]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(says=str(s.get("says", "")), text=str(s.get("text", "")), answered=bool(s.get("answered", True)))
        for s in seen
    )
