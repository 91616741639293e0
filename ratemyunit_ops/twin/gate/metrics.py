"""Where metrics are kept: a store per region of series by namespace, name and exactly these dimensions.

Points are kept as CloudWatch keeps them: what was put within a second is one row, whose values are counted to four
digits, enough for percentiles. Old rows are joined, then dropped: seconds for a quarter of an hour, tens of seconds
for three hours, minutes for a day. Nothing here knows moto, a clock or an alarm.
"""

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# Rows older than this many seconds are joined into rows of that many.
JOINED = ((900, 10), (10_800, 60))
KEPT_SECONDS = 86_400

Dimensions = tuple[tuple[str, str], ...]
Key = tuple[str, str, Dimensions]


class Span(NamedTuple):
    """Whole periods, from the second `start` up to `end`."""

    start: int
    end: int
    period: int


@dataclass(slots=True)
class Row:
    """All that was put into a series within one span of time."""

    count: float = 0.0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    values: dict[float, float] = field(default_factory=dict)

    def add(self, value: float, times: float = 1.0) -> None:
        """Count a value in."""
        self.join(Row(times, value * times, value, value, {_four_digits(value): times}))

    def join(self, other: "Row", *, values: bool = True) -> None:
        """Count everything of another row in; single values are needed for percentiles alone."""
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        for value, times in other.values.items() if values else ():
            self.values[value] = self.values.get(value, 0.0) + times

    def statistic(self, name: str) -> float | None:
        """Answer `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile (`p99`, `p99.9`)."""
        if not self.count:
            return None
        plain = {
            "SampleCount": self.count,
            "Sum": self.total,
            "Average": self.total / self.count,
            "Minimum": self.low,
            "Maximum": self.high,
        }
        if name in plain:
            return plain[name]
        return self._percentile(float(name[1:])) if is_percentile(name) else None

    def _percentile(self, percent: float) -> float:
        seen, wanted = 0.0, sum(self.values.values()) * percent / 100
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= wanted:
                return min(max(value, self.low), self.high)
        return self.high


def is_percentile(name: str) -> bool:
    """Tell whether a statistic is a percentile."""
    return name[:1] == "p" and name[1:].replace(".", "", 1).isdigit()


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


class Series:
    """The rows of one metric, by the second they begin at."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.seconds: list[int] = []

    def row(self, second: int) -> Row:
        """Answer the row that begins at a second; made if it is not there."""
        found = self.rows.get(second)
        if found is None:
            found = self.rows[second] = Row()
            insort(self.seconds, second)
        return found

    def between(self, start: float, end: float) -> Iterator[tuple[int, Row]]:
        """Yield the rows that begin in [start, end), the oldest first."""
        for second in self.seconds[bisect_left(self.seconds, start) : bisect_left(self.seconds, end)]:
            yield second, self.rows[second]

    def age(self, now: float) -> None:
        """Drop what is too old, and join what is old."""
        for second in self.seconds[: bisect_left(self.seconds, now - KEPT_SECONDS)]:
            del self.rows[second]
        for older, span in JOINED:
            for second in self.seconds[: bisect_left(self.seconds, now - older)]:
                if second % span and second in self.rows:
                    into = self.rows.setdefault(second - second % span, Row())
                    into.join(self.rows.pop(second))
        self.seconds = sorted(self.rows)


class Store:
    """All metrics of one region. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._series: dict[Key, Series] = {}

    def put(self, key: Key, value: float, *, at: float, times: float = 1.0) -> None:
        """Keep one value, or the same one several times."""
        with self._lock:
            self._series.setdefault(key, Series()).row(int(at)).add(value, times)

    def put_row(self, key: Key, row: Row, *, at: float) -> None:
        """Keep what was counted elsewhere."""
        with self._lock:
            self._series.setdefault(key, Series()).row(int(at)).join(row)

    def points(self, key: Key, statistic: str, span: Span) -> dict[int, float]:
        """Answer a statistic per period; a period in which nothing was put is not there."""
        joined: dict[int, Row] = {}
        values = is_percentile(statistic)
        with self._lock:
            series = self._series.get(key)
            for second, row in series.between(span.start, span.end) if series else ():
                at = second - (second - span.start) % span.period
                if at not in joined:
                    joined[at] = Row()
                joined[at].join(row, values=values)
        found = {at: row.statistic(statistic) for at, row in sorted(joined.items())}
        return {at: value for at, value in found.items() if value is not None}

    def age(self, now: float) -> None:
        """Join and drop what is old; a metric without any rows is forgotten."""
        with self._lock:
            for key, series in list(self._series.items()):
                series.age(now)
                if not series.rows:
                    del self._series[key]

    def names(self) -> list[Key]:
        """Answer the metrics that there are."""
        with self._lock:
            return sorted(self._series)


def key_of(namespace: str, name: str, dimensions: Mapping[str, str]) -> Key:
    """Name a metric: the same name with other dimensions is another metric. Units are not kept apart."""
    return namespace, name, tuple(sorted(dimensions.items()))


STORES: defaultdict[str, Store] = defaultdict(Store)
"""Region -> its metrics."""
