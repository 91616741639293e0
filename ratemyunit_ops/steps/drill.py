"""Steps of a drill: a host and a database in the corner, what is there compared with what should be, and the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from ratemyunit_ops.errors import Absent, Failed, NoAnswer, RmuError, Unreachable
from ratemyunit_ops.model import BROKEN, Database, DatabaseSettings, Facts, Frozen, Pointer, ReleaseRef
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_pointer
from ratemyunit_ops.steps.base import Change, Check
from ratemyunit_ops.steps.named import placed

GOING = ("absent", "deleting")
"""States that no instance comes back from: every other one may mend."""
BESIDE = "Everything of it stands in the corner; what serves was not touched."


class LaunchDrillHost(Change):
    """Make this run's host in the corner: from the hosts' template, or from an image of a host."""

    kind: Literal["launch_drill_host"] = "launch_drill_host"
    run: str
    image: str | None = None

    def title(self) -> str:
        return f"launch a host in the corner from {self.image or 'the template'}"

    def done(self, o: Outside) -> bool:
        return any(h.run == self.run for h in o.corner.hosts())

    def do(self, o: Outside) -> Facts:
        return o.corner.launch(self.run, image=self.image)

    def undo(self) -> Change:
        return EndDrillHost(run=self.run)


class EndDrillHost(Change):
    """End what a run made in the corner."""

    kind: Literal["end_drill_host"] = "end_drill_host"
    run: str

    def title(self) -> str:
        return f"end the host of {self.run}"

    def done(self, o: Outside) -> bool:
        return all(h.run != self.run for h in o.corner.hosts())

    def do(self, o: Outside) -> Facts:
        return o.corner.end(self.run)

    def undo(self) -> None:
        return None


class DrillHostAnswers(Check):
    """The host has booted: its agent answers, and its proxy, which serves nothing yet."""

    kind: Literal["drill_host_answers"] = "drill_host_answers"
    run: str
    deadline: timedelta = timedelta(minutes=15)

    def title(self) -> str:
        return "its host answers"

    def look(self, o: Outside) -> Facts:
        began = o.clock.monotonic()
        here = o.in_corner(self.run)
        while True:
            try:
                here.traffic.look()
                return {"seconds": round(o.clock.monotonic() - began, 1)}
            except Unreachable as why:
                if o.clock.monotonic() - began > self.deadline.total_seconds():
                    raise Failed(
                        f"the host of {self.run} did not answer in time (last: {why.what})",
                        state=BESIDE,
                        next=f"rmu show {self.run}",
                    ) from why
            o.clock.sleep(3)


class AppAnswers(Check):
    """The app on the drill's host says that it is this release on this database, and its smoke list passes.

    Asked from the host itself: nobody else reaches it.
    """

    kind: Literal["app_answers"] = "app_answers"
    run: str
    release: ReleaseRef
    deadline: timedelta = timedelta(minutes=1)

    def title(self) -> str:
        return f"{self.release.version} answers and searches, asked from its host"

    def look(self, o: Outside) -> Facts:
        traffic = o.in_corner(self.run).traffic
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while True:
            seen = traffic.look()
            right = (seen.version, seen.digest) == (self.release.version, self.release.digest)
            if right and seen.database in (None, self.release.database):
                return {"version": seen.version, "digest": seen.digest, "database": seen.database, **traffic.smoke()}
            if o.clock.monotonic() > until:
                where = f"{seen.version or 'nothing'} on {seen.database or 'no database'}"
                raise Failed(f"{where} answers in the corner", state=BESIDE, next=f"rmu show {self.run}")
            o.clock.sleep(1)


class CompareData(Check):
    """Hold what was restored against what it should be, table by table.

    A source that lives is asked: what stood in a table at the restore point, and was not changed or deleted since, must
    be there to the last row. Of a table with rows that were, only the others can be counted. Without a source all that
    can be seen is that every row of every table can be read. `head` is the schema noted for that moment, if one was.
    """

    kind: Literal["compare_data"] = "compare_data"
    run: str
    restored: Database
    source: Database | None
    at: datetime
    head: str = ""

    def title(self) -> str:
        return f"compare it with {self.source.identifier}" if self.source else "read every row of it"

    def look(self, o: Outside) -> Facts:
        here = o.in_corner(self.run)
        database = placed(o, self.restored)
        found = here.data.checksum(database)
        seen = here.data.look(database, since=None)
        told = self._told(o)
        tables = [compared(name, found.get(name), told.get(name)) for name in sorted({*found, *told})]
        wrong = [t["table"] for t in tables if t["verdict"] == "differs"]
        # An app that keeps no table of migrations has a head all the same; only its image can tell it.
        if wrong or (self.head and seen.schema_head not in ("", self.head)):
            what = f"{', '.join(wrong)} is not what it was" if wrong else f"its schema is {seen.schema_head}"
            raise Failed(f"the restored database is wrong: {what}", state=BESIDE, next=f"rmu show {self.run}")
        newest = seen.newest.isoformat() if seen.newest else None
        facts = {"tables": tables, "newest": newest, "bytes": seen.size, "schema_head": seen.schema_head}
        return {**facts, **self._verdict(tables)}

    def _told(self, o: Outside) -> dict[str, dict[str, Any]]:
        if self.source is None:
            return {}
        try:
            return o.data.checksum(placed(o, self.source), until=self.at)
        except RmuError:  # it was there when this was planned: a source that is down cannot be compared with
            return {}

    def _verdict(self, tables: list[dict[str, Any]]) -> Facts:
        unknown = [t["table"] for t in tables if t["verdict"] == "read"]
        moved = [t["table"] for t in tables if t["verdict"] == "moved on"]
        if unknown:
            why = "every row was read, but there was no source to compare with"
            return {"verified": "partly", "why": why}
        if moved:
            why = f"rows of {', '.join(moved)} were changed or deleted since, so the others were only counted there"
            return {"verified": "partly", "why": why}
        grew = any(t["verdict"] == "grew" for t in tables)
        then = " of then; some only grew since" if grew else ""
        return {"verified": "yes", "why": f"every table is the same to the last row{then}"}


def compared(name: str, found: dict[str, Any] | None, told: dict[str, Any] | None) -> Facts:
    """Judge one table.

    `same`; `grew`: the source's rows of then are the same, and it got more; `moved on`: rows of then were changed or
    deleted there since; `read`: no source to ask; `differs`.
    """
    here = found or {"rows": 0, "checksum": ""}
    line: Facts = {"table": name, "rows": here["rows"], "checksum": here["checksum"]}
    if told is None:
        return {**line, "source_rows": None, "verdict": "read" if found else "differs"}
    same = found is not None and (here["rows"], here["checksum"]) == (told["rows"], told["checksum"])
    # Rows that carry no time may all have been written since.
    old, old_sum = int(told.get("old_rows", 0)), told.get("old_checksum")
    written = int(told["rows"]) - old
    # Rows that were deleted since leave no trace in the source: then it has fewer than were restored.
    moved = written > 0 or int(told["rows"]) < int(here["rows"])
    grew = found is not None and (here["rows"], here["checksum"]) == (old, old_sum)
    enough = int(here["rows"]) >= old
    verdict = "same" if same else "grew" if grew else "moved on" if moved and enough else "differs"
    return {**line, "source_rows": told["rows"], "written_since": written, "verdict": verdict}


class FenceFromOutside(Change):
    """Take away whom a dead database admits: SQL cannot fence it, and it may mend itself once another one serves.

    It is seen not to answer once more just before: of one that lives again nothing need be lost. `in_any_case` is for
    one that another one serves in the place of already.
    """

    kind: Literal["fence_from_outside"] = "fence_from_outside"
    identifier: str
    admits: tuple[str, ...]
    in_any_case: bool = False
    deadline: timedelta = timedelta(minutes=5)

    def title(self) -> str:
        return f"fence {self.identifier} from outside: nobody reaches it any more"

    def done(self, o: Outside) -> bool:
        return status_of(o, self.identifier) in GOING or o.databases.closed(self.identifier)

    def do(self, o: Outside) -> Facts:
        status = status_of(o, self.identifier)
        if status in GOING:
            return {"status": status, "closed": False}
        if not self.in_any_case and not o.databases.closed(self.identifier):
            self._see_dead(o, status)
        return {"status": status, "closed": True, **o.databases.close(self.identifier)}

    def _see_dead(self, o: Outside, status: str) -> None:
        """See that it does not answer; where nobody can ask for a while, only a state that no waiting mends will do."""
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while True:
            said = answers(o, self.identifier)
            if said.yes:
                raise Failed(f"{self.identifier} answers again", state=BESIDE, next="rmu db restore --latest")
            if said.no or status in BROKEN:
                return
            if o.clock.monotonic() > until:
                what = f"whether {self.identifier} ({status}) answers could not be seen: {said.why}"
                raise Failed(what, state=BESIDE, next="rmu host list   (a host in service has to ask it)")
            o.clock.sleep(10)

    def undo(self) -> Change:
        return AdmitAgain(identifier=self.identifier, admits=self.admits)


class AdmitAgain(Change):
    """Let those in again that an instance admitted before it was fenced from outside."""

    kind: Literal["admit_again"] = "admit_again"
    unbroken: ClassVar[bool] = True
    identifier: str
    admits: tuple[str, ...]

    def title(self) -> str:
        return f"let the hosts in to {self.identifier} again"

    def done(self, o: Outside) -> bool:
        return status_of(o, self.identifier) in GOING or not o.databases.closed(self.identifier)

    def do(self, o: Outside) -> Facts:
        status = status_of(o, self.identifier)
        return {"status": status} if status in GOING else o.databases.admit(self.identifier, self.admits)

    def undo(self) -> Change:
        return FenceFromOutside(identifier=self.identifier, admits=self.admits, in_any_case=True)


class NothingElseServes(Check):
    """Before the pointer moves: it is what it was, and no instance that could still take a write is there.

    A restore takes a while, and what was out of order at its begin may have mended itself since. One that is being
    deleted goes on answering for a while: that is waited for.
    """

    kind: Literal["nothing_else_serves"] = "nothing_else_serves"
    was: Pointer
    instances: tuple[str, ...]
    deadline: timedelta = timedelta(hours=1)

    def title(self) -> str:
        return "see that no other database could take a write"

    def look(self, o: Outside) -> Facts:
        now = read_pointer(o.ledger)
        if now != self.was:
            raise Failed("the pointer was moved meanwhile", state=BESIDE, next="rmu status")
        until = o.clock.monotonic() + self.deadline.total_seconds()
        for identifier in self.instances:
            while (status := self._in_the_way(o, identifier)) is not None:
                if status != "deleting":
                    raise Failed(
                        f"{identifier} is there ({status}): it would have to be fenced first",
                        state=BESIDE,
                        next="rmu db restore --latest",
                    )
                if o.clock.monotonic() > until:
                    what = f"{identifier} is being deleted, and nobody saw yet that it answers no more"
                    raise Failed(what, state=BESIDE, next="the same command again, once it is gone")
                o.clock.sleep(10)
        return {"gone": list(self.instances)}

    def _in_the_way(self, o: Outside, identifier: str) -> str | None:
        """Tell the status of an instance that could take a write; None where none could be taken any more."""
        status = status_of(o, identifier)
        if status == "absent" or (status == "deleting" and answers(o, identifier).no):
            return None
        try:
            return None if o.databases.closed(identifier) else status
        except Absent:
            return None


class Answers(Frozen):
    """Whether a database answers a host that serves; neither where nobody could ask it, or it said something else."""

    yes: bool = False
    no: bool = False
    why: str = ""


def answers(o: Outside, identifier: str) -> Answers:
    """Ask a database through a host that serves whether it is there at all."""
    try:
        o.data.fenced(placed(o, Database(identifier=identifier)))
    except NoAnswer as why:
        return Answers(no=True, why=why.what)
    except RmuError as why:
        return Answers(why=why.what)
    return Answers(yes=True)


def status_of(o: Outside, identifier: str) -> str:
    """Tell an instance's status; `absent` where there is none."""
    try:
        return o.databases.view(identifier).status
    except Absent:
        return "absent"


class StandsInCorner(Check):
    """What is about to be dropped admits the corner's host alone: whatever serves, or did, admits others."""

    kind: Literal["stands_in_corner"] = "stands_in_corner"
    identifier: str
    group: str

    def title(self) -> str:
        return f"{self.identifier} stands in the corner"

    def look(self, o: Outside) -> Facts:
        try:
            groups = o.databases.settings(self.identifier).security_groups
        except Absent:
            return {"security_groups": None}
        if groups != (self.group,):
            raise Failed(
                f"{self.identifier} does not stand in the corner: it admits others than its host",
                state="It was left as it is.",
                next="rmu status",
            )
        return {"security_groups": list(groups)}


class AdmitHosts(Change):
    """Let the hosts that serve in to a database that stood in the corner: all settings of the source, groups too."""

    kind: Literal["admit_hosts"] = "admit_hosts"
    identifier: str
    like: DatabaseSettings
    corner: DatabaseSettings

    def title(self) -> str:
        return f"let the hosts in to {self.identifier}"

    def done(self, o: Outside) -> bool:
        try:
            return o.databases.settings(self.identifier).security_groups == self.like.security_groups
        except Absent:
            return False

    def do(self, o: Outside) -> Facts:
        return o.databases.settle(self.identifier, self.like)

    def undo(self) -> Change:
        return AdmitHosts(identifier=self.identifier, like=self.corner, corner=self.like)


class MoveReminder(Change):
    """A drill has ended well: nobody is reminded for another quarter."""

    kind: Literal["move_reminder"] = "move_reminder"
    until: datetime

    def title(self) -> str:
        return f"remind of the next drill from {self.until:%Y-%m-%d} on"

    def done(self, o: Outside) -> bool:
        try:
            moved = o.corner.reminds_from()
        except RmuError:
            return False
        return moved is None or moved >= self.until

    def do(self, o: Outside) -> Facts:
        try:
            return o.corner.remind_from(self.until)
        except RmuError as why:  # a reminder too many is no reason to call a good drill a failed one
            return {"reminder": None, "why": why.what}

    def undo(self) -> None:
        return None
