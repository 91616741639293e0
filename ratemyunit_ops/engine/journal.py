"""What happened, written before and after it happens. Event 0 holds the plan; every write needs the lease's token.

No act before its `started`; no success before its `done`. The journal is the audit: views are computed from it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import Field

from ratemyunit_ops.errors import AlreadyThere
from ratemyunit_ops.model import Carried, Facts, Frozen, RunHeader
from ratemyunit_ops.ports import Entry, Ledger, Outside
from ratemyunit_ops.records import header_entry, read_bodies, read_header
from ratemyunit_ops.steps.base import Plan

EventKind = Literal[
    "planned",
    "started",
    "found",
    "done",
    "failed",
    "undo-started",
    "undone",
    "cancelled",
    "resumed",
    "interrupted",
    "abandoned",
    "closed",
]
KINDS: tuple[str, ...] = get_args(EventKind)


class Event(Frozen):
    """One numbered line of a run. `step` counts from 0; None for lines about the whole run."""

    number: int
    kind: EventKind
    at: datetime
    step: int | None = None
    facts: Facts = Field(default_factory=dict)


class Cancel(Frozen):
    """Somebody asked a run to stop and unwind."""

    who: str
    because: str
    at: datetime


def event_key(number: int) -> str:
    """Name an event so that events sort by number."""
    return f"event#{number:05d}"


class Journal:
    """One run's events, in order."""

    def __init__(self, o: Outside, plan: Plan, events: Sequence[Event], token: str) -> None:
        self._o = o
        self._token = token
        self.plan = plan
        self.events = list(events)
        self.on_event: Callable[[Event], None] = lambda event: None

    @property
    def next_number(self) -> int:
        """Number the event that comes next; the fence's sequence."""
        return len(self.events)

    def write(
        self, kind: EventKind, step: int | None = None, facts: Facts | None = None, *, entries: Sequence[Entry] = ()
    ) -> Event:
        """Write one event, and with it the ledger items that belong to it: all or none. Raises LeaseLost."""
        event = Event(number=self.next_number, kind=kind, at=self._o.clock.now(), step=step, facts=facts or {})
        self._o.ledger.write([self._entry(event), *entries], token=self._token)
        self.events.append(event)
        self.on_event(event)
        return event

    def close(self, outcome: str) -> None:
        """Write the last event and the outcome into the list of runs."""
        head = read_header(self._o.ledger, self.plan.run)
        assert head is not None
        closed = head.model_copy(update={"outcome": outcome, "finished": self._o.clock.now()})
        self.write("closed", facts={"outcome": outcome}, entries=[header_entry(closed)])

    def last(self, step: int) -> EventKind | None:
        """Tell the newest event of a step."""
        return next((e.kind for e in reversed(self.events) if e.step == step), None)

    def ever(self, step: int, kind: EventKind) -> bool:
        """Tell whether a step ever had an event of this kind."""
        return any(e.step == step and e.kind == kind for e in self.events)

    def has(self, kind: EventKind) -> bool:
        """Tell whether the run ever had an event of this kind."""
        return any(e.kind == kind for e in self.events)

    def carriers(self) -> tuple[Carried, ...]:
        """Name everyone who carried this run, each since when."""
        began = (e for e in self.events if e.kind in {"planned", "resumed"})
        return tuple(Carried(who=e.facts.get("login") or e.facts["who"], since=e.at) for e in began)

    def _entry(self, event: Event) -> Entry:
        body = event.model_dump(mode="json", exclude={"number"})
        attributes: dict[str, str | int] = {
            "kind": event.kind,
            "at": event.at.isoformat(),
            "body": json.dumps(body),
            "nonce": secrets.token_hex(8),
        }
        return Entry(pk=f"run#{self.plan.run}", sk=event_key(event.number), attributes=attributes, if_absent=True)


def begin(o: Outside, plan: Plan, *, token: str, who: str, because: str, login: str = "") -> Journal:
    """Write the plan down as event 0, with the run's line in the list of runs.

    `login` is `user@host`, as the tools that a run starts sign what they leave; `who` may say more, for the audit.
    """
    journal = Journal(o, plan, (), token)
    header = RunHeader(run=plan.run, verb=plan.verb, who=who, because=because, started=o.clock.now())
    facts = {"plan": plan.model_dump(mode="json"), "who": who, "because": because, "login": login}
    journal.write("planned", facts=facts, entries=[header_entry(header)])
    return journal


def reopen(o: Outside, run: str, *, token: str, parse: Callable[[dict[str, Any]], Plan]) -> Journal:
    """Read a run's journal to go on with it. Raises pydantic.ValidationError when the plan cannot be parsed."""
    events = read_events(o.ledger, run)
    return Journal(o, parse(events[0].facts["plan"]), events, token)


def outline(plan: dict[str, Any]) -> Plan:
    """Read what every version of rmu writes of a plan; its steps are left out."""
    known = ("run", "verb", "environment", "rmu_version", "created")
    return Plan.model_validate({**{k: plan[k] for k in known}, "steps": ()})


def read_events(ledger: Ledger, run: str) -> list[Event]:
    """Read a run's events; empty for a run that never began."""
    return [Event.model_validate({"number": n, **body}) for n, body in enumerate(read_bodies(ledger, run))]


def ask_cancel(o: Outside, run: str, *, who: str, because: str) -> None:
    """Ask a run to stop and unwind. Needs no lease; the first one wins."""
    cancel = Cancel(who=who, because=because, at=o.clock.now())
    entry = Entry(
        pk=f"run#{run}#cancel",
        sk="cancel",
        attributes={"body": cancel.model_dump_json(), "nonce": secrets.token_hex(8)},
        if_absent=True,
    )
    try:
        o.ledger.write([entry], token=None)
    except AlreadyThere:
        return


def read_cancel(ledger: Ledger, run: str) -> Cancel | None:
    """Read whether somebody asked this run to stop."""
    item = ledger.get(f"run#{run}#cancel", "cancel")
    return Cancel.model_validate_json(str(item["body"])) if item else None
