"""`make bench-slo`: how soon compiled alarms tell of an incident in a year of made-up traffic, and how often falsely.

Three years, of 1, 10 and 100 requests a minute on average, with nights and a little noise; every nine days one incident
of seven sizes begins. Three watchers look at the same minutes:

- ours: what `rmu slo compile` makes of the availability objective, evaluated as CloudWatch does: the twin's own
  evaluator of metric math over sliding windows, data a minute late, every minute, every hour for windows of more than
  a day, missing data not breaching, composites at once;
- the workbook, ideally: the same windows and rates on exact counts, each minute at once, no least number of events;
- the control: the workbook on requests alone, which is what alarms are without probes and a least number of events.

The seed is fixed, so a second run gives the same figures. It takes a minute or two. Writes bench-out/slo.json.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.burning import MINUTE, compiled, tiers
from ratemyunit_ops.objectives import Objective, read_objectives
from ratemyunit_ops.twin.gate.expressions import Given, evaluate
from tests.bench.figures import keep, load, say

SEED = 20261127
YEAR = 365 * 24 * 60
RATES = (1, 10, 100)
NOISE = 0.0005
"""The part of requests that fails on a good day: a tenth of the budget."""
APART = 9 * 24 * 60
LATE = 1
"""Minutes until a minute's metrics can be read."""
HOURLY_FROM = 24 * 60
"""Alarms of longer windows are evaluated once an hour."""
EXTRA, SLOW_EXTRA = 5, 65
"""Minutes that ours may tell later than the workbook ideally; an hour more where an alarm is evaluated once an hour."""
CHUNK = 30 * 24 * 60
MEMORY = 3 * 24 * 60
"""The longest window: an alarm so long after an incident may still be about it."""


@dataclass(frozen=True)
class Size:
    """A kind of incident: which part fails, for how many minutes, and where: in the app, for want of a host, before."""

    name: str
    fails: float
    lasts: int
    where: Literal["app", "no host", "way in"] = "app"


SIZES = (
    Size("no host answers for 20 min", 1.0, 20, "no host"),
    Size("the way in is cut for 1 h", 1.0, 60, "way in"),
    Size("half fails for 30 min", 0.5, 30),
    Size("1 in 10 fails for 2 h", 0.10, 120),
    Size("1 in 25 fails for 10 h", 0.04, 600),
    Size("1 in 50 fails for 1 d", 0.02, 1440),
    Size("1 in 125 fails for 3 d", 0.008, 4320),
)


@dataclass(frozen=True)
class Incident:
    """One incident, in minutes of the year."""

    size: Size
    begin: int

    @property
    def end(self) -> int:
        return self.begin + self.size.lasts


@dataclass
class Year:
    """What is counted each minute: the metrics as CloudWatch has them, and what really happened."""

    incidents: list[Incident]
    counted: dict[str, list[int]] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    probes_failed: list[int] = field(default_factory=list)


def incidents() -> list[Incident]:
    """Spread incidents over the year, at all hours."""
    chance = random.Random(SEED)
    begins = range(APART, YEAR - APART, APART)
    return [Incident(SIZES[n % len(SIZES)], at + chance.randrange(24 * 60)) for n, at in enumerate(begins)]


def year_of(rate: int) -> Year:
    """Make a year of traffic."""
    chance = random.Random(SEED + rate)
    year = Year(incidents())
    failing = {m: i.size for i in year.incidents for m in range(i.begin, i.end)}
    names = ("RequestCount", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "ProbeLost")
    year.counted = {name: [0] * YEAR for name in names}
    for minute in range(YEAR):
        size = failing.get(minute)
        part = size.fails if size else NOISE
        # By day nearly twice the average, by night a tenth of it.
        here = rate * (1 - 0.9 * math.cos(2 * math.pi * minute / (24 * 60)))
        where = size.where if size else "app"
        # A cut way in lets no request be counted by anybody; only the probe is missed.
        asked = 0 if where == "way in" else poisson(chance, here)
        probe, failed = int(chance.random() < part), binomial(chance, asked, part)
        year.requests.append(asked)
        year.failed.append(failed)
        year.probes_failed.append(probe)
        # The balancer counts requests only that it found a target for. The probe is a request like any other.
        counted = {
            "app": {"RequestCount": asked + 1, "HTTPCode_Target_5XX_Count": failed + probe},
            "no host": {"HTTPCode_ELB_5XX_Count": failed + probe},
            "way in": {"ProbeLost": probe},
        }
        for name, count in counted[where].items():
            year.counted[name][minute] = count
    return year


def poisson(chance: random.Random, mean: float) -> int:
    """Draw how many come in a minute."""
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, n = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        n += 1
    return n


def binomial(chance: random.Random, n: int, part: float) -> int:
    """Draw how many of n fail."""
    if part >= 1:
        return n
    if n * part < 5:
        return min(n, poisson(chance, n * part))
    return min(n, max(0, round(chance.gauss(n * part, math.sqrt(n * part * (1 - part))))))


Firing = dict[str, list[bool]]
"""Alarm -> whether it is in ALARM, minute by minute."""


def ours(year: Year, objective: Objective) -> Firing:
    """Evaluate what the objective compiles to, as CloudWatch does."""
    alarms = compiled([objective])
    sums = {name: [0, *accumulate(counts)] for name, counts in year.counted.items()}
    windows = {name: window_states(window, sums) for name, window in alarms["windows"].items()}
    return {
        name.rpartition("-")[2]: [any(pair) for pair in zip(*(both(windows, p) for p in alarm["any_of"]), strict=True)]
        for name, alarm in alarms["alarms"].items()
    }


def both(windows: Firing, pair: Sequence[str]) -> list[bool]:
    """Say when both windows of a pair burn."""
    return [a and b for a, b in zip(*(windows[name] for name in pair), strict=True)]


def window_states(window: dict[str, Any], sums: dict[str, list[int]]) -> list[bool]:
    """Evaluate one window's alarm through the year."""
    minutes = window["period"] // 60
    every = 60 if minutes > HOURLY_FROM else 1
    looks = list(range(0, YEAR, every))
    states: list[bool] = []
    for first in range(0, len(looks), CHUNK):
        values = burning(window["queries"], minutes, sums, looks[first : first + CHUNK])
        states += [value for value in values for _ in range(every)]
    return states[:YEAR]


def burning(
    queries: Sequence[dict[str, Any]], minutes: int, sums: dict[str, list[int]], looks: Sequence[int]
) -> Iterator[bool]:
    """Evaluate a window's expressions at each look; a point that is missing does not breach."""
    results: dict[str, Any] = {}
    metrics = [q for q in queries if "metric" in q]
    for query in metrics:
        summed = sums[query["metric"]]
        points = {}
        for look in looks:
            end = max(0, look + 1 - LATE)
            value = summed[end] - summed[max(0, end - minutes)]
            if value:  # all of these exist only where something was counted
                points[look] = float(value)
        results[query["id"]] = points
    given = Given(results=results, metrics=[q["id"] for q in metrics], seconds=looks, period=minutes * 60)
    for query in (q for q in queries if "expression" in q):
        results[query["id"]] = evaluate(query["expression"], given)
    watched = results[next(q["id"] for q in queries if q.get("returns"))]
    return (watched.get(look, 0.0) > 0 for look in looks)


def ideally(total: Sequence[int], bad: Sequence[int], objective: Objective) -> Firing:
    """Evaluate the workbook's windows on exact counts, each minute, at once."""
    totals, bads = [0, *accumulate(total)], [0, *accumulate(bad)]
    firing: Firing = {"fast": [False] * YEAR, "slow": [False] * YEAR}
    for tier in tiers(objective):
        rate = tier.burn * objective.budget
        long, short = (round(length / MINUTE) for length in (tier.long, tier.short))
        states = firing[tier.group]
        for end in range(1, YEAR + 1):
            since = max(0, end - short)
            few = bads[end] - bads[since]
            if few and few > rate * (totals[end] - totals[since]):
                since = max(0, end - long)
                if bads[end] - bads[since] > rate * (totals[end] - totals[since]):
                    states[end - 1] = True
    return firing


def judged(firing: Firing, year: Year) -> dict[str, Any]:
    """Tell when each incident was told of, and which alarms were about nothing."""
    begins = {name: [m for m in range(1, YEAR) if states[m] and not states[m - 1]] for name, states in firing.items()}
    about = [range(i.begin, i.end + MEMORY) for i in year.incidents]
    false = {name: sum(not any(m in span for span in about) for m in starts) for name, starts in begins.items()}
    sizes = {size.name: [told(firing, i) for i in year.incidents if i.size == size] for size in SIZES}
    return {"false_alarms": false, "sizes": {name: summed(times) for name, times in sizes.items()}}


def told(firing: Firing, incident: Incident) -> tuple[int, str] | None:
    """Tell after how many minutes an incident raised an alarm while it went on, and which; None: never."""
    found = [
        (minute + 1 - incident.begin, name)
        for name, states in firing.items()
        for minute in range(incident.begin, incident.end + LATE)
        if states[minute]
    ]
    return min(found, default=None)


def summed(times: Sequence[tuple[int, str] | None]) -> dict[str, Any]:
    """Sum up how one size was told of."""
    found = [t for t in times if t is not None]
    return {
        "of": len(times),
        "told": len(found),
        "median_min": statistics.median(t for t, _ in found) if found else None,
        "max_min": max((t for t, _ in found), default=None),
        "by": sorted({name for _, name in found}),
    }


def watched(rate: int) -> dict[str, Any]:
    """Let the three watch a year."""
    objective, year = availability(), year_of(rate)
    requests, failed = [n + 1 for n in year.requests], list(map(add, year.failed, year.probes_failed))
    found = {
        "ours": judged(ours(year, objective), year),
        "ideal": judged(ideally(requests, failed, objective), year),
        "control": judged(ideally(year.requests, year.failed, objective), year),
    }
    say(f"a year of {rate} a minute was watched")
    return found


def availability() -> Objective:
    """Read the objective that pages."""
    file = Path(__file__).parents[2] / "terraform" / "slo.yaml"
    return next(o for o in read_objectives(file) if o.name == "availability")


def main() -> None:
    """Play all years and keep the figures."""
    before, began = load(), time.monotonic()
    with ProcessPoolExecutor(max_workers=2) as pool:
        rates = dict(zip(map(str, RATES), pool.map(watched, RATES), strict=True))
    figures = {
        "objective": "availability",
        "seed": SEED,
        "incidents": len(incidents()),
        "noise": NOISE,
        "extra_min": EXTRA,
        "slow_extra_min": SLOW_EXTRA,
        "least": availability().least,
        "control": {"what": "the workbook's windows on requests alone: no probes, no least number of events"},
        "rates": rates,
        "seconds": round(time.monotonic() - began, 1),
    }
    keep("slo", figures, before)


if __name__ == "__main__":
    main()
