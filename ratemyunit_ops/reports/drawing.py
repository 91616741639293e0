"""Bars over an axis of time, as fractions of its width: what `templates/report/timeline.html` and Markdown draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratemyunit_ops.model import Frozen

TICKS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
AT_MOST_TICKS = 7


class Axis(Frozen):
    """So many seconds of time, drawn as one width."""

    seconds: float

    def at(self, moment: float) -> float:
        """Place a moment, within the width."""
        return round(min(max(moment / self.seconds, 0.0), 1.0), 5)

    def span(self, began: float, ended: float, part: str = "", says: str = "") -> dict[str, Any]:
        """Place what lasted; never so short that nobody sees it."""
        x = self.at(began)
        return {"x": x, "w": round(max(self.at(ended) - x, 0.004), 5), "part": part, "says": says}


def ticks(seconds: float) -> list[float]:
    """Choose the marks of a time axis: round numbers, not too many."""
    return [n * step(seconds) for n in range(int(seconds // step(seconds)) + 1)]


def step(seconds: float) -> float:
    """Choose how far apart the marks of an axis stand."""
    return float(next((t for t in TICKS if seconds / t <= AT_MOST_TICKS), TICKS[-1]))


def clock(seconds: float) -> str:
    """Say a moment, counted from the begin: 0:00, 4:05, 1:02:03."""
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole % 3600 // 60:02}" if whole >= 3600 else str(whole // 60)
    return f"{hours}:{whole % 60:02}"


def bars_of(spans: Sequence[dict[str, Any]], width: int) -> str:
    """Draw a row of bars as text."""
    drawn = ["·"] * width
    for span in spans:
        before = min(round(span["x"] * width), width - 1)
        long = max(1, min(round(span["w"] * width), width - before))
        drawn[before : before + long] = "█" * long
    return "".join(drawn)
