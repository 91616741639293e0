"""PostgreSQL's log, exported to CloudWatch Logs as RDS does it: read from the outer disk, one event a statement.

How far it was told is kept beside the log: a keeper that starts again repeats one batch at most.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LARGEST = 16 << 20
PIECE = 256 * 1024
# RDS's own, which nobody may change: `%t:%r:%u@%d:[%p]:`.
PREFIX = "%t:%r:%u@%d:[%p]:"
_BEGINS = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC:")


class DatabaseLog:
    """The log of one instance, and how far it is exported."""

    def __init__(self, file: Path, tell: Callable[[list[dict[str, Any]]], None]) -> None:
        self.file = file
        self.note = file.with_suffix(".told")
        self._tell = tell

    def export(self) -> None:
        """Tell what is new, and empty the file when it has grown large."""
        if not self.file.exists():
            return
        size, told = self.file.stat().st_size, self._told()
        if size <= told:
            # PostgreSQL appends, wherever the end is by now.
            if told > LARGEST:
                with self.file.open("r+b") as f:
                    f.truncate(0)
                self.note.write_text("0")
            return
        with self.file.open("rb") as f:
            f.seek(told)
            piece = f.read(PIECE)
        whole = piece[: piece.rfind(b"\n") + 1]
        if whole:
            self._tell(events(whole, time.time()))
            self.note.write_text(str(told + len(whole)))

    def _told(self) -> int:
        told = int(self.note.read_text()) if self.note.exists() else 0
        return told if told <= self.file.stat().st_size else 0


def events(piece: bytes, now: float) -> list[dict[str, Any]]:
    """Make events of lines: one that begins with no time belongs to the one before it, as in a long statement."""
    found: list[dict[str, Any]] = []
    for line in piece.decode(errors="replace").splitlines():
        begins = _BEGINS.match(line.encode())
        if not begins and found:
            found[-1]["message"] += f"\n{line}"
            continue
        moment = datetime.fromisoformat(begins[1].decode()).replace(tzinfo=UTC).timestamp() if begins else now
        found.append({"timestamp": int(moment * 1000), "message": line})
    # Processes write side by side: a second may come before the one before it.
    return sorted(found, key=lambda event: event["timestamp"])
