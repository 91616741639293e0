"""Steps of a restore on instances: another one from a restore point, made like what serves, then named as live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from ratemyunit_ops.errors import Absent, Failed, RmuError, Unreachable
from ratemyunit_ops.model import (
    BROKEN,
    Database,
    DatabaseNote,
    DatabaseSettings,
    DatabaseView,
    Facts,
    LiveNote,
    Pointer,
    Release,
    RestorePoint,
    SchemaNote,
)
from ratemyunit_ops.ports import Entry, Outside
from ratemyunit_ops.records import (
    database_entry,
    live_entry,
    pointer_entry,
    read_database,
    read_live_notes,
    read_pointer,
    read_release,
    read_schema_notes,
    release_entry,
    schema_entry,
)
from ratemyunit_ops.steps.base import Change, Check
from ratemyunit_ops.steps.data import hold_still
from ratemyunit_ops.steps.named import placed, resource_of

NOT_MOVED = "Traffic was not moved; the database that serves was not touched."
BAD_BACKUP = frozenset({"incompatible-restore", "restore-error"})
"""Those of them that tell of the backup: the one before it may be well."""
IN_A_ROW = 3
"""How often an instance must look well, one look after the other: right after a call it still shows its old state."""


class Broken(Failed):
    """An instance is in a state that no waiting mends."""

    def __init__(self, identifier: str, status: str, *, next: str) -> None:
        super().__init__(f"{identifier} is {status}", state=NOT_MOVED, next=next)
        self.status = status


class Restorable(Check):
    """Wait until the restore point lies within what can be restored: logs are shipped every few minutes.

    `verb` is the command that restores: a drill that fails must not send anybody to restore what serves.
    """

    kind: Literal["restorable"] = "restorable"
    point: RestorePoint
    verb: str
    possible: datetime | None = None
    wait: timedelta = timedelta(0)
    deadline: timedelta = timedelta(minutes=30)

    def title(self) -> str:
        when = f"{self.point.at:%H:%M:%S} UTC"
        if self.possible is None:
            return f"see that {when} can be restored"
        minutes = -(-int(self.wait.total_seconds()) // 60)
        return f"wait until {when} can be restored (possible from {self.possible:%H:%M} UTC, in {minutes} min)"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while (window := o.databases.window(self.point.resource_id)).latest < self.point.at:
            if o.clock.monotonic() > until:
                newest = f"the newest moment is {window.latest:%H:%M:%S}"
                raise Failed(
                    f"{self.point.at:%H:%M:%S} UTC cannot be restored yet: {newest}",
                    state=NOT_MOVED,
                    next=f"rmu {self.verb} --latest",
                )
            o.clock.sleep(3)
        if self.point.at < window.earliest:
            raise Failed(
                f"{self.point.at:%Y-%m-%d %H:%M:%S} UTC can be restored no more: backups begin at"
                f" {window.earliest:%Y-%m-%d %H:%M:%S}",
                state=NOT_MOVED,
                next=f"rmu {self.verb} --to '{window.earliest:%Y-%m-%d %H:%M:%S} UTC'",
            )
        return {"earliest": window.earliest.isoformat(), "latest": window.latest.isoformat()}


class RestoreDatabase(Change):
    """Ask for a new instance from a restore point, with every attribute passed. It keeps this name for life."""

    kind: Literal["restore_database"] = "restore_database"
    identifier: str
    point: RestorePoint
    like: DatabaseSettings
    run: str

    def title(self) -> str:
        return f"restore {self.point.at:%H:%M:%S} UTC into {self.identifier}"

    def done(self, o: Outside) -> bool:
        return o.databases.made_by(self.identifier) == self.run

    def do(self, o: Outside) -> Facts:
        return o.databases.restore(self.point, identifier=self.identifier, like=self.like, run=self.run)

    def undo(self) -> Change:
        return DropDatabase(identifier=self.identifier, run=self.run)


class DropDatabase(Change):
    """Delete an instance that this very run made, without a snapshot: it is a copy."""

    kind: Literal["drop_database"] = "drop_database"
    identifier: str
    run: str

    def title(self) -> str:
        return f"drop {self.identifier}"

    def done(self, o: Outside) -> bool:
        return o.databases.made_by(self.identifier) != self.run

    def do(self, o: Outside) -> Facts:
        note = forgotten(o, self.identifier)
        return {**o.databases.drop(self.identifier, run=self.run), "note": note}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return noted_entries(facts)

    def undo(self) -> None:
        return None


class DatabaseAvailable(Check):
    """The instance is available, has its endpoint, and nothing of it is still pending; three looks in a row.

    `verb` is the command that restores, and `takes_moment` tells whether it has a `--to`; another one takes the newest
    backup whenever it is typed.
    """

    kind: Literal["database_available"] = "database_available"
    identifier: str
    verb: str
    point: RestorePoint | None = None
    takes_moment: bool = True
    deadline: timedelta = timedelta(hours=2)

    def title(self) -> str:
        return f"{self.identifier} is available"

    def look(self, o: Outside) -> Facts:
        try:
            seen = settled(o, self.identifier, self.deadline, helps=helps(self.verb))
        except Broken as why:
            raise self._named(o, why) from why
        return {"resource_id": seen.resource_id, "address": seen.address}

    def _named(self, o: Outside, why: Broken) -> Failed:
        """Name the backup that a restore began from where that is what is wrong, and offer another one."""
        if self.point is None or why.status not in BAD_BACKUP:
            return why
        before = [b for b in o.databases.backups(self.point.resource_id) if b <= self.point.at]
        if not before:
            return why
        what = f"{why.what}; the restore began from the backup of {before[-1]:%Y-%m-%d %H:%M:%S} UTC"
        if len(before) == 1:
            return Failed(f"{what}, and there is no older one", state=why.state, next=why.next)
        older = before[-1] - timedelta(seconds=1)
        another = f"--to '{older:%Y-%m-%d %H:%M:%S} UTC'" if self.takes_moment else "  (once there is a newer backup)"
        return Failed(what, state=why.state, next=f"rmu {self.verb} {another}")


class SettleDatabase(Change):
    """Set what a restore does not take or drops silently. What was wrong goes away with the instance."""

    kind: Literal["settle_database"] = "settle_database"
    identifier: str
    like: DatabaseSettings

    def title(self) -> str:
        return f"settle what the restore of {self.identifier} left out"

    def done(self, o: Outside) -> bool:
        return not differing(o, self.identifier, self.like)

    def do(self, o: Outside) -> Facts:
        return o.databases.settle(self.identifier, self.like)

    def undo(self) -> None:
        return None


class SameSettings(Check):
    """Every attribute is what the plan says, the parameter group is in sync, and nothing is pending.

    `only` names the settings that are known where nobody can be asked for all: the source is gone.
    """

    kind: Literal["same_settings"] = "same_settings"
    identifier: str
    like: DatabaseSettings
    only: tuple[str, ...] = ()
    verb: str = "db restore"
    deadline: timedelta = timedelta(minutes=10)

    def title(self) -> str:
        return f"{self.identifier} has every setting of the source"

    def look(self, o: Outside) -> Facts:
        settled(o, self.identifier, self.deadline, also=lambda: self._alike(o), helps=helps(self.verb))
        wrong = differing(o, self.identifier, self.like, self.only)
        status = o.databases.settings(self.identifier).parameter_group_status
        if status != "in-sync":
            wrong["parameter_group_status"] = (status, "in-sync")
        if wrong:
            told = "; ".join(f"{name} is {is_}, wanted {wanted}" for name, (is_, wanted) in sorted(wrong.items()))
            raise Failed(f"{self.identifier} is not like the source: {told}", state=NOT_MOVED, next=helps(self.verb))
        return {"compared": len(self.only or DatabaseSettings.model_fields)}

    def _alike(self, o: Outside) -> bool:
        now = o.databases.settings(self.identifier)
        return now.parameter_group_status != "applying" and not differing(o, self.identifier, self.like, self.only)


class RenewPasswords(Change):
    """Give master and roles today's passwords: a restore brings those of then back.

    The master's has rarely changed since then. RDS is asked for today's, which it takes its time for, only where a
    host cannot make the roles with it.
    """

    kind: Literal["renew_passwords"] = "renew_passwords"
    database: Database
    deadline: timedelta = timedelta(minutes=10)

    def title(self) -> str:
        return f"give {self.database.identifier} today's passwords"

    def done(self, o: Outside) -> bool:
        try:
            return bool(o.oneoff.has_roles(placed(o, self.database)))
        except RmuError:
            return False

    def do(self, o: Outside) -> Facts:
        try:
            return o.oneoff.make_roles(placed(o, self.database))
        except Failed:
            o.databases.renew_master(self.database.identifier)
            settled(o, self.database.identifier, self.deadline)
            return o.oneoff.make_roles(placed(o, self.database))

    def undo(self) -> None:
        return None


class PointTo(Change):
    """Let new hosts boot from another database, and note it: all in the transaction of this step's `done`.

    A host that is born from then on takes writes there, so a restore has no way back any more: it is the fence.
    """

    kind: Literal["point_to"] = "point_to"
    unbroken: ClassVar[bool] = True
    by_entries: ClassVar[bool] = True
    pointer: Pointer
    was: Pointer
    run: str
    restored_from: RestorePoint | None = None
    record: Release | None = None
    hold: timedelta | None = None

    def title(self) -> str:
        return f"point new hosts to {self._name}"

    def done(self, o: Outside) -> bool:
        now = read_pointer(o.ledger)
        named = now.database.identifier if now.database else "nothing"
        return (now.release, named) == (self.pointer.release, self._name)

    def do(self, o: Outside) -> Facts:
        hold_still(o, self.hold)
        pointer, at = self.pointer, o.clock.now()
        if pointer.database is not None:
            pointer = pointer.model_copy(update={"database": placed(o, pointer.database)})
        left = self._note(o, self.was.database, at, superseded=True) if self.was.database else None
        point = RestorePoint(resource_id=left.resource_id, at=at) if left and left.resource_id else None
        here = self._note(o, pointer.database, at, superseded=False) if pointer.database else None
        return {
            "at": at.isoformat(),
            "pointer": pointer.model_dump(mode="json"),
            "notes": [n.model_dump(mode="json") for n in (left, here) if n],
            "told": {"superseded": left.identifier if left else None},
            # For `rmu db restore --before` this very run: what the other database held when it was left.
            **({"restore_point": point.model_dump(mode="json")} if point else {}),
        }

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        pointer = Pointer.model_validate(facts["pointer"])
        notes = tuple(DatabaseNote.model_validate(n) for n in facts["notes"])
        live = LiveNote(
            at=facts["at"],
            release=pointer.release,
            database=pointer.database,
            resource_id=next((n.resource_id for n in notes if n.state == "live"), ""),
            run=self.run,
        )
        record = (release_entry(self.record),) if self.record else ()
        return (pointer_entry(pointer), live_entry(live), *(database_entry(n) for n in notes), *record)

    def undo(self) -> Change:
        return PointTo(pointer=self.was, was=self.pointer, run=self.run)

    @property
    def _name(self) -> str:
        return self.pointer.database.identifier if self.pointer.database else "nothing"

    def _note(self, o: Outside, database: Database, at: datetime, *, superseded: bool) -> DatabaseNote:
        """Note an instance as live or superseded from a moment on; where it came from stays as it was noted."""
        before = read_database(o.ledger, database.identifier)
        new = DatabaseNote(
            identifier=database.identifier,
            resource_id=resource_of(o, database.identifier),
            state="live",
            restored_from=None if superseded else self.restored_from,
            live_at=None if superseded else at,
            run=self.run,
        )
        changed = {
            "state": "superseded" if superseded else "live",
            "superseded_at": at if superseded else None,
            "superseded_by": self.run if superseded else None,
        }
        return (before or new).model_copy(update=changed)


class RecordRestore(Change):
    """Write the schema of the restored database down, and what became of the releases.

    `head` is empty where the notes do not tell it for sure: then the database is asked, which reads it whole.
    """

    kind: Literal["record_restore"] = "record_restore"
    release: str
    left: str | None
    database: Database
    head: str = ""
    admits: str
    run: str

    def title(self) -> str:
        return "record the restore"

    def done(self, o: Outside) -> bool:
        noted = read_schema_notes(o.ledger)
        return any((n.database, n.run) == (self.database.identifier, self.run) for n in noted)

    def do(self, o: Outside) -> Facts:
        head, admits = self._schema(o)
        schema = SchemaNote(
            at=self._since(o), database=self.database.identifier, head=head, admits=admits, run=self.run
        )
        verdicts = [(self.release, "good"), *([(self.left, "rolled_back")] if self.left else [])]
        return {"schema": schema.model_dump(mode="json"), "releases": [self._judged(o, *v) for v in verdicts]}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        releases = (release_entry(Release.model_validate(r)) for r in facts["releases"])
        return (schema_entry(SchemaNote.model_validate(facts["schema"])), *releases)

    def undo(self) -> None:
        return None

    def _schema(self, o: Outside) -> tuple[str, str]:
        if self.head:
            return self.head, self.admits
        seen = o.data.look(placed(o, self.database), since=None)
        return seen.schema_head, seen.admits

    def _since(self, o: Outside) -> datetime:
        """Tell since when the database serves: the schema is that of its first moment too."""
        ours = [n.at for n in read_live_notes(o.ledger) if n.run == self.run]
        return ours[-1] if ours else o.clock.now()

    def _judged(self, o: Outside, version: str, verdict: str) -> dict[str, Any]:
        record = read_release(o.ledger, version)
        if record is None:
            raise Failed(
                f"the record of {version} is gone from the ledger",
                state="Traffic had been moved.",
                next="rmu history",
            )
        return record.model_copy(update={"verdict": verdict}).model_dump(mode="json")


class RetireDatabase(Change):
    """Cut a superseded instance off, snapshot it and delete it; its automated backups are retained. No way back."""

    kind: Literal["retire_database"] = "retire_database"
    identifier: str

    def title(self) -> str:
        return f"cut {self.identifier} off, take a final snapshot, delete it"

    def done(self, o: Outside) -> bool:
        noted = read_database(o.ledger, self.identifier)
        return noted is not None and noted.state == "forgotten" and self._gone(o)

    def do(self, o: Outside) -> Facts:
        note = forgotten(o, self.identifier)
        return {**o.databases.retire(self.identifier), "note": note}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return noted_entries(facts)

    def undo(self) -> None:
        return None

    def _gone(self, o: Outside) -> bool:
        try:
            return o.databases.view(self.identifier).status == "deleting"
        except Absent:
            return True


def forgotten(o: Outside, identifier: str) -> Facts | None:
    """Make the note of an instance that is gone; None where it was never noted."""
    noted = read_database(o.ledger, identifier)
    return noted.model_copy(update={"state": "forgotten"}).model_dump(mode="json") if noted else None


def noted_entries(facts: Facts) -> tuple[Entry, ...]:
    """Name the ledger item of the note that a step's facts hold, if they hold one."""
    return (database_entry(DatabaseNote.model_validate(facts["note"])),) if facts["note"] else ()


def differing(
    o: Outside, identifier: str, like: DatabaseSettings, only: tuple[str, ...] = ()
) -> dict[str, tuple[Any, Any]]:
    """Name the settings of an instance that are not what they should be; `only` leaves all others out."""
    wrong = o.databases.settings(identifier).difference(like)
    return {name: pair for name, pair in wrong.items() if name != "parameter_group_status" and name in (only or wrong)}


def helps(verb: str) -> str:
    """Name what is typed where a copy goes wrong; a drill or a rehearsal sends nobody to restore what serves."""
    return "rmu runbook run restore-wrong" if verb == "db restore" else "rmu status"


def settled(
    o: Outside,
    identifier: str,
    deadline: timedelta,
    *,
    also: Callable[[], bool] = lambda: True,
    helps: str = "rmu status",
) -> DatabaseView:
    """Wait until an instance is available with nothing pending, three looks in a row; past the deadline `also` yields.

    Raises Failed for a state that no waiting mends, and where it never becomes available.
    """
    until = o.clock.monotonic() + deadline.total_seconds()
    agreed, seen, said = 0, None, "no answer"
    while True:
        late = o.clock.monotonic() > until
        try:
            seen = o.databases.view(identifier)
            well = seen.status == "available" and bool(seen.address) and not seen.pending
            said = f"{seen.status}{', pending: ' + ', '.join(seen.pending) if seen.pending else ''}"
            agreed = agreed + 1 if well and (late or also()) else 0
        except Absent:
            raise
        except Unreachable as why:  # a laptop's own network, in the middle of half an hour
            agreed, said = 0, why.what
        if seen is not None and agreed == IN_A_ROW:
            return seen
        if seen is not None and seen.status in BROKEN:
            raise Broken(identifier, seen.status, next=helps)
        if late and not agreed:
            raise Failed(f"{identifier} did not become available in time (last: {said})", state=NOT_MOVED, next=helps)
        o.clock.sleep(1 if agreed else 3)
