"""What is measured: samples become points as CloudWatch makes them, and alarms change when a test says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ratemyunit_ops.model import AlarmChange, AlarmView, MetricQuery, Point
from tests.fakes.clock import FakeClock
from tests.fakes.line import Line

Series = tuple[str, str, tuple[tuple[str, str], ...]]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Meters:
    """All samples and alarms of one world. Samples are added in the order of time."""

    clock: FakeClock
    samples: dict[Series, list[tuple[datetime, float]]] = field(default_factory=dict)
    alarms: dict[str, AlarmView] = field(default_factory=dict)
    changes: list[AlarmChange] = field(default_factory=list)

    def measure(
        self, namespace: str, name: str, value: float, *, at: datetime | None = None, **dimensions: str
    ) -> None:
        """Let something have been measured, now or at a moment."""
        series = (namespace, name, tuple(sorted(dimensions.items())))
        self.samples.setdefault(series, []).append((at or self.clock.now(), value))

    def alarm(self, name: str, state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"], **words: Any) -> None:
        """Let an alarm be in a state from now on; a new one was INSUFFICIENT_DATA before. Words are what it says."""
        now = self.clock.now()
        before = self.alarms.get(name, AlarmView(name=name, state="INSUFFICIENT_DATA", since=now))
        since = before.since if before.state == state else now
        self.alarms[name] = before.model_copy(update={**words, "state": state, "since": since})
        if before.state != state:
            self.changes.append(AlarmChange(name=name, at=now, before=before.state, after=state, why="it crossed"))


class FakeMetrics:
    """CloudWatch, as one process meets it."""

    def __init__(self, meters: Meters, line: Line) -> None:
        self._meters = meters
        self._line = line

    def data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: timedelta
    ) -> Mapping[str, tuple[Point, ...]]:
        def read() -> dict[str, tuple[Point, ...]]:
            step = coarsened(period, self._meters.clock.now() - start)
            return {q.id: self._points(q, start, end, step) for q in queries}

        return self._line.call("metrics.data", read)

    def alarms(self) -> tuple[AlarmView, ...]:
        return self._line.call("metrics.alarms", lambda: tuple(a for _, a in sorted(self._meters.alarms.items())))

    def changes(self, since: datetime) -> tuple[AlarmChange, ...]:
        return self._line.call("metrics.changes", lambda: tuple(c for c in self._meters.changes if c.at >= since))

    def _points(self, query: MetricQuery, start: datetime, end: datetime, step: timedelta) -> tuple[Point, ...]:
        series = (query.namespace, query.name, tuple(sorted(query.dimensions.items())))
        seconds, periods = step.total_seconds(), {}
        for at, value in self._meters.samples.get(series, ()):
            if start <= at < end:
                periods.setdefault(at.timestamp() // seconds * seconds, []).append(value)
        return tuple(
            Point(at=datetime.fromtimestamp(begin, UTC), value=statistic(query.stat, values))
            for begin, values in sorted(periods.items())
        )


def coarsened(period: timedelta, age: timedelta) -> timedelta:
    """Say the period that is kept of data that old: minutes for 15 days, five for 63, then hours."""
    kept = timedelta(minutes=1) if age <= 15 * DAY else timedelta(minutes=5) if age <= 63 * DAY else HOUR
    if age <= 3 * HOUR:
        kept = timedelta(seconds=1)
    return math.ceil(period / kept) * kept


def statistic(stat: str, values: Sequence[float]) -> float:
    """Make one number of a period's samples."""
    if stat.startswith("p"):
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, math.ceil(float(stat[1:]) / 100 * len(ordered)) - 1)]
    simple = {
        "Sum": sum,
        "Average": lambda v: sum(v) / len(v),
        "Minimum": min,
        "Maximum": max,
        "SampleCount": len,
    }
    return float(simple[stat](values))
