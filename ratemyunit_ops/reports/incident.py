"""What an incident was, put together from its own events, the journal of runs, and CloudWatch: a postmortem's facts.

What could not be read is named, never guessed. An hour before the opening is looked at too: the cause lies there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from ratemyunit_ops.burning import looks_back
from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import Frozen, Incident, IncidentEvent, RunHeader
from ratemyunit_ops.objectives import Objective
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_deeds, read_headers, read_incident_events
from ratemyunit_ops.reports.incident_moments import Moment, of_alarm, of_deed, of_event, of_run, of_users
from ratemyunit_ops.reports.incident_seen import (
    STEP,
    Counted,
    Diagnosis,
    Minute,
    Span,
    alarms_red,
    counted,
    diagnoses,
    whole_minute,
)
from ratemyunit_ops.reports.runs import timeline
from ratemyunit_ops.reports.slo import Scope, Spent, spent_between
from ratemyunit_ops.reports.slo_shown import percent

BEFORE = timedelta(hours=1)
QUIET = timedelta(minutes=5)
"""Failing minutes that are no further apart than this belong together."""
TOUCHES = timedelta(minutes=2)
"""What failed no longer than this before anybody noticed belongs to the incident."""


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
    alarms = alarms_red(o, since, until, unknown)
    ours = _related(alarms, incident)
    detected = min([s.began for s in ours] + [incident.opened])
    minutes = counted(o, incident.environment, since, until, unknown)
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
        alarms=tuple(s.model_copy(update={"ours": s in ours}) for s in alarms),
        runs=tuple(_run(h) for h in headers),
        requests=_requests(minutes, began, mended or until, failing),
        diagnoses=diagnoses(o, events, headers, lines),
        moments=_in_order(
            [of_event(e) for e in events],
            [m for s in alarms for m in of_alarm(s)],
            [m for h in headers for m in of_run(h, lines[h.run], until)],
            [of_deed(d) for d in read_deeds(o.ledger) if since <= d.began <= until],
            of_users(failing, until),
        ),
        spent=_spent(o, incident.environment, objectives, began, mended or until, unknown),
        unknown=tuple(unknown),
    )


def _in_order(*parts: Sequence[Moment]) -> tuple[Moment, ...]:
    return tuple(sorted((m for part in parts for m in part), key=lambda m: m.at))


def first_ack(events: Iterable[IncidentEvent]) -> datetime | None:
    """Tell when somebody first had it."""
    return next((e.at for e in events if e.kind == "acked"), None)


def _paged(ours: Sequence[Span], events: Sequence[IncidentEvent]) -> tuple[datetime | None, str]:
    """Tell when somebody was paged first, and by whom: an alarm does it by itself."""
    found = [(s.began, f"the alarm {s.name}") for s in ours if s.topic == "critical"]
    found += [(e.at, e.who) for e in events if e.kind == "paged"]
    return min(found, default=(None, ""))


def _related(alarms: Sequence[Span], incident: Incident) -> list[Span]:
    """Pick the alarms of an incident: those that were red when it was opened or later, and the one it is about.

    What was red before the hour that is looked at has another story. An objective's alarm looks back on an outage, so
    it counts only where no other one tells of it.
    """
    since = incident.opened - BEFORE
    about = [s for s in alarms if s.name == incident.alarm and s.began <= incident.opened][-1:]
    ours = [s for s in alarms if s.began > since and (s.ended is None or s.ended >= incident.opened)]
    found = [*about, *(s for s in ours if s not in about)]
    return [s for s in found if not looks_back(s.name)] or found


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
        if at < edge - (TOUCHES if edge == detected else QUIET):
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
    all_of_them = [*minutes["asked"].items(), *minutes["balancer"].items()]
    asked = round(sum(n for at, n in all_of_them if whole_minute(began) <= at < ended))
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
