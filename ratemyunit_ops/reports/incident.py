"""What an incident was, put together from its own events, the journal of runs, and CloudWatch: a postmortem's facts.

What could not be read is named, never guessed. An hour before the opening is looked at too: the cause lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import (
    AlarmChange,
    AlarmView,
    Facts,
    Frozen,
    Incident,
    IncidentEvent,
    IncidentEventKind,
    RunHeader,
)
from ratemyunit_ops.objectives import Measured, Objective
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_headers, read_incident_events
from ratemyunit_ops.reports.runs import Line as RunLine
from ratemyunit_ops.reports.runs import report_run, timeline
from ratemyunit_ops.reports.slo import Scope, Spent, spent_between
from ratemyunit_ops.reports.slo_shown import percent

BEFORE = timedelta(hours=1)
STEP = timedelta(minutes=1)
QUIET = timedelta(minutes=5)
"""Failing minutes that are no further apart than this belong together."""
NEAR = timedelta(minutes=15)
"""What failed no longer than this before anybody noticed belongs to the incident."""

BALANCER = "AWS/ApplicationELB"

Counted = dict[str, dict[datetime, float]]
"""By name, what was counted in the minute that begins then."""
Source = Literal["alarm", "page", "person", "run", "users"]


class Moment(Frozen):
    """One line of the timeline."""

    at: datetime
    source: Source
    says: str
    who: str = ""
    bad: bool = False


class Span(Frozen):
    """Something that lasted: an alarm that was red, or a run. No end: it went on past the incident's."""

    name: str
    began: datetime
    ended: datetime | None
    says: str = ""
    who: str = ""
    outcome: str = ""
    topic: str = ""


class Evidence(Frozen):
    """One thing that a runbook looked at, and the first of what it saw."""

    says: str
    text: str
    answered: bool = True


class Diagnosis(Frozen):
    """What a runbook found, and what was picked; no `cause` where it named none, no `run` where nothing was done."""

    at: datetime
    runbook: str
    cause: str
    remedy: str = ""
    run: str = ""
    who: str
    evidence: tuple[Evidence, ...]


class Minute(Frozen):
    """One minute in which requests failed, at the balancer, or probes of the hosts through the front door."""

    at: datetime
    requests: int = 0
    probes: int = 0


class Requests(Frozen):
    """What users met while it lasted, and the minutes that failed."""

    asked: int
    failed: int
    minutes: tuple[Minute, ...] = ()


class IncidentReport(Frozen):
    """One incident, whole. `unknown` names what could not be read, and why."""

    incident: Incident
    until: datetime
    began: datetime
    detected: datetime
    paged: datetime | None
    paged_by: str
    acked: datetime | None
    acked_by: str
    mended: datetime | None
    because: str
    alarms: tuple[Span, ...]
    runs: tuple[Span, ...]
    requests: Requests | None
    diagnoses: tuple[Diagnosis, ...]
    moments: tuple[Moment, ...]
    spent: tuple[str, ...] = Field(default=(), description="what each objective's budget lost, as a sentence")
    unknown: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Tell how long it lasted: until it was mended, else until it was closed, else until now."""
        return ((self.mended or self.until) - self.began).total_seconds()


def report_incident(o: Outside, incident: Incident, objectives: Sequence[Objective] = ()) -> IncidentReport:
    """Gather everything. Raises LedgerDown; what CloudWatch does not tell is named in the report."""
    until = incident.closed or o.clock.now()
    since = incident.opened - BEFORE
    unknown: list[str] = []
    events = read_incident_events(o.ledger, incident.id)
    alarms = _alarms(o, since, until, unknown)
    ours = _related(alarms, incident)
    detected = min([s.began for s in ours] + [incident.opened])
    minutes = _minutes(o, incident.environment, since, until, unknown)
    failing = _failing(minutes, detected)
    began = min([p.at for p in failing] + [detected])
    mended = _mended(ours, failing, until)
    paged, paged_by = _paged(ours, events)
    headers = [h for h in read_headers(o.ledger) if _within(h, since, until)]
    lines = {h.run: timeline(o.ledger, h.run) for h in headers}
    return IncidentReport(
        incident=incident,
        until=until,
        began=began,
        detected=detected,
        paged=paged,
        paged_by=paged_by,
        acked=first_ack(events),
        acked_by=next((e.who for e in events if e.kind == "acked"), ""),
        mended=mended,
        because=next((str(e.facts["because"]) for e in events if e.kind == "closed"), ""),
        alarms=alarms,
        runs=tuple(_run(h) for h in headers),
        requests=_requests(minutes, began, mended or until, failing),
        diagnoses=_diagnoses(o, events, headers, lines),
        moments=_moments(
            [m for e in events for m in _of_event(e)],
            [m for s in alarms for m in _of_alarm(s)],
            [m for h in headers for m in _of_run(h, lines[h.run], until)],
            _of_users(failing),
        ),
        spent=_spent(o, incident.environment, objectives, began, mended or until, unknown),
        unknown=tuple(unknown),
    )


def first_ack(events: Iterable[IncidentEvent]) -> datetime | None:
    """Tell when somebody first had it."""
    return next((e.at for e in events if e.kind == "acked"), None)


def _paged(ours: Sequence[Span], events: Sequence[IncidentEvent]) -> tuple[datetime | None, str]:
    """Tell when somebody was paged first, and by whom: an alarm does it by itself."""
    found = [(s.began, f"the alarm {s.name}") for s in ours if s.topic == "critical"]
    found += [(e.at, e.who) for e in events if e.kind == "paged"]
    return min(found, default=(None, ""))


def _alarms(o: Outside, since: datetime, until: datetime, unknown: list[str]) -> tuple[Span, ...]:
    try:
        views = {a.name: a for a in o.metrics.alarms()}
        changes = [c for c in o.metrics.changes(since) if c.at <= until]
    except RmuError as why:
        unknown.append(f"alarms: {why.what}")
        return ()
    names = sorted({c.name for c in changes} | {n for n, a in views.items() if a.state == "ALARM"})
    found = [s for n in names if _tells(views.get(n)) for s in _red(n, views.get(n), changes, since, until)]
    return tuple(sorted(found, key=lambda s: s.began))


def _tells(view: AlarmView | None) -> bool:
    """Leave out what is only a part of another alarm."""
    return view is None or bool(view.topic)


def _red(
    name: str, view: AlarmView | None, changes: Sequence[AlarmChange], since: datetime, until: datetime
) -> list[Span]:
    """Find when an alarm was red."""
    mine = [c for c in changes if c.name == name]
    told = {"name": name, "says": view.says if view else "", "topic": view.topic if view else ""}
    if not mine:
        red = view is not None and view.state == "ALARM" and view.since <= until
        return [Span(began=max(view.since, since), ended=None, **told)] if view and red else []
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


def _related(alarms: Sequence[Span], incident: Incident) -> list[Span]:
    """Pick the alarms that were red when it was opened or later, and the one it was opened for."""
    return [s for s in alarms if s.ended is None or s.ended >= incident.opened - STEP or s.name == incident.alarm]


def _minutes(o: Outside, environment: str, since: datetime, until: datetime, unknown: list[str]) -> Counted | None:
    asked = {
        "asked": Measured(namespace=BALANCER, metric="RequestCount", of="balancer"),
        "balancer": Measured(namespace=BALANCER, metric="HTTPCode_ELB_5XX_Count", of="balancer"),
        "app": Measured(namespace=BALANCER, metric="HTTPCode_Target_5XX_Count", of="balancer"),
        "probes": Measured(metric="ProbeFailed"),
    }
    try:
        scope = Scope.of_places(environment, o.places.all())
        queries = [scope.query(name, measured) for name, measured in asked.items()]
        found = o.metrics.data(queries, start=_floor(since), end=until + STEP, period=STEP)
    except RmuError as why:
        unknown.append(f"requests: {why.what}")
        return None
    return {name: {p.at: p.value for p in found.get(name, ())} for name in asked}


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _failing(minutes: Counted | None, detected: datetime) -> list[Minute]:
    """Find the minutes that failed: those of the incident, and those before it that hang together with it."""
    if minutes is None:
        return []
    times = sorted({at for name in ("balancer", "app", "probes") for at in minutes[name]}, reverse=True)
    found: list[Minute] = []
    edge = detected
    for at in times:
        requests, probes = minutes["balancer"].get(at, 0) + minutes["app"].get(at, 0), minutes["probes"].get(at, 0)
        if not requests and not probes:
            continue
        if at < edge - (NEAR if edge == detected else QUIET):
            break
        found.append(Minute(at=at, requests=round(requests), probes=round(probes)))
        edge = min(edge, at)
    return found[::-1]


def _mended(ours: Sequence[Span], failing: Sequence[Minute], until: datetime) -> datetime | None:
    """Tell when the last of its alarms was green again and no request failed any more; None where nobody saw that."""
    if not ours and not failing:
        return None
    if any(s.ended is None for s in ours):
        return None
    ends = [s.ended for s in ours if s.ended] + [p.at + STEP for p in failing]
    return min(max(ends), until)


def _requests(minutes: Counted | None, began: datetime, ended: datetime, failing: Sequence[Minute]) -> Requests | None:
    if minutes is None:
        return None
    # What the balancer answers by itself never reached a host, and is not among the requests it counts.
    counted = [*minutes["asked"].items(), *minutes["balancer"].items()]
    asked = round(sum(n for at, n in counted if _floor(began) <= at < ended))
    failed = sum(m.requests for m in failing)
    return Requests(asked=max(asked, failed), failed=failed, minutes=tuple(failing))


def _spent(
    o: Outside, environment: str, objectives: Sequence[Objective], began: datetime, ended: datetime, unknown: list[str]
) -> tuple[str, ...]:
    """Say what it cost each objective that lost something, and of which nobody can tell."""
    try:
        scope = Scope.of_places(environment, o.places.all())
    except RmuError as why:
        unknown.append(f"budgets: {why.what}")
        return ()
    found = spent_between(o.metrics, scope, objectives, start=began, end=ended)
    return tuple(_budget(s) for s in found if s.share != 0)


def _budget(s: Spent) -> str:
    if s.share is None:
        return f"{s.title}: not known, {s.why}"
    return f"{s.title}: {s.bad:.0f} of {s.total:.0f} were bad, {percent(s.share)} of the budget of {s.window}"


def _within(header: RunHeader, since: datetime, until: datetime) -> bool:
    goes_on = header.outcome is None
    return header.started <= until and (goes_on or (header.finished or header.started) >= since)


def _run(header: RunHeader) -> Span:
    return Span(
        name=header.verb,
        began=header.started,
        ended=header.finished,
        says=header.because,
        who=header.who,
        outcome=header.outcome or "open",
    )


def _diagnoses(
    o: Outside,
    events: Sequence[IncidentEvent],
    headers: Sequence[RunHeader],
    lines: Mapping[str, Sequence[RunLine]],
) -> tuple[Diagnosis, ...]:
    """Find what runbooks saw: in what they only looked at, which is noted, and in the runs of their remedies."""
    noted = [
        Diagnosis(
            at=e.at,
            runbook=str(e.facts["runbook"]),
            cause=str(e.facts.get("cause") or ""),
            who=e.who,
            evidence=_evidence(e.facts["evidence"]),
        )
        for e in events
        if e.kind == "noted" and "runbook" in e.facts
    ]
    ran = [_of_runbook(o, h, lines[h.run]) for h in headers if h.verb.startswith("runbook ")]
    return tuple(sorted([*noted, *ran], key=lambda d: d.at))


def _of_runbook(o: Outside, header: RunHeader, lines: Sequence[RunLine]) -> Diagnosis:
    told = report_run(o.ledger, header.run).told
    seen = [said for line in lines if line.kind == "done" for said in line.facts.get("evidence", ())]
    return Diagnosis(
        at=header.started,
        runbook=str(told.get("runbook") or header.verb.removeprefix("runbook ")),
        cause=str(told.get("cause") or ""),
        remedy=str(told.get("remedy") or ""),
        run=header.run,
        who=header.who,
        evidence=_evidence(seen),
    )


def _evidence(seen: Sequence[Facts]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(says=str(s.get("says", "")), text=str(s.get("text", "")), answered=bool(s.get("answered", True)))
        for s in seen
    )


def _moments(*parts: Sequence[Moment]) -> tuple[Moment, ...]:
    return tuple(sorted((m for part in parts for m in part), key=lambda m: m.at))


def _of_event(event: IncidentEvent) -> list[Moment]:
    facts = event.facts
    says: dict[IncidentEventKind, Callable[[], str]] = {
        "opened": lambda: f"opened as {facts['severity']}: {facts['title']}",
        "paged": lambda: f"paged through {facts['topic']}{', told chat' if facts['chat'] else ''}",
        "page-refused": lambda: f"the page to {facts['topic']} was refused: {facts['refused'].get('page', '')}",
        "acked": lambda: "acknowledged",
        "noted": lambda: str(facts["text"]),
        "escalated": lambda: f"escalated from {facts['from']} to {facts['to']}{_because(facts['because'])}",
        "closed": lambda: f"closed{_because(facts['because'])}{_but(facts['red'])}",
    }
    source: Source = "page" if event.kind in {"paged", "page-refused"} else "person"
    return [
        Moment(at=event.at, source=source, says=says[event.kind](), who=event.who, bad=event.kind == "page-refused")
    ]


def _because(why: str) -> str:
    return f", because {why}" if why else ""


def _but(red: str) -> str:
    return f" (although {red})" if red else ""


def _of_alarm(span: Span) -> list[Moment]:
    says = f": {span.says}" if span.says else ""
    pages = ", and pages" if span.topic == "critical" else ""
    went = [Moment(at=span.began, source="alarm", says=f"{span.name} red{pages}{says}", bad=True)]
    return went + ([Moment(at=span.ended, source="alarm", says=f"{span.name} green")] if span.ended else [])


def _of_run(header: RunHeader, lines: Sequence[RunLine], until: datetime) -> list[Moment]:
    """Tell a run by its begin, what failed in it, and its end."""
    typed = f"rmu {header.verb} ({header.run}){_because(header.because)}"
    found = [Moment(at=header.started, source="run", says=typed, who=header.who)]
    found += [
        Moment(
            at=line.at, source="run", says=f"{header.run}: {line.title} failed: {line.facts.get('what', '')}", bad=True
        )
        for line in lines
        if line.kind == "failed"
    ]
    if header.finished is not None and header.finished <= until:
        ended = (header.outcome or "ended").replace("_", " ")
        bad = header.outcome != "done"
        found.append(Moment(at=header.finished, source="run", says=f"{header.run}: {ended}", bad=bad))
    return found


def _fails(first: Minute) -> str:
    return "the first requests fail" if first.requests else "the first probe through the front door fails"


def _of_users(failing: Sequence[Minute]) -> list[Moment]:
    if not failing:
        return []
    first = Moment(at=failing[0].at, source="users", says=_fails(failing[0]), bad=True)
    return [first, Moment(at=failing[-1].at + STEP, source="users", says="nothing fails any more")]
