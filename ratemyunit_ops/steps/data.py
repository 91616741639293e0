"""Steps on what is in databases: warm a restored one, shut the old one, move sequences, salvage what it left."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Literal

from ratemyunit_ops.model import Database, Facts, SalvageNote
from ratemyunit_ops.ports import Entry, Outside
from ratemyunit_ops.records import read_salvage, salvage_entry
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.named import placed

UNANSWERED = "a request from before the hold has no answer yet; the fence ends its session, and it fails"


class WarmDatabase(Change):
    """Read every table and index once, since blocks are loaded on first use, and note the keys for the salvage."""

    kind: Literal["warm_database"] = "warm_database"
    database: Database
    run: str

    def title(self) -> str:
        return f"warm {self.database.identifier}, note its keys"

    def done(self, o: Outside) -> bool:
        return o.data.warmed(placed(o, self.database), run=self.run)

    def do(self, o: Outside) -> Facts:
        return o.data.warm(placed(o, self.database), run=self.run)

    def undo(self) -> None:
        return None


class FenceDatabase(Change):
    """Shut application and migrations out of a database and end their sessions, proven by a write that fails.

    Nothing else makes the cut-over safe: a pool or a cached name could go on writing where nobody looks any more.
    `for_good`: another one serves in its place already, so no undo opens it.
    """

    kind: Literal["fence_database"] = "fence_database"
    unbroken: ClassVar[bool] = True
    database: Database
    hold: timedelta | None = None
    for_good: bool = False

    def title(self) -> str:
        return f"fence {self.database.identifier}: a write must fail"

    def done(self, o: Outside) -> bool:
        return o.data.fenced(self.database)

    def do(self, o: Outside) -> Facts:
        return {**hold_still(o, self.hold), **o.data.fence(self.database)}

    def undo(self) -> Change | None:
        return None if self.for_good else UnfenceDatabase(database=self.database)


def hold(o: Outside, at_most: timedelta) -> Facts:
    """Let requests wait, and warn where one from before has no answer yet."""
    facts = o.fleet.hold(at_most=at_most)
    return facts if facts.get("calm", True) else {**facts, "warning": UNANSWERED}


def hold_still(o: Outside, at_most: timedelta | None) -> Facts:
    """Hold requests anew where they are no longer: a run that died after its hold is resumed when that has ended.

    Answers what there is to warn of.
    """
    held = hold(o, at_most) if at_most is not None and not o.fleet.holding() else {}
    return {name: held[name] for name in held if name == "warning"}


class UnfenceDatabase(Change):
    """Let application and migrations in again."""

    kind: Literal["unfence_database"] = "unfence_database"
    database: Database

    def title(self) -> str:
        return f"open {self.database.identifier} again"

    def done(self, o: Outside) -> bool:
        return not o.data.fenced(self.database)

    def do(self, o: Outside) -> Facts:
        return o.data.unfence(self.database)

    def undo(self) -> Change:
        return FenceDatabase(database=self.database)


class MoveSequences(Change):
    """Move every sequence past the old database's: a key that a client was told is never given again."""

    kind: Literal["move_sequences"] = "move_sequences"
    unbroken: ClassVar[bool] = True
    old: Database
    new: Database
    hold: timedelta | None = None

    def title(self) -> str:
        return f"move sequences past those of {self.old.identifier}"

    def done(self, o: Outside) -> bool:
        return o.data.sequences_moved(self.old, placed(o, self.new))

    def do(self, o: Outside) -> Facts:
        hold_still(o, self.hold)
        return o.data.move_sequences(self.old, placed(o, self.new))

    def undo(self) -> None:
        return None


class ComputeSalvage(Change):
    """Find what a superseded database has and the live one lacks, and put it into the bucket as SQL."""

    kind: Literal["compute_salvage"] = "compute_salvage"
    restore: str
    base: str
    old: Database
    new: Database
    since: datetime
    run: str

    def title(self) -> str:
        return f"find what {self.new.identifier} lacks of {self.old.identifier}"

    def done(self, o: Outside) -> bool:
        noted = read_salvage(o.ledger, self.restore)
        return noted is not None and noted.run == self.run

    def do(self, o: Outside) -> Facts:
        found = o.data.salvage(self.old, self.new, since=self.since, base=self.base, run=self.restore)
        note = SalvageNote(restore=self.restore, run=self.run, at=o.clock.now(), found=found)
        told = found.model_dump(mode="json")
        return {"note": note.model_dump(mode="json"), "told": {**told, "conflicts": told.pop("conflicts_by")}}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return (salvage_entry(SalvageNote.model_validate(facts["note"])),)

    def undo(self) -> None:
        return None


class ApplySalvage(Change):
    """Give the salvaged rows back, each one once. A row that was given back stays, so this is a fence.

    A row that could not be put is left and named; the next salvage tries it again.
    """

    kind: Literal["apply_salvage"] = "apply_salvage"
    restore: str
    new: Database
    run: str

    def title(self) -> str:
        return f"give the rows back to {self.new.identifier}"

    def done(self, o: Outside) -> bool:
        noted = read_salvage(o.ledger, self.restore)
        return noted is not None and noted.run == self.run and noted.applied

    def do(self, o: Outside) -> Facts:
        done = o.data.apply(self.new, run=self.restore)
        noted = read_salvage(o.ledger, self.restore)
        assert noted is not None  # the step before wrote it
        applied = noted.model_copy(update={"applied": not done.get("left")}).model_dump(mode="json")
        return {**done, "note": applied, "told": {name: done[name] for name in ("applied", "left") if name in done}}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return (salvage_entry(SalvageNote.model_validate(facts["note"])),)

    def undo(self) -> None:
        return None
