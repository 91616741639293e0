"""An incident's own journal: numbered events, each put where none is yet. No lease: a deploy may hold that just now.

Whoever writes has read first; where somebody came in between, what to write is decided anew on what they wrote.
"""

from __future__ import annotations

from collections.abc import Callable

from ratemyunit_ops.errors import AlreadyThere, Busy, Refused
from ratemyunit_ops.model import Facts, Incident, IncidentEvent, IncidentEventKind, Severity
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import incident_entries, read_incident_events, read_incidents

TRIES = 8
BETWEEN_S = 1.0

Decision = tuple[IncidentEventKind, Facts, Incident]
"""What to write, and how the incident stands after it."""


def open_incident(
    o: Outside, environment: str, *, who: str, severity: Severity, title: str, alarm: str = "", runbook: str = ""
) -> tuple[Incident, bool]:
    """Open an incident, or find the one that is open; tells which. Raises LedgerDown."""
    for _ in range(TRIES):
        known = read_incidents(o.ledger)  # once: the number that is taken must be of the same reading
        if known and known[-1].closed is None:
            return known[-1], False
        now = o.clock.now()
        incident = Incident(
            id=f"i-{now:%y%m%d-%H%M%S}",
            number=len(known) + 1,
            environment=environment,
            severity=severity,
            title=title,
            alarm=alarm,
            runbook=runbook,
            opened=now,
            opened_by=who,
        )
        facts = {"severity": severity, "title": title, "alarm": alarm}
        event = IncidentEvent(number=0, kind="opened", at=now, who=who, facts=facts)
        try:
            o.ledger.write(incident_entries(incident, event), token=None)
        except AlreadyThere:  # somebody was quicker, or one of this very second was closed in it
            o.clock.sleep(BETWEEN_S)
            continue
        return incident, True
    raise _busy()


def write(o: Outside, incident: str, who: str, decide: Callable[[Incident], Decision]) -> Incident:
    """Write the next event of an incident, as decided on how it stands. Raises what `decide` raises, and LedgerDown."""
    for _ in range(TRIES):
        # The events first: an incident that is read after them is at least as new, and the number is what counts.
        number = len(read_incident_events(o.ledger, incident))
        kind, facts, after = decide(read_incident(o, incident))
        event = IncidentEvent(number=number, kind=kind, at=o.clock.now(), who=who, facts=facts)
        try:
            o.ledger.write(incident_entries(after, event), token=None)
        except AlreadyThere:
            o.clock.sleep(BETWEEN_S / 10)
            continue
        return after
    raise _busy()


def read_incident(o: Outside, incident: str) -> Incident:
    """Read how an incident stands. Raises Refused where there is none of that name."""
    known = {i.id: i for i in read_incidents(o.ledger)}
    if incident not in known:
        newest = ", ".join(list(known)[-5:]) or "none"
        raise Refused(f"there is no incident {incident} (the newest are: {newest})", next="rmu status")
    return known[incident]


def _busy() -> Busy:
    return Busy("others write to this incident at every try", next="try again")
