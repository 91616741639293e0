"""Steps of a runbook's remedy: what is still so, a command on a host, a statement in a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Facts, Frozen
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.runbooks.binding import Look
from ratemyunit_ops.runbooks.evidence import Evidence, kept, read_all
from ratemyunit_ops.runbooks.judging import holds, reason
from ratemyunit_ops.runbooks.schema import Judged
from ratemyunit_ops.steps.base import Change, Check
from ratemyunit_ops.steps.looks import Round, ask, at_place, of_command, run

POLL_S = 2
SHOWN = 300
"""How many characters of one answer a timeline shows."""


class Holds(Check):
    """Look at evidence until conditions on its facts are true, or until the deadline; no deadline looks once."""

    kind: Literal["holds"] = "holds"
    label: str
    looks: tuple[Look, ...]
    judged: Judged
    deadline: timedelta = timedelta(0)
    otherwise: str

    def title(self) -> str:
        return self.label

    def look(self, o: Outside) -> Facts:
        until, commands = o.clock.monotonic() + self.deadline.total_seconds(), 0
        while True:
            asking = Round(o)
            found = [asking.ask(one) for one in self.looks]
            commands += sum(one.source is None for one in self.looks)
            facts = {k: v for one, e in zip(self.looks, found, strict=True) for k, v in read_all(one.reads, e).items()}
            if holds(self.judged, facts):
                return {**told(found, "; ".join(self._reasons(facts, met=True))), "commands": commands}
            if o.clock.monotonic() >= until:
                raise self._not_so(facts)
            o.clock.sleep(POLL_S)

    def _not_so(self, facts: Facts) -> Failed:
        waited = f" after {self.deadline.total_seconds():.0f} s" if self.deadline else ""
        return Failed(
            f"{self.label}: not so{waited}: {'; '.join(self._reasons(facts, met=False))}",
            state="Only looked.",
            next=self.otherwise,
        )

    def _reasons(self, facts: Facts, *, met: bool) -> list[str]:
        """Say the conditions that are as they should be, or those that are not."""
        j = self.judged
        wanted = [(c, True) for c in (*j.all, *j.any)] + [(c, False) for c in j.none]
        return [f"{'' if good else 'not '}{reason(c, facts)}" for c, good in wanted if (c.holds(facts) is good) is met]


class Settled(Frozen):
    """How it is told that a step is done: by an exit that is expected, and by what is printed where that is named."""

    look: Look
    prints: str | None = None
    prints_not: str | None = None

    def so(self, o: Outside) -> bool:
        """Ask. What cannot be asked is not done."""
        return self.told_by(ask(o, self.look))

    def told_by(self, seen: Evidence) -> bool:
        """Tell by the answer."""
        if not seen.answered:
            return False
        said = seen.text.strip() if self.look.command else _first_value(seen)
        if self.prints is not None:
            return said == self.prints
        return self.prints_not is None or said != self.prints_not


class Back(Frozen):
    """What takes a step back."""

    label: str
    deed: Look
    settled: Settled | None = None


class _Deed(Change):
    """One question that changes something; it is asked first whether that is so already, where this can be told."""

    label: str
    deed: Look
    settled: Settled | None = None
    back: Back | None = None

    def title(self) -> str:
        return self.label

    def done(self, o: Outside) -> bool:
        return self.settled is not None and self.settled.so(o)

    def do(self, o: Outside) -> Facts:
        seen = ask(o, self.settled.look) if self.settled is not None else None
        if self.settled is not None and seen is not None:
            if self.settled.told_by(seen):
                return {"saw": "it was so already", "evidence": []}
            if not seen.answered and seen.exit is None:
                raise self._unseen(seen)
        return self._act(o)

    def undo(self) -> Change | None:
        if self.back is None:
            return None
        made = Command if self.back.deed.command is not None else Sql
        return made(label=self.back.label, deed=self.back.deed, settled=self.back.settled)

    def _unseen(self, seen: Evidence) -> Failed:
        return Failed(
            f"{self.label}: whether it is so already, nobody says: {seen.why}",
            state="It was not done: what cannot be seen is not changed.",
            next="rmu host list",
        )

    def _act(self, o: Outside) -> Facts:
        raise NotImplementedError


class Command(_Deed):
    """Run a command on a host: a list of arguments over SSM, never a shell string. An unexpected exit is a failure."""

    kind: Literal["command"] = "command"

    def _act(self, o: Outside) -> Facts:
        seen = of_command(self.deed, run(o, self.deed))
        if not seen.answered:
            raise Failed(
                f"{self.label}: {' '.join(self.deed.command or ())}: {seen.why}",
                state=f"What it had done on {self.deed.host} until then is done.",
                next=f"rmu exec --host {self.deed.host} -- systemctl --failed",
            )
        return {**told([seen], ""), "commands": 1}


class Sql(_Deed):
    """Run a statement in a database as ops, in a transaction of its own: whole or not at all."""

    kind: Literal["sql"] = "sql"

    def _act(self, o: Outside) -> Facts:
        assert self.deed.sql is not None
        said = o.data.act(
            at_place(o, self.deed), self.deed.sql, variables=self.deed.variables, limit=self.deed.deadline
        )
        rows = said.pop("rows", [])
        return {**said, **told([Evidence(check=self.deed.check, says=self.label, rows=tuple(rows))], "")}


def told(found: Sequence[Evidence], saw: str) -> Facts:
    """Say evidence as the journal keeps it: each answer short for a timeline, and whole as far as there is room."""
    return {"evidence": [_entry(e) for e in found], **({"saw": saw} if saw else {})}


def _entry(e: Evidence) -> dict[str, Any]:
    whole = "\n".join(e.lines())
    text, cut = kept(whole)
    notes = "; ".join(note for note in (e.cut, cut) if note)
    return {
        "check": e.check,
        "says": e.says,
        "answered": e.answered,
        "text": whole[:SHOWN],
        **({"whole": text} if len(whole) > SHOWN else {}),
        **({"cut": notes} if notes else {}),
    }


def _first_value(e: Evidence) -> str:
    return next((value or "" for row in e.rows for value in row.values()), "")
