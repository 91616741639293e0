"""Budgets for people: lines of 80 columns for a terminal, and a curve in fractions of its frame for a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.burning import GROUPS
from ratemyunit_ops.objectives import Objective
from ratemyunit_ops.reports.slo import Budget, Burn

BAR = 24
LOWEST = -1.0
"""A curve ends at a budget spent twice: what is lower would squeeze all the rest."""
COLOURS = {"kept": "green", "burning": "yellow", "gone": "red", "unknown": "dim"}
SAYS = {"kept": "kept", "burning": "burning", "gone": "gone", "unknown": "unknown"}


def budget_lines(budgets: Sequence[Budget], now: datetime) -> list[str]:
    """Say every budget in a few lines (rich markup), what needs somebody first."""
    order = ("gone", "burning", "unknown", "kept")
    found: list[str] = []
    for b in sorted(budgets, key=lambda b: order.index(b.verdict)):
        found += [*_lines(b, now), ""]
    return found[:-1]


def verdict_of(budgets: Sequence[Budget]) -> str:
    """Sum up in a few words: 3 kept, 1 gone."""
    counted = [(sum(b.verdict == v for b in budgets), SAYS[v]) for v in ("gone", "burning", "kept", "unknown")]
    return ", ".join(f"{n} {word}" for n, word in counted if n)


def percent(part: float, *, digits: int = 1) -> str:
    """Say a part in percent, never rounded up to all of it or down to none of it."""
    digits = 0 if part >= 10 else digits
    shown = f"{part * 100:.{digits}f}"
    whole = {f"{100:.{digits}f}": part < 1, f"{0:.{digits}f}": part > 0}
    return f"{part * 100:.{digits + 2}f} %" if whole.get(shown, False) else f"{shown} %"


def in_days(span: timedelta) -> str:
    """Say how long something lasts, as one plans by it: 4 d 3 h, 5 h 20 min, 12 min."""
    minutes = max(1, round(span / timedelta(minutes=1)))
    if minutes >= 24 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def forecast(b: Budget, now: datetime) -> str:
    """Say when the budget would be gone."""
    if b.verdict == "gone":
        return "nothing is left"
    if b.verdict == "unknown":
        return b.why
    if b.burn is None:
        return "nothing was counted lately"
    if b.runs_out is None:
        return "not gone at this rate"
    return f"gone in {in_days(b.runs_out - now)} at this rate"


def picture(b: Budget, objective: Objective, now: datetime) -> dict[str, Any]:
    """Lay the curve of what was left out in fractions of its frame: x is time, y counts from the top."""
    began = now - objective.window
    low = max(LOWEST, min([0.0, *(s.left for s in b.steps)]))

    def x(at: datetime) -> float:
        return round(min(max((at - began) / objective.window, 0.0), 1.0), 4)

    def y(left: float) -> float:
        return round((1 - max(left, low)) / (1 - low), 4)

    points, left = [(0.0, 0.0)], 1.0
    for s in b.steps:
        points += [(x(s.at), y(left)), (x(s.at), y(s.left))]
        left = s.left
    worst = max((s.bad for s in b.steps), default=0.0)
    return {
        "points": [*points, (1.0, y(left))],
        "zero": y(0.0),
        "now": y(left),
        "bars": [{"x": x(s.at), "h": round(s.bad / worst, 4)} for s in b.steps if s.bad],
        "ticks": _ticks(began, objective.window, x),
        "levels": [{"y": y(v), "label": f"{v:.0%}"} for v in _levels(low)],
    }


def _levels(low: float) -> list[float]:
    """Choose the marks of the axis of what is left; an overdrawn budget gets its lowest one too."""
    if low > -0.25:
        return [1.0, 0.5, 0.0]
    return [1.0, 0.0, low]


def _ticks(began: datetime, window: timedelta, x: Any) -> list[dict[str, Any]]:
    days = window >= timedelta(days=2)
    apart = window / 6
    form = "%-d %b" if days else "%H:%M"
    return [{"x": x(began + apart * n), "label": f"{began + apart * n:{form}}"} for n in range(6)]


def _lines(b: Budget, now: datetime) -> list[str]:
    colour = COLOURS[b.verdict]
    head = f"[bold]{b.name}[/]  {b.title}, {percent(b.target)} of {b.window}: [{colour}]{SAYS[b.verdict]}[/]"
    if b.left is None or b.good_ratio is None:
        return [head, f"  [dim]{'░' * BAR}[/]  {b.why}"]
    full = round(min(max(b.left, 0.0), 1.0) * BAR)
    left = f"{percent(b.left)} of the budget left" if b.left > 0 else f"overdrawn by {percent(-b.left)}"
    left += f", by the first {in_days(now - b.since)}" if b.since else ""
    shown = f"[{colour}]{'█' * full}[/][dim]{'░' * (BAR - full)}[/]"
    return [
        head,
        f"  {shown}  {left}",
        f"  {b.total:,.0f} counted, {b.bad:,.0f} bad, {percent(b.good_ratio, digits=2)} good; {forecast(b, now)}",
        *(f"  burn {' · '.join(_rate(r) for r in b.burns if r.group == group)}" for group in GROUPS),
    ]


def _rate(burn: Burn) -> str:
    """Say one tier: the burn over its long and its short window, and the limit of both."""
    said = f"{burn.long} {times(burn.over_long)}, {burn.short} {times(burn.over_short)} (limit {burn.rate:g}x)"
    return f"[red]{said}[/]" if burn.too_fast else said


def times(rate: float | None) -> str:
    """Say a burn rate."""
    return "–" if rate is None else f"{rate:.3g}x"
