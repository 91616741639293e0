"""Steps that stop the workers of the queue from taking jobs, and let them again. Traffic and jobs are left alone."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Facts
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change


class PauseQueue(Change):
    """Let no worker take a job any more, in somebody's name. Jobs in hand are finished."""

    kind: Literal["pause_queue"] = "pause_queue"
    by: str
    because: str = ""

    def title(self) -> str:
        return "pause the queue"

    def done(self, o: Outside) -> bool:
        return o.queue.status().paused

    def do(self, o: Outside) -> Facts:
        return o.queue.pause(by=self.by, because=self.because)

    def undo(self) -> Change:
        return ResumeQueue(by=self.by, paused_by=self.by, because=self.because)


class ResumeQueue(Change):
    """Let workers take jobs again. `paused_by` and `because` say whose pause that ends: an undo puts it back."""

    kind: Literal["resume_queue"] = "resume_queue"
    by: str
    paused_by: str = ""
    because: str = ""

    def title(self) -> str:
        return "resume the queue"

    def done(self, o: Outside) -> bool:
        return not o.queue.status().paused

    def do(self, o: Outside) -> Facts:
        return o.queue.resume(by=self.by)

    def undo(self) -> Change:
        return PauseQueue(by=self.paused_by or self.by, because=self.because)
