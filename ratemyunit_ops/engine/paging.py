"""Telling people about an incident: tried again where it is refused, said where it stays refused, never in the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from ratemyunit_ops.engine.incident import write
from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import Frozen, Incident, IncidentEventKind, Severity, Topic
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_incident_events

TOPICS: Mapping[Severity, Topic] = {"SEV-1": "critical", "SEV-2": "alerts", "SEV-3": "alerts"}
IN_CHAT: frozenset[Severity] = frozenset({"SEV-1", "SEV-2"})
ESCALATES_TO: Topic = "critical"
AT_MOST = timedelta(hours=24)
"""How long an incident that nobody acknowledges is paged again: a forgotten schedule ends by itself."""
PAUSES_S = (1.0, 3.0)
"""How long to wait before each further try."""


class Told(Frozen):
    """What became of telling people. An empty `topic` tells nobody; `refused` says why, by way."""

    topic: Topic
    sent: bool
    listening: int | None = None
    chat: bool = False
    again_after: timedelta | None = None
    refused: dict[str, str] = {}  # noqa: RUF012  (a pydantic field: every value gets its own)


def rouse(o: Outside, incident: Incident, who: str, *, within: timedelta, how: str) -> Told:
    """Page whom the severity wants, tell chat, and let the page come again until somebody acknowledges.

    The page goes out first: it is what wakes. Somebody may acknowledge before the schedule stands, so that is
    looked at afterwards.
    """
    topic, refused = TOPICS[incident.severity], {}
    text = message(incident, within, how)
    ways: dict[str, Callable[[], None]] = {
        "page": lambda: o.pager.send(topic, subject(incident), text),
        "escalation": lambda: o.pager.schedule(
            incident.id,
            o.clock.now() + within,
            ESCALATES_TO,
            message(incident, within, "Nobody has acknowledged it yet"),
            every=within,
            until=o.clock.now() + max(AT_MOST, 2 * within),
        ),
    }
    if incident.severity in IN_CHAT:
        ways["chat"] = lambda: o.pager.chat(subject(incident), text)
    for name, act in ways.items():
        why = tried(o, act)
        if why:
            refused[name] = why
    told = Told(
        topic=topic,
        sent="page" not in refused,
        listening=_listening(o, topic),
        chat="chat" in ways and "chat" not in refused,
        again_after=None if "escalation" in refused else within,
        refused=refused,
    )
    return _written(o, incident, who, told)


def owed(o: Outside, incident: Incident) -> bool:
    """Tell whether nobody has acknowledged an incident and its last page went out in no way, or not at all."""
    if incident.acked or incident.closed:
        return False
    events = read_incident_events(o.ledger, incident.id)
    asked = max((e.number for e in events if e.kind in {"opened", "escalated"}), default=0)
    return not any(e.kind == "paged" and "escalation" not in e.facts["refused"] for e in events if e.number > asked)


def call_off(o: Outside, incident: Incident) -> str:
    """Let an incident page nobody any more; answers why that was refused, or nothing."""
    return tried(o, lambda: o.pager.cancel(incident.id))


def tell_chat(o: Outside, incident: Incident, text: str) -> str:
    """Tell chat what became of an incident it knows; answers why that was refused, or nothing."""
    if incident.severity not in IN_CHAT:
        return ""
    return tried(o, lambda: o.pager.chat(subject(incident), text))


def tried(o: Outside, act: Callable[[], None]) -> str:
    """Do it, and again after a pause; answers why the last try failed, or nothing. An incident waits for nobody."""
    why = ""
    for pause in (*PAUSES_S, None):
        try:
            act()
        except RmuError as refusal:
            why = refusal.what
        else:
            return ""
        if pause is not None:
            o.clock.sleep(pause)
    return why


def subject(incident: Incident) -> str:
    """Say an incident in one line."""
    return f"{incident.severity} {incident.environment}: {incident.title}"


def message(incident: Incident, within: timedelta, how: str) -> str:
    """Say an incident to somebody who was asleep: what it is, how this message came to be, what to type."""
    env = f"--env {incident.environment}"
    runbook = f"rmu runbook run {incident.runbook} {env}" if incident.runbook else "rmu runbook list"
    minutes = round(within / timedelta(minutes=1))
    return "\n".join(
        [
            subject(incident),
            *([f"{how}."] if how else []),
            f"{incident.id}, opened {incident.opened:%Y-%m-%d %H:%M:%S} UTC by {incident.opened_by}.",
            "",
            f"1. rmu incident ack {env}",
            f"2. {runbook}",
            "",
            f"Without an acknowledgement this comes again every {minutes} minutes.",
        ]
    )


def _written(o: Outside, incident: Incident, who: str, told: Told) -> Told:
    """Write down what became of it, and call it off where somebody has acknowledged meanwhile."""
    kind: IncidentEventKind = "paged" if told.sent else "page-refused"
    try:
        after = write(o, incident.id, who, lambda i: (kind, told.model_dump(mode="json"), i))
    except RmuError as why:  # people were told all the same
        return told.model_copy(update={"refused": {**told.refused, "ledger": why.what}})
    if after.acked or after.closed:
        call_off(o, incident)
    return told


def _listening(o: Outside, topic: Topic) -> int | None:
    try:
        return o.pager.listening(topic)
    except RmuError:
        return None
