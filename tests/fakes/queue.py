"""The app's queue: rows in the database, a pause among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Facts, Fence, QueueView
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld


class FakeQueue:
    """The queue of the release that serves; `world.queue` is how it stands, None where it has none."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeQueue:
        return FakeQueue(self._world, self._line, fence)

    def status(self) -> QueueView:
        return self._line.call("queue.status", self._stands)

    def pause(self, *, by: str, because: str) -> Facts:
        wish = {"paused": True, "paused_by": by, "paused_at": self._world.clock.now(), "because": because}
        return self._act("queue.pause", wish)

    def resume(self, *, by: str) -> Facts:
        return self._act("queue.resume", {"paused": False, "paused_by": None, "paused_at": None, "because": None})

    def _act(self, name: str, wish: dict[str, object]) -> Facts:
        assert self._fence is not None, f"{name} without a fence"

        def act() -> Facts:
            stands = self._stands()
            changes = stands.paused != wish["paused"]
            if changes:
                self._world.queue = stands.model_copy(update=wish)
            return {"commands": 1, "hosts": {}, "outcome": "changed" if changes else "already"}

        return self._line.call(name, act, changes=True)

    def _stands(self) -> QueueView:
        if self._world.queue is None:
            raise Refused("what serves has no queue to ask about", next="rmu status")
        return self._world.queue
