"""Log lines for people: a column each for time, release, role and host, and the rest of the line; readable at 80."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import date

from rich.markup import escape

from ratemyunit_ops.model import LogEntry

COLOURS = ("green", "cyan", "magenta", "blue", "yellow")
"""Of releases, in the order they are met; red and its like are kept for levels."""
INDENT = 4
SHOWN_ID = 8


class LogLines:
    """Spells lines; keeps which colour a release has. `width` wraps, for a terminal; None leaves lines as they are."""

    def __init__(self, *, today: date, width: int | None = None) -> None:
        self._today = today
        self._width = max(width, 60) if width else None
        self._colours: dict[str, str] = {}

    def spell(self, entries: Iterable[LogEntry]) -> Iterator[str]:
        """Spell each line with rich's markup."""
        for entry in entries:
            yield from self._one(entry)

    def _one(self, entry: LogEntry) -> Iterator[str]:
        head = self._head(entry)
        first, *rest = self._wrapped(entry, len(head))
        colour = self._colour(entry.release)
        opened, closed = (f"[{colour}]", "[/]") if colour else ("", "")
        yield f"{opened}{escape(head)}{closed}{_loud(entry, first)}"
        yield from (f"{' ' * INDENT}{_loud(entry, line)}" for line in rest)

    def _head(self, entry: LogEntry) -> str:
        moment = f"{entry.at:%H:%M:%S}" if entry.at.date() == self._today else f"{entry.at:%m-%d %H:%M:%S}"
        role = {"database": "db"}.get(entry.role, entry.role)
        # The end of an id tells hosts apart, and that of a name databases.
        return f"{moment} {entry.release[:8] or '-':5} {role:6} {entry.host[-4:]:4} "

    def _wrapped(self, entry: LogEntry, taken: int) -> list[str]:
        text = f"{entry.text} #{entry.request[:SHOWN_ID]}" if entry.request else entry.text
        more = entry.more.splitlines()
        if self._width is None:
            return [text, *more]
        lines = textwrap.wrap(text, self._width, initial_indent=" " * taken, subsequent_indent=" " * INDENT) or [""]
        long = [piece for line in more for piece in textwrap.wrap(line, self._width - INDENT) or [""]]
        return [lines[0][taken:], *(line[INDENT:] for line in lines[1:]), *long]

    def _colour(self, release: str) -> str:
        if not release:
            return ""
        return self._colours.setdefault(release, COLOURS[len(self._colours) % len(COLOURS)])


def _loud(entry: LogEntry, text: str) -> str:
    colour = {"error": "red", "critical": "red", "fatal": "red", "warning": "yellow"}.get(entry.level, "")
    return f"[{colour}]{escape(text)}[/]" if colour and text else escape(text)
