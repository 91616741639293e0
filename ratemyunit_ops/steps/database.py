"""Steps on the database: note where one can go back to, and migrate."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Facts, Release, ReleaseRef, RestorePoint
from ratemyunit_ops.ports import Entry, Outside
from ratemyunit_ops.records import read_release, release_entry
from ratemyunit_ops.steps.base import Change


class NoteRestorePoint(Change):
    """Write the release's record with the moment before its migrations, so that a restore can name it."""

    kind: Literal["note_restore_point"] = "note_restore_point"
    release: Release
    database: str

    def title(self) -> str:
        return "note restore point"

    def done(self, o: Outside) -> bool:
        noted = read_release(o.ledger, self.release.version)
        return noted is not None and noted.run == self.release.run and noted.restore_point is not None

    def do(self, o: Outside) -> Facts:
        if self.done(o):
            noted = read_release(o.ledger, self.release.version)
            assert noted is not None
            return {"release": noted.model_dump(mode="json")}
        seen = o.databases.view(self.database)
        # By AWS's clock where it tells the time: a laptop's that runs ahead would name a moment after the migration.
        point = RestorePoint(resource_id=seen.resource_id, at=seen.asked or o.clock.now())
        noted = self.release.model_copy(update={"restore_point": point})
        return {"release": noted.model_dump(mode="json")}

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        return (release_entry(Release.model_validate(facts["release"])),)

    def undo(self) -> None:
        return None


class Migrate(Change):
    """Bring the schema to the release's head. Expand only: the old code keeps working, so nothing is undone."""

    kind: Literal["migrate"] = "migrate"
    release: ReleaseRef
    head: str

    def title(self) -> str:
        return "migrate (expand; one-off container, advisory lock, lock_timeout)"

    def done(self, o: Outside) -> bool:
        return o.oneoff.schema_head(self.release) == self.head

    def do(self, o: Outside) -> Facts:
        return o.oneoff.migrate(self.release)

    def undo(self) -> None:
        return None
