"""What a step is. The engine knows steps by this module only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, SerializeAsAny

from ratemyunit_ops.model import Facts, Frozen
from ratemyunit_ops.ports import Entry, Outside


class Step(Frozen):
    """One line of a plan: all its data on top, so that the journal is complete."""

    kind: str

    def title(self) -> str:
        """Name the step so that it reads well after a number in a list."""
        raise NotImplementedError


class Check(Step):
    """Looks and never changes anything. One that passed stays passed."""

    def look(self, o: Outside) -> Facts:
        """Answer what was seen. Raises Failed when it is not as it must be."""
        raise NotImplementedError


class Change(Step):
    """Changes the world. A `fence` is a change after whose start failure means: stop and call a person."""

    fence: bool = False
    unbroken: ClassVar[bool] = False
    """Whether nobody may stop, or be asked, before the next step: meanwhile requests wait or are refused."""
    by_entries: ClassVar[bool] = False
    """Whether all it does to stay are its ledger items: then it has not acted before its `done`."""

    def done(self, o: Outside) -> bool:
        """Ask the world, not our memory, whether this is true already. Has no effect."""
        raise NotImplementedError

    def do(self, o: Outside) -> Facts:
        """Make it true; safe to repeat. Raises Failed."""
        raise NotImplementedError

    def undo(self) -> Change | None:
        """Name the change that takes this back; None where nothing needs to be."""
        raise NotImplementedError

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        """Name the ledger items that are written in the same transaction as this step's `done`."""
        return ()

    def serves(self) -> dict[str, str | None]:
        """Tell which release serves once this is done, as `{"serving": VERSION}`; empty where traffic does not move."""
        return {}

    def flips(self) -> bool:
        """Tell whether hosts are moved to what serves by this: past its fence, no run is given up before it is done."""
        return bool(self.serves())


class Plan(Frozen):
    """What will be done, written down before anything is. Holds names of secrets, never values."""

    run: str
    verb: str
    environment: str
    request: dict[str, Any] = Field(default_factory=dict)
    rmu_version: str
    created: datetime
    expects: Facts = Field(default_factory=dict)
    holds: Facts = Field(default_factory=dict)
    surveyed: int = Field(default=0, description="commands spent on hosts while looking")
    steps: tuple[SerializeAsAny[Step], ...]

    def titles(self) -> tuple[str, ...]:
        """List the steps as they are printed."""
        return tuple(f"{s.title()}{' ── fence' if isinstance(s, Change) and s.fence else ''}" for s in self.steps)
