"""What `rmu incident` does. Nothing here waits for a lease, and no page that is refused stands in the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import incident as journal
from ratemyunit_ops.engine.incident import Decision
from ratemyunit_ops.engine.paging import Told, call_off, owed, rouse, tell_chat
from ratemyunit_ops.errors import Mistyped, Refused, RmuError
from ratemyunit_ops.model import Facts, Frozen, Incident, Severity
from ratemyunit_ops.records import read_incident_events, read_incidents, read_open_incident
from ratemyunit_ops.reports.incident import first_ack
from ratemyunit_ops.reports.status import incident_line
from ratemyunit_ops.show.screen import in_words, plain

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the worst on."""
WAYS = {
    "page": "the page was refused, nobody was woken by it: call somebody yourself",
    "escalation": "the page will not come again by itself: rmu incident escalate asks anew",
    "chat": "chat was not told",
    "ledger": "what was sent could not be written down",
}


class Opening(Frozen):
    """What an incident begins with."""

    severity: Severity
    title: str
    alarm: str = ""
    runbook: str = ""


def open_it(w: Wired, *, title: str | None, severity: str | None, alarm: str | None) -> None:
    """Open an incident and page; where one is open already, join it, and page only where this is worse."""
    o, who = w.outside, signed(w)
    opening = _opening(w, title, severity, alarm)
    incident, new = journal.open_incident(
        o,
        w.settings.environment,
        who=who,
        severity=opening.severity,
        title=opening.title,
        alarm=opening.alarm,
        runbook=opening.runbook,
    )
    if not new:
        _join(w, incident, opening, who)
        return
    told = _rouse(w, incident, who, "")
    _result(w, "opened", incident, told, [f"{incident.id} is open: {incident.severity}, {incident.title}"])


def ack_it(w: Wired, named: str | None) -> None:
    """Take an incident; who comes second is told who has it, and stands in the timeline too."""
    o, who = w.outside, signed(w)
    was = _open_one(w, named)

    def decide(now: Incident) -> Decision:
        _still_open(now)
        taken = now if now.acked else now.model_copy(update={"acked": o.clock.now(), "acked_by": who})
        return "acked", {}, taken

    incident = journal.write(o, was.id, who, decide)
    refused = call_off(o, incident)
    first = incident.acked_by == who
    has_it = "you have" if first else f"{incident.acked_by} has"
    lines = [
        f"{incident.id}: {has_it} it{'' if first else ', and you are in it too'}.",
        f"next: rmu runbook {'run ' + incident.runbook if incident.runbook else 'list'}",
    ]
    if refused:
        w.screen.note(f"the page could not be called off and will come again: {refused}   (rmu incident ack)")
    if first:
        tell_chat(o, incident, f"{who} has it")
    _result(w, "acknowledged", incident, None, lines, refused={"escalation": refused} if refused else {})


def note_it(w: Wired, named: str | None, text: str) -> None:
    """Write a line; where the page is still owed to people, try that again."""
    o, who = w.outside, signed(w)
    if not text.strip():
        raise Mistyped("there is nothing in this note", next='rmu incident note "WHAT YOU SEE"')
    was = _open_one(w, named) if named is None else journal.read_incident(o, named)
    incident = journal.write(o, was.id, who, lambda now: ("noted", {"text": text.strip()}, now))
    told = _rouse(w, incident, who, "Opened earlier, and not yet sent") if owed(o, incident) else None
    _result(w, "noted", incident, told, [f"Written into {incident.id}."])


def escalate_it(w: Wired, named: str | None, severity: str | None, because: str) -> None:
    """Raise an incident, and page until somebody acknowledges, whoever had it before."""
    o, who = w.outside, signed(w)
    wanted = _severity(severity) if severity else None
    incident = journal.write(o, _open_one(w, named).id, who, lambda now: _raised(now, wanted, because))
    told = _rouse(w, incident, who, f"Escalated by {who}{': ' + because if because else ''}")
    _result(
        w,
        "escalated",
        incident,
        told,
        [f"{incident.id} is {incident.severity} now, and wants to be acknowledged anew."],
    )


def close_it(w: Wired, named: str | None, because: str) -> None:
    """Close an incident. Raises Refused while an alarm is red, or nobody can tell, and no reason was given."""
    o, who = w.outside, signed(w)
    if named is not None and journal.read_incident(o, named).closed is not None:
        _close_again(w, journal.read_incident(o, named))
        return
    was = _open_one(w, named)
    red = _red(w)
    if red and not because:
        raise Refused(
            f"{red}: is it over?", state=f"{was.id} stays open.", next='rmu incident close --because "WHY IT IS OVER"'
        )

    def decide(now: Incident) -> Decision:
        _still_open(now)
        return "closed", {"because": because, "red": red}, now.model_copy(update={"closed": o.clock.now()})

    incident = journal.write(o, was.id, who, decide)
    refused = call_off(o, incident)
    if refused:
        w.screen.note(f"its page could not be called off: {refused}   (rmu incident close --incident {incident.id})")
    tell_chat(o, incident, f"closed by {who}{': ' + because if because else ''}")
    _result(
        w, "closed", incident, None, _told_at_close(w, incident), refused={"escalation": refused} if refused else {}
    )


def open_incident_lines(w: Wired) -> list[str]:
    """Say which incident is open, for the first lines of what an incident makes people type; never raises."""
    try:
        incident = read_open_incident(w.outside.ledger)
    except RmuError:
        return []
    return [f"incident {incident_line(incident)}"] if incident else []


def note_evidence(w: Wired, text: str, facts: Facts) -> None:
    """Write what a runbook saw into the incident that is open, if one is; never raises."""
    try:
        incident = read_open_incident(w.outside.ledger)
        if incident is not None:
            journal.write(w.outside, incident.id, signed(w), lambda now: ("noted", {**facts, "text": text}, now))
    except RmuError as why:
        w.screen.note(f"it could not be written into the incident: {why.what}")


def signed(w: Wired) -> str:
    """Name who typed: where, and who that is to the cloud, where that can be told."""
    try:
        identity = w.outside.identity.who()
    except RmuError:
        return w.who
    return w.who if identity == w.who else f"{w.who} as {identity}"


def _opening(w: Wired, title: str | None, severity: str | None, alarm: str | None) -> Opening:
    """Put together what was typed and what the alarm says; what was typed counts."""
    if alarm is None:
        if not title or not severity:
            raise Mistyped(
                "an incident wants a severity and a title, or an alarm's name",
                next='rmu incident open --severity SEV-1 --title "WHAT IS SEEN"',
            )
        return Opening(severity=_severity(severity), title=title)
    name = alarm.removeprefix(f"rmu-{w.settings.environment}-")
    try:
        known = {a.name: a for a in w.outside.metrics.alarms()}
    except RmuError as why:
        raise Refused(
            f"the alarm cannot be read: {why.what}", next='rmu incident open --severity SEV-1 --title "WHAT IS SEEN"'
        ) from why
    if name not in known:
        raise Mistyped(
            f"there is no alarm {name} (there are: {', '.join(sorted(known)) or 'none'})",
            next='rmu incident open --severity SEV-1 --title "WHAT IS SEEN"',
        )
    view = known[name]
    return Opening(
        severity=_severity(severity or view.severity or ("SEV-1" if view.topic == "critical" else "SEV-2")),
        title=title or view.says or name,
        alarm=name,
        runbook=view.runbook,
    )


def _severity(text: str) -> Severity:
    wanted = next((s for s in SEVERITIES if text.upper() in {s, s.removeprefix("SEV-")}), None)
    if wanted is None:
        raise Mistyped(f"there is no severity {text}", next="rmu incident open --help")
    return wanted


def _join(w: Wired, incident: Incident, opening: Opening, who: str) -> None:
    """Put what was typed into the incident that is open. A worse one raises it: it pages."""
    o = w.outside
    text = f"also opened as {opening.severity}: {opening.title}"
    incident = journal.write(o, incident.id, who, lambda now: ("noted", {"text": text}, now))
    worse = SEVERITIES.index(opening.severity) < SEVERITIES.index(incident.severity)
    told = None
    if worse:
        incident = journal.write(o, incident.id, who, lambda now: _raised(now, opening.severity, opening.title))
        told = _rouse(w, incident, who, f"Raised by {who}: {opening.title}")
    elif owed(o, incident):
        told = _rouse(w, incident, who, "Opened earlier, and not yet sent")
    lines = [
        incident_line(incident),
        "It was open already; what you typed stands in it as a note."
        + (f" It is {incident.severity} now." if worse else " Nobody was paged again." if told is None else ""),
    ]
    if told is None:
        lines.append(f"next: rmu incident {'note WHAT YOU SEE' if incident.acked else 'ack'}")
    _result(w, "joined", incident, told, lines)


def _close_again(w: Wired, incident: Incident) -> None:
    """Call its page off once more, since that may have been refused at the first closing. Raises Refused."""
    refused = call_off(w.outside, incident)
    if refused:
        raise Refused(f"the page of {incident.id} cannot be called off: {refused}", next="rmu doctor")
    _result(w, "closed", incident, None, [f"{incident.id} was closed already; nobody is paged for it."])


def _raised(now: Incident, wanted: Severity | None, because: str) -> Decision:
    """Raise by one, or as wanted; the worst one only asks again. Whoever had it: somebody has to acknowledge anew."""
    _still_open(now)
    one_up = SEVERITIES[max(SEVERITIES.index(now.severity) - 1, 0)]
    to = wanted or one_up
    if SEVERITIES.index(to) > SEVERITIES.index(now.severity):
        raise Refused(
            f"{now.id} is {now.severity} already, which is worse than {to}",
            state="It stays what it is.",
            next="rmu incident escalate",
        )
    facts = {"from": now.severity, "to": to, "because": because}
    return "escalated", facts, now.model_copy(update={"severity": to, "acked": None, "acked_by": ""})


def _still_open(now: Incident) -> None:
    if now.closed is not None:
        raise Refused(f"{now.id} was closed at {now.closed:%H:%M:%S} UTC", next=f"rmu incident report {now.id}")


def _open_one(w: Wired, named: str | None) -> Incident:
    """Find the incident that is meant. Raises Refused where none is open, or the one named is closed."""
    if named is not None:
        incident = journal.read_incident(w.outside, named)
        _still_open(incident)
        return incident
    found = read_open_incident(w.outside.ledger)
    if found is None:
        last = [i.id for i in read_incidents(w.outside.ledger)][-1:]
        tail = f" (the last one was {last[0]})" if last else ""
        raise Refused(
            f"no incident is open here{tail}", next='rmu incident open --severity SEV-1 --title "WHAT IS SEEN"'
        )
    return found


def _red(w: Wired) -> str:
    """Say which alarms are red, or that nobody can tell; empty where all is well."""
    try:
        alarms = w.outside.metrics.alarms()
    except RmuError as why:
        return f"whether an alarm is red cannot be told ({why.what})"
    now = w.outside.clock.now()
    red = [f"{a.name} has been red for {_ago(a.since, now)}" for a in alarms if a.state == "ALARM" and a.topic]
    return ", ".join(red)


def _rouse(w: Wired, incident: Incident, who: str, how: str) -> Told:
    with w.screen.working("telling people"):
        told = rouse(w.outside, incident, who, within=w.settings.env.respond_within[incident.severity], how=how)
    for way, why in told.refused.items():
        w.screen.note(f"{WAYS[way]} ({why})")
    if told.sent and told.listening == 0:
        w.screen.note(f"nobody has subscribed to {told.topic}, so the page reached nobody: call somebody yourself")
    return told


def _result(
    w: Wired,
    outcome: str,
    incident: Incident,
    told: Told | None,
    lines: list[str],
    *,
    refused: dict[str, str] | None = None,
) -> None:
    """Show what came of it; a page that was handed over is "sent", whoever read it."""
    document = {
        "incident": incident.id,
        "outcome": outcome,
        **incident.model_dump(mode="json", exclude={"id", "number"}),
        "paged": None if told is None else {"topic": told.topic, "sent": told.sent, "listening": told.listening},
        "refused": told.refused if told else refused or {},
    }
    w.screen.result(document, [plain(line) for line in (*lines, *(_sent(told) if told else ()))])


def _sent(told: Told) -> list[str]:
    if not told.sent:
        return []
    to = f"{told.listening} subscribed" if told.listening is not None else "who listens cannot be told"
    again = f", again every {round(told.again_after / timedelta(minutes=1))} minutes" if told.again_after else ""
    return [f"  page       sent to {told.topic} ({to}){again}", "next: rmu incident ack   (it ends the paging)"]


def _told_at_close(w: Wired, incident: Incident) -> list[str]:
    """Say how long it was open, and how long nobody had it."""
    acked = first_ack(read_incident_events(w.outside.ledger, incident.id))
    assert incident.closed is not None
    return [
        f"{incident.id} is closed.",
        f"  open       {in_words((incident.closed - incident.opened).total_seconds())}",
        f"  acked      {'after ' + in_words((acked - incident.opened).total_seconds()) if acked else 'never'}",
        f"next: rmu incident report {incident.id}",
    ]


def _ago(moment: datetime, now: datetime) -> str:
    return in_words(max((now - moment).total_seconds(), 0.0))
