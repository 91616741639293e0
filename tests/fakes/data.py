"""What is in databases, as ops reaches it from a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratemyunit_ops.model import Fence
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld


class FakeData:
    """The data port of one process."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeData:
        return FakeData(self._world, self._line, fence)
