"""The lines of an incident's timeline: what alarms did, what was typed, what runs came to, what users met."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from ratemyunit_ops.model import Deed, Frozen, IncidentEvent, IncidentEventKind, RunHeader
from ratemyunit_ops.reports.incident_seen import STEP, Minute, Span
from ratemyunit_ops.reports.runs import Line as RunLine

Source = Literal["alarm", "page", "person", "run", "users"]


class Moment(Frozen):
    """One line of the timeline."""

    at: datetime
    source: Source
    says: str
    who: str = ""
    bad: bool = False


def of_event(event: IncidentEvent) -> Moment:
    """Tell what somebody did to the incident."""
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
    by_runbook = event.kind == "noted" and "runbook" in facts
    source: Source = "page" if event.kind in {"paged", "page-refused"} else "run" if by_runbook else "person"
    return Moment(at=event.at, source=source, says=says[event.kind](), who=event.who, bad=event.kind == "page-refused")


def of_alarm(span: Span) -> list[Moment]:
    """Tell when an alarm went red, and green."""
    says = f": {span.says}" if span.says else ""
    pages = ", and pages" if span.topic == "critical" else ""
    went = [Moment(at=span.began, source="alarm", says=f"{span.name} red{pages}{says}", bad=True)]
    return went + ([Moment(at=span.ended, source="alarm", says=f"{span.name} green")] if span.ended else [])


def of_run(header: RunHeader, lines: Sequence[RunLine], until: datetime) -> list[Moment]:
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


def of_deed(deed: Deed) -> Moment:
    """Tell what somebody typed on hosts, past every plan."""
    on = ", ".join(deed.hosts)
    ended = f": {deed.outcome}" if deed.outcome else ""
    says = f"rmu {deed.verb} on {on} over {deed.transport}: {shlex.join(deed.argv)}".rstrip(": ")
    return Moment(at=deed.began, source="person", says=f"{says}{ended}{_because(deed.because)}", who=deed.who)


def of_users(failing: Sequence[Minute], until: datetime) -> list[Moment]:
    """Tell when users met the first failure, and when the last was over, if that was seen."""
    if not failing:
        return []
    first = Moment(at=failing[0].at, source="users", says=_fails(failing[0]), bad=True)
    over = failing[-1].at + STEP
    return [first, Moment(at=over, source="users", says="nothing fails any more")] if over <= until else [first]


def _fails(first: Minute) -> str:
    return "the first requests fail" if first.requests else "the first probe through the front door fails"


def _because(why: str) -> str:
    return f", because {why}" if why else ""


def _but(red: str) -> str:
    return f" (although {red})" if red else ""
