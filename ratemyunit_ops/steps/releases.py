"""Steps on the records: which release is live, what each one was, and its verdict."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Database, Facts, LiveNote, Pointer, Release, Verdict
from ratemyunit_ops.ports import Entry, Outside
from ratemyunit_ops.records import live_entry, pointer_entry, read_pointer, read_release, release_entry
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.named import resource_of


class RecordRelease(Change):
    """Make a release the live one: pointer, a note of what serves since when, and both verdicts, in one transaction.

    `release` None empties the pointer (the undo of a first deploy).
    """

    kind: Literal["record_release"] = "record_release"
    release: str | None
    instead_of: str | None
    database: Database
    verdict_of_other: Verdict | None = None
    run: str = ""

    def title(self) -> str:
        return "record the release" if self.release else "record that nothing is live"

    def done(self, o: Outside) -> bool:
        return read_pointer(o.ledger) == Pointer(release=self.release, database=self.database)

    def do(self, o: Outside) -> Facts:
        changed = []
        for version, verdict in ((self.release, "good"), (self.instead_of, self.verdict_of_other)):
            if version is None or verdict is None:
                continue
            record = read_release(o.ledger, version)
            if record is None:
                raise Failed(
                    f"the record of {version} is gone from the ledger",
                    state="Nothing was recorded.",
                    next="rmu history",
                )
            changed.append(record.model_copy(update={"verdict": verdict}).model_dump(mode="json"))
        if self.release is not None:
            self._keep_image(o, next(r for r in changed if r["version"] == self.release))
        at, resource_id = o.clock.now().isoformat(), resource_of(o, self.database.identifier)
        return {"releases": changed, "at": at, "resource_id": resource_id}

    def _keep_image(self, o: Outside, record: Facts) -> None:
        o.registry.keep(record["digest"], f"keep-{record['run']}")

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        pointer = pointer_entry(Pointer(release=self.release, database=self.database))
        live = LiveNote(
            at=facts["at"],
            release=self.release,
            database=self.database,
            resource_id=facts["resource_id"],
            run=self.run,
        )
        return (pointer, live_entry(live), *(release_entry(Release.model_validate(r)) for r in facts["releases"]))

    def undo(self) -> Change:
        # A deploy that is unwound condemns its release; a rollback that is unwound says nothing of where it led.
        verdict: Verdict | None = "rolled_back" if self.verdict_of_other is None else None
        return RecordRelease(
            release=self.instead_of,
            instead_of=self.release,
            database=self.database,
            verdict_of_other=verdict,
            run=self.run,
        )
