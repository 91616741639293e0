"""What a page weighs and how soon it can be read and used, held against its budget. Pure: a browser looked before.

The page can be *read* at its largest contentful paint (LCP). It can be *used* (TTI) when it is painted and parsed and
no task is longer than 50 ms any more: the end of the last one before five seconds in which there is none and at most
two requests are under way.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import PageLoad

WINDOW_MS = 5000.0
FEW = 2
NEVER = float("inf")


class Limits(Frozen):
    """A page's budget; each figure must stay below."""

    bytes: int
    lcp_ms: float
    tti_ms: float


class PageFigures(Frozen):
    """One page: the middle of its loads. None: it never came so far while it was watched."""

    url: str
    loads: int
    requests: int
    bytes: int
    lcp_ms: int | None
    tti_ms: int | None
    above: tuple[str, ...]


def figures(loads: Sequence[PageLoad], limits: Limits) -> PageFigures:
    """Sum up the loads of one page."""
    lcp, tti = _middle([load.largest_paint_ms for load in loads]), _middle([interactive(load) for load in loads])
    weight = int(statistics.median(_weight(load) for load in loads))
    above = {
        "weight": weight >= limits.bytes,
        "lcp": lcp is None or lcp >= limits.lcp_ms,
        "tti": tti is None or tti >= limits.tti_ms,
    }
    return PageFigures(
        url=loads[0].url,
        loads=len(loads),
        requests=int(statistics.median(len(load.transfers) for load in loads)),
        bytes=weight,
        lcp_ms=lcp,
        tti_ms=tti,
        above=tuple(name for name, is_above in above.items() if is_above),
    )


def interactive(load: PageLoad) -> float | None:
    """Tell when the page could be used; None where it never was quiet while it was watched."""
    if load.first_paint_ms is None or load.parsed_ms is None:
        return None
    quiet = next((begin for begin, end in _quiet(load) if end - begin >= WINDOW_MS), None)
    if quiet is None:
        return None
    # Up to the quiet window a long task may have held the page; after it none did.
    held = max((end for _, end in load.long_tasks if end <= quiet and end > load.first_paint_ms), default=0.0)
    return max(load.first_paint_ms, load.parsed_ms, held)


def _quiet(load: PageLoad) -> Iterator[tuple[float, float]]:
    """List the times after the first paint in which no task is long and few requests are under way."""
    assert load.first_paint_ms is not None
    busy = sorted([*load.long_tasks, *_crowded(load)])
    at = load.first_paint_ms
    for begin, end in busy:
        if begin > at:
            yield at, begin
        at = max(at, end)
    yield at, load.watched_ms


def _crowded(load: PageLoad) -> Iterator[tuple[float, float]]:
    """List the times with more than a few requests under way."""
    moves = sorted(
        move
        for t in load.transfers
        for move in ((t.began_ms, 1), (t.ended_ms if t.ended_ms is not None else NEVER, -1))
    )
    flying, since = 0, None
    for at, move in moves:
        flying += move
        if flying > FEW and since is None:
            since = at
        elif flying <= FEW and since is not None:
            yield since, at
            since = None


def table(pages: Sequence[PageFigures], limits: Limits) -> list[tuple[str, ...]]:
    """Write the rows that people read: each page, and the budget last."""
    rows = [
        (_kb(p.bytes), _seconds(p.lcp_ms), _seconds(p.tti_ms), str(p.requests), ", ".join(p.above) or "kept", p.url)
        for p in pages
    ]
    most = (f"< {_kb(limits.bytes)}", f"< {_seconds(limits.lcp_ms)}", f"< {_seconds(limits.tti_ms)}")
    return [*rows, (*most, "", "", "the budget")]


def _weight(load: PageLoad) -> int:
    return sum(t.bytes for t in load.transfers)


def _middle(values: Sequence[float | None]) -> int | None:
    """Take the middle; a load that never came so far is the slowest of all."""
    middle = statistics.median_high(NEVER if v is None else v for v in values)
    return None if middle == NEVER else round(middle)


def _kb(size: int) -> str:
    return f"{size / 1000:.1f} kB"


def _seconds(ms: float | None) -> str:
    return "never" if ms is None else f"{ms / 1000:.2f} s"
