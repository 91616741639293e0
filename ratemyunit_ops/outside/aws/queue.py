"""The app's queue, asked on a host: the host program has the token, and no operator needs to read it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ratemyunit_ops.model import Facts, Fence, QueueView
from ratemyunit_ops.outside.aws.hosts import Answer, Hosts, Question, facts_of, fenced


@dataclass(frozen=True)
class SsmQueue:
    """The queue, through the first host in service: its state is in the database, so any host can tell."""

    hosts: Hosts
    fence: Fence | None = None

    def at(self, fence: Fence) -> SsmQueue:
        """Bind the right to act."""
        return replace(self, fence=fence)

    def status(self) -> QueueView:
        """Tell how it stands."""
        return _view(self.hosts.ask_one(Question("queue", {"look": True})))

    def pause(self, *, by: str, because: str) -> Facts:
        """Let no worker take a job until it is resumed."""
        return self._act(action="pause", by=by, because=because)

    def resume(self, *, by: str) -> Facts:
        """Let workers take jobs again."""
        return self._act(action="resume", by=by)

    def _act(self, **wish: str) -> Facts:
        question = Question("queue", wish)
        answer = self.hosts.ask_one(question, fenced(question, self.fence))
        return facts_of({answer["instance"]: answer}, told={"queue": _view(answer).model_dump(mode="json")})


def _view(answer: Answer) -> QueueView:
    return QueueView.model_validate({k: v for k, v in answer.items() if k in QueueView.model_fields})
