"""Steps on the schema: note where one can go back to, and migrate. Restoring is in `restore.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Database, Facts, HostView, Release, ReleaseRef, RestorePoint, SchemaNote, previous_good
from ratemyunit_ops.ports import Entry, Guest, Outside
from ratemyunit_ops.records import (
    read_pointer,
    read_release,
    read_releases,
    read_schema_notes,
    release_entry,
    schema_entry,
)
from ratemyunit_ops.steps.base import Change, Check
from ratemyunit_ops.steps.named import placed


class BackedUp(Check):
    """Wait until the database has a backup: until then nothing takes back what a migration does.

    A restored instance has none of its own for some minutes, and cannot be restored to a moment before its first one
    (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html).
    """

    kind: Literal["backed_up"] = "backed_up"
    database: str
    deadline: timedelta = timedelta(minutes=30)

    def title(self) -> str:
        return "a backup is there to go back to"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while (newest := o.databases.view(self.database).latest_restorable) is None:
            if o.clock.monotonic() > until:
                raise Failed(
                    f"{self.database} has no backup yet: what a migration does could not be taken back",
                    state="Nothing was migrated.",
                    next="rmu doctor   (it tells whether backups are kept; then the same command)",
                )
            o.clock.sleep(5)
        return {"restorable": newest.isoformat()}


class NoteRestorePoint(Change):
    """Write the release's record with the moment before its migrations, so that a restore can name it."""

    kind: Literal["note_restore_point"] = "note_restore_point"
    release: Release
    database: str
    schema_before: SchemaNote | None = None

    def title(self) -> str:
        return "note restore point"

    def done(self, o: Outside) -> bool:
        noted = read_release(o.ledger, self.release.version)
        return noted is not None and noted.run == self.release.run and noted.restore_point is not None

    def do(self, o: Outside) -> Facts:
        noted = read_release(o.ledger, self.release.version) if self.done(o) else None
        if noted is None:
            noted = self.release.model_copy(update={"restore_point": point_of(o, self.database)})
        assert noted.restore_point is not None
        return {
            "release": noted.model_dump(mode="json"),
            "restore_point": noted.restore_point.model_dump(mode="json"),
        }

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        release = release_entry(Release.model_validate(facts["release"]))
        return (release, *_noted_before(self.schema_before, facts))

    def undo(self) -> None:
        return None


class NotePoint(Change):
    """Write down the moment before a run that changes the schema alone, so that a restore can name it.

    `schema_before` is what is noted of the schema meanwhile, as `note_before` makes it.
    """

    kind: Literal["note_point"] = "note_point"
    database: str
    run: str
    schema_before: SchemaNote | None = None

    def title(self) -> str:
        return "note restore point"

    def done(self, o: Outside) -> bool:
        return any(n.run == self.run for n in read_schema_notes(o.ledger))

    def do(self, o: Outside) -> Facts:
        return {"restore_point": point_of(o, self.database).model_dump(mode="json")}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return _noted_before(self.schema_before, facts)

    def undo(self) -> None:
        return None


def note_before(now: SchemaNote, *, admits: str, run: str) -> SchemaNote:
    """Make the note of a schema that a run is about to change: the head it has, the code it may need from now on.

    Revisions commit one by one. Of a run that dies between two of them nothing else tells how far it came, and old
    code must not be led onto a schema that has shut it out.
    """
    return now.model_copy(update={"admits": max(now.admits, admits), "run": run})


def _noted_before(note: SchemaNote | None, facts: Facts) -> tuple[Entry, ...]:
    if note is None:
        return ()  # an empty database: nobody needs an old shape
    # Just after the point: whoever restores to it finds the schema of before.
    at = RestorePoint.model_validate(facts["restore_point"]).at + JUST_AFTER
    return (schema_entry(note.model_copy(update={"at": at})),)


JUST_AFTER = timedelta(microseconds=1)


def point_of(o: Outside, database: str) -> RestorePoint:
    """Name this moment of a database. Raises Unreachable."""
    seen = o.databases.view(database)
    # By AWS's clock where it tells the time: a laptop's that runs ahead would name a moment after the migration.
    return RestorePoint(resource_id=seen.resource_id, at=seen.asked or o.clock.now())


class Migrate(Change):
    """Bring the schema to the release's head. Expand only: the old code keeps working, so nothing is undone.

    Whether the old release really does is tried in the same round trip; `StillWorks` judges it.
    """

    kind: Literal["migrate"] = "migrate"
    release: ReleaseRef
    head: str
    old: ReleaseRef | None = None
    database: str = ""
    run: str = ""

    def title(self) -> str:
        return "migrate (expand; one-off container, advisory lock, lock_timeout)"

    def done(self, o: Outside) -> bool:
        return o.oneoff.schema_head(self.release) >= self.head

    def do(self, o: Outside) -> Facts:
        facts = o.oneoff.migrate(self.release, old=self.old)
        return {**facts, "at": _newest(o, self.database).isoformat(), "admits": _proven(facts)}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return _noted(self.database, self.run, facts)

    def undo(self) -> None:
        return None


class Unneeded(Check):
    """Nobody who can still be sent traffic needs the old shape: in no slot, by no worker, by no plain rollback."""

    kind: Literal["unneeded"] = "unneeded"
    admits: str
    tip: str

    def title(self) -> str:
        return "no release that needs the old shape can come back"

    def look(self, o: Outside) -> Facts:
        live = read_pointer(o.ledger).release
        needing = in_the_way(o.fleet.survey(), read_releases(o.ledger), live, self.admits)
        if needing:
            raise Failed(
                f"schema {self.tip} needs code of {self.admits} or newer: {'; '.join(needing)}",
                state="Nothing was migrated.",
                next=f"rmu deploy VERSION   ({A_RELEASE_LATER})",
            )
        return {"admits": self.admits}


A_RELEASE_LATER = "one more release of newer code: what needs the old shape is then no way back any more"


def in_the_way(
    hosts: Sequence[HostView], releases: Sequence[Release], live: str | None, admits: str
) -> tuple[str, ...]:
    """Say of each release whose code is too old for a schema how it could still be sent traffic."""
    by_name = {r.version: r for r in releases}
    old = {name for name, r in by_name.items() if r.schema_head < admits}
    held = [
        f"{slot.release} is {slot.state} on {host.id}"
        for host in hosts
        for slot in host.slots.values()
        if slot.release is not None and (slot.release in old or slot.release not in by_name)
    ]
    working = [
        f"{host.worker.release}'s worker is {host.worker.state} on {host.id}"
        for host in hosts
        if host.worker.release in old and host.worker.state == "running"
    ]
    back = previous_good(releases, live)
    plain = [f"`rmu rollback` goes to {back.version} (code {back.schema_head})"] if back and back.version in old else []
    return (*held, *working, *plain)


class Contract(Change):
    """Take away what only older code needs. There is no way back but a restore, so this is a fence."""

    kind: Literal["contract"] = "contract"
    release: ReleaseRef
    tip: str
    live: ReleaseRef
    database: str
    run: str

    def title(self) -> str:
        return f"migrate to {self.tip} (contract; one-off container, advisory lock, lock_timeout)"

    def done(self, o: Outside) -> bool:
        return o.oneoff.schema_head(self.release) >= self.tip

    def do(self, o: Outside) -> Facts:
        facts = o.oneoff.migrate(self.release, old=self.live, phase="contract")
        return {**facts, "at": _newest(o, self.database).isoformat(), "admits": _proven(facts)}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return _noted(self.database, self.run, facts)

    def undo(self) -> None:
        return None


class Rehearse(Change):
    """Run a release's migrations on a copy, timed, and let the release that serves and the new one work on it.

    The copy goes away with its run, so nothing of this needs undoing.
    """

    kind: Literal["rehearse"] = "rehearse"
    release: Release
    live: ReleaseRef
    database: Database

    def title(self) -> str:
        return f"run the migrations of {self.release.version} on {self.database.identifier}, timed"

    def done(self, o: Outside) -> bool:
        return o.oneoff.schema_head(self.live, database=placed(o, self.database)) >= self.release.schema_head

    def do(self, o: Outside) -> Facts:
        guest = Guest(release=self.release, database=placed(o, self.database))
        facts = o.oneoff.migrate(self.release.ref, old=self.live, guest=guest)
        _works_there(self.live.version, facts["old_works"], facts["head"])
        _works_there(self.release.version, facts["new_works"], facts["head"])
        return {**facts, "rehearsed": self.release.digest, "took_s": _seconds(facts)}

    def undo(self) -> None:
        return None


class RehearseContract(Change):
    """Run a release's contract revisions on the copy that it has expanded, timed: it alone has to work on the result.

    A step of its own: a host answers a verb once in the name of an event.
    """

    kind: Literal["rehearse_contract"] = "rehearse_contract"
    release: Release
    live: ReleaseRef
    database: Database
    tip: str

    def title(self) -> str:
        return f"run its contract revisions there, up to {self.tip}, timed"

    def done(self, o: Outside) -> bool:
        return o.oneoff.schema_head(self.live, database=placed(o, self.database)) >= self.tip

    def do(self, o: Outside) -> Facts:
        guest = Guest(release=self.release, database=placed(o, self.database))
        facts = o.oneoff.migrate(self.release.ref, phase="contract", guest=guest)
        _works_there(self.release.version, facts["new_works"], facts["head"])
        return {**facts, "contracted": self.release.digest, "took_s": _seconds(facts)}

    def undo(self) -> None:
        return None


def _works_there(version: str, works: Facts | None, head: str) -> None:
    """Raise Failed where a release was seen to fail on a rehearsed schema."""
    if works and works["ok"] is False:
        raise Failed(
            f"{version} does not work on the rehearsed schema {head}: {works['failed']} failed ({works['why']})",
            state="Only a copy was touched.",
            next="rmu migrate lint",
        )


def _seconds(facts: Facts) -> float:
    took: dict[str, float] = facts.get("took") or {}
    return round(sum(took.values()), 3)


def _proven(facts: Facts) -> str:
    """Name the oldest code that may run on the schema: what it says of itself, or newer where an old release failed.

    A release that was seen to fail on a schema is no way back, whatever its migrations say.
    """
    failed = (facts.get("old_works") or {}).get("ok") is False
    return str(facts["head"] if failed else facts.get("admits", ""))


def _newest(o: Outside, database: str) -> datetime:
    """Tell a moment later than every note of a database: this clock may run behind the one that told them."""
    noted = [n.at + JUST_AFTER for n in read_schema_notes(o.ledger) if n.database == database]
    return max([o.clock.now(), *noted])


def _noted(database: str, run: str, facts: Facts) -> tuple[Entry, ...]:
    if not database:
        return ()  # a run of an older rmu, which did not say on which database it acts
    at = datetime.fromisoformat(facts["at"])
    return (schema_entry(SchemaNote(at=at, database=database, head=facts["head"], admits=facts["admits"], run=run)),)
