"""Every failure an operator can meet, grouped by who can fix it.

Each says three things: what happened, what state we are in, what to type next. The exit code answers
"did anything change?".
"""

from typing import ClassVar

NOTHING_CHANGED = "Nothing was changed."


class RmuError(Exception):
    """Base of all; raised only through its children."""

    exit_code: ClassVar[int] = 70
    outcome: ClassVar[str] = "bug"

    def __init__(self, what: str, *, state: str = NOTHING_CHANGED, next: str) -> None:
        super().__init__(what)
        self.what = what
        self.state = state
        self.next = next


class Mistyped(RmuError):
    """The operator's words or settings are wrong; they can mend them."""

    exit_code = 2
    outcome = "refused"


class Refused(RmuError):
    """A guard said no before anything changed."""

    exit_code = 3
    outcome = "refused"


class Unreachable(Refused):
    """Something outside could not be reached; who runs it must look."""


class LedgerDown(Unreachable):
    """The ledger does not answer; without it rmu does not act."""


class Absent(Unreachable):
    """What was asked for is not there; the service itself answered."""


class Busy(RmuError):
    """Someone else holds the lease."""

    exit_code = 4
    outcome = "busy"


class Failed(RmuError):
    """A step failed. Raised inside a run; `carry` turns it into RolledBack or HalfWay."""

    exit_code = 6
    outcome = "half_way"


class NoAnswer(Failed):
    """A database did not answer the host that asked it: nobody listens there, or nothing gets through to it."""


class RolledBack(RmuError):
    """A run failed and everything it had started was undone."""

    exit_code = 5
    outcome = "rolled_back"


class HalfWay(RmuError):
    """A run stopped where it can neither go on nor back by itself; resume, abandon or a runbook."""

    exit_code = 6
    outcome = "half_way"


class Bug(RmuError):
    """Our own mistake; the traceback is in a file."""

    exit_code = 70
    outcome = "bug"


class Interrupted(RmuError):
    """The operator pressed Ctrl-C; where a run had begun it is journaled and resumable."""

    exit_code = 130
    outcome = "interrupted"


class LeaseLost(Busy):
    """The lease item holds another token than ours: someone took over, or came first."""


class AlreadyThere(Busy):
    """An item that had to be absent is there, and is not our own earlier try."""
