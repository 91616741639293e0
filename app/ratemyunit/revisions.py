"""The revisions that this image carries: what each does to older code, and how long a statement of it may take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

STATEMENT_TIMEOUT = "30s"

Phase = Literal["expand", "contract"]


@dataclass(frozen=True)
class Revision:
    """One revision. `expand` leaves older code reading and writing; `contract` waits until that code is gone."""

    revision: str
    phase: Phase
    oldest_code: str
    title: str
    statement_timeout: str

    def shown(self) -> dict[str, str]:
        """Say what a plan needs to know of it."""
        return {"revision": self.revision, "phase": self.phase, "oldest_code": self.oldest_code, "title": self.title}


def config() -> Config:
    """Make Alembic's settings; there is no ini file."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return made


def line() -> list[Revision]:
    """List every revision of the tree, oldest first."""
    return [_revision(script) for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def pending(current: str | None) -> list[Revision]:
    """List the revisions that a database at `current` has not seen, oldest first."""
    return [revision for revision in line() if current is None or revision.revision > current]


def _revision(script: Script) -> Revision:
    module = script.module
    return Revision(
        revision=script.revision,
        phase=module.phase,
        oldest_code=module.oldest_code,
        title=(script.doc or "").splitlines()[0].rstrip("."),
        statement_timeout=getattr(module, "statement_timeout", STATEMENT_TIMEOUT),
    )
