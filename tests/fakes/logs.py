"""Log groups: lines that were said, found again by time, stream and pattern as CloudWatch finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ratemyunit_ops.errors import Absent, RmuError
from ratemyunit_ops.model import LogGroup, LogLine
from ratemyunit_ops.twin.gate.patterns import compiled
from tests.fakes.clock import FakeClock
from tests.fakes.line import Line


@dataclass
class Logbook:
    """All that was said in one world. A group is there once something was said in it."""

    clock: FakeClock
    said: list[LogLine] = field(default_factory=list)
    closed: RmuError | None = None
    """Why nobody may read, if so."""

    def say(self, group: LogGroup, stream: str, text: str, *, at: datetime | None = None, place: str = "") -> None:
        """Let a line have come to a group."""
        made = LogLine(
            id=f"e{len(self.said)}", at=at or self.clock.now(), group=group, place=place, stream=stream, text=text
        )
        self.said.append(made)


class FakeLogs:
    """One process's way to them."""

    def __init__(self, book: Logbook, line: Line) -> None:
        self._book = book
        self._line = line

    def lines(
        self, groups: Sequence[LogGroup], *, start: datetime, end: datetime, pattern: str = "", host: str = ""
    ) -> Iterator[LogLine]:
        return self._line.call("logs.lines", lambda: self._found(groups, start, end, pattern, host))

    def _found(
        self, groups: Sequence[LogGroup], start: datetime, end: datetime, pattern: str, host: str
    ) -> Iterator[LogLine]:
        if self._book.closed:
            raise self._book.closed
        there = [one for one in self._book.said if one.group in groups]
        if not there:
            raise Absent("there is no log group", next="rmu infra apply")
        wanted = compiled(pattern)
        found = [o for o in there if start <= o.at <= end and o.stream.startswith(host) and wanted(o.text)]
        return iter(sorted(found, key=lambda one: one.at))
