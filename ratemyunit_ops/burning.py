"""How fast a budget burns before somebody is told: windows and burn rates, and the alarms they become. Pure.

A burn rate of 1 spends exactly the budget in the window of the objective. The rates and windows for 30 days are the
recommended ones of Google's SRE workbook (chapter "Alerting on SLOs"): each is a long window that says it matters,
and a short one, a twelfth of it, that says it still goes on.

CloudWatch (API reference of PutMetricAlarm; user guide "Alarm evaluation"): one alarm holds at most 10 metrics, and
all that its expression adds up has one period; Period x EvaluationPeriods is a week at most, and a day for a period
under an hour. So each window is an alarm of its own whose period is the window (it slides: it is evaluated every
minute, every hour where it is longer than a day), and what tells people is a composite of such pairs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Frozen
from ratemyunit_ops.objectives import Measured, Objective

Group = Literal["fast", "slow"]
GROUPS: tuple[Group, ...] = ("fast", "slow")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Tier(Frozen):
    """One pair of windows that both have to burn at a rate."""

    burn: float
    long: timedelta
    short: timedelta
    group: Group


WORKBOOK_WINDOW = 30 * DAY
WORKBOOK = (
    Tier(burn=14.4, long=HOUR, short=5 * MINUTE, group="fast"),
    Tier(burn=6, long=6 * HOUR, short=30 * MINUTE, group="fast"),
    Tier(burn=3, long=DAY, short=2 * HOUR, group="slow"),
    Tier(burn=1, long=3 * DAY, short=6 * HOUR, group="slow"),
)
SHORTEST_LONG = 5 * MINUTE
"""Metrics come by the minute: in a shorter window a handful of points would decide."""
LONGEST = 7 * DAY
PAGES = "SEV-1"


def tiers(objective: Objective) -> tuple[Tier, ...]:
    """Choose the tiers of an objective, without those that even a total failure could not reach.

    The workbook's, scaled to the objective's window. Where that would make its windows shorter than metrics can tell
    (objectives of less than 60 hours), two remain: a quarter of the budget spent in a twelfth of the window, and all
    of it spent in the whole window.

    Raises:
        Mistyped: no alarm could ever watch this objective.
    """
    window = objective.window
    scale = window / WORKBOOK_WINDOW
    chosen = WORKBOOK if scale * WORKBOOK[0].long >= SHORTEST_LONG else ()
    found = [t.model_copy(update={"long": _whole(t.long * scale), "short": _whole(t.short * scale)}) for t in chosen]
    if not chosen:
        found = [
            Tier(burn=3, long=_whole(window / 12), short=_whole(window / 144), group="fast"),
            Tier(burn=1, long=window, short=_whole(window / 12), group="slow"),
        ]
    reachable = tuple(t for t in found if t.burn * objective.budget < 1)
    _watchable(objective, reachable)
    return reachable


def compiled(objectives: Iterable[Objective], *, speed: int = 1) -> dict[str, Any]:
    """Make the variable `slo_alarms` of module `watch`.

    `speed` makes every window so many times shorter: an hour is a minute to the local AWS at a speed of 60.
    """
    windows: dict[str, Any] = {}
    alarms: dict[str, Any] = {}
    for objective in objectives:
        chosen = tiers(objective)
        for group in GROUPS:
            pairs = []
            for tier in (t for t in chosen if t.group == group):
                names = [window_name(objective, tier, length) for length in (tier.long, tier.short)]
                windows[names[0]] = _window(objective, tier, tier.long, objective.least, speed)
                windows[names[1]] = _window(objective, tier, tier.short, 1, speed)
                pairs.append(names)
            alarms[alarm_name(objective, group)] = _alarm(objective, group, chosen, pairs)
    return {"alarms": alarms, "windows": windows}


def as_tfvars(alarms: dict[str, Any]) -> str:
    """Write the variable as the file that Terraform reads."""
    return json.dumps({"slo_alarms": alarms}, indent=1, sort_keys=True) + "\n"


def alarm_name(objective: Objective, group: Group) -> str:
    """Name the alarm that tells people, without `rmu-ENV-`."""
    return f"slo-{objective.name}-{group}"


def looks_back(alarm: str) -> bool:
    """Tell whether an alarm is an objective's: it goes on to see an outage until its windows have passed."""
    return alarm.startswith("slo-")


def window_name(objective: Objective, tier: Tier, length: timedelta) -> str:
    """Name the alarm of one window, without `rmu-ENV-`."""
    return f"slo-{objective.name}-{tier.burn:g}x-{short_words(length)}"


def short_words(length: timedelta) -> str:
    """Say a duration in one word: 30d, 6h, 1.4h, 14min."""
    minutes = math.ceil(length / MINUTE)
    if minutes % (24 * 60) == 0:
        return f"{minutes // (24 * 60)}d"
    return f"{minutes / 60:g}h" if minutes >= 60 and minutes % 6 == 0 else f"{minutes}min"


def _whole(length: timedelta) -> timedelta:
    return max(1, math.ceil(length / MINUTE)) * MINUTE


def _watchable(objective: Objective, reachable: Sequence[Tier]) -> None:
    def refuse(why: str) -> Mistyped:
        return Mistyped(
            f"no alarm can watch objective {objective.name}: {why}",
            next="edit terraform/slo.yaml, then: rmu slo compile",
        )

    if objective.window < HOUR:
        raise refuse(f"its window of {short_words(objective.window)} is shorter than an hour")
    if any(t.long > LONGEST for t in reachable):
        raise refuse(f"its window of {short_words(objective.window)} wants windows longer than CloudWatch's week")
    for group in GROUPS:
        if not any(t.group == group for t in reachable):
            raise refuse(
                f"with a target of {objective.target:.4g}, even a total failure burns its budget only "
                f"{1 / objective.budget:.3g}x, too slowly for every {group} window"
            )


def _alarm(objective: Objective, group: Group, chosen: Sequence[Tier], pairs: list[list[str]]) -> dict[str, Any]:
    severity = objective.fast if group == "fast" else objective.slow
    rates = " or ".join(f"{t.burn:g}x over {short_words(t.long)}" for t in chosen if t.group == group)
    return {
        "any_of": pairs,
        "runbook": objective.runbook,
        "says": f"Objective {objective.name} ({objective.title}) spends its {short_words(objective.window)} budget at "
        f"{rates}",
        "severity": severity,
        "topic": "critical" if severity == PAGES else "alerts",
    }


def _window(objective: Objective, tier: Tier, length: timedelta, least: int, speed: int) -> dict[str, Any]:
    """Make one window's alarm: its expression is 1 while at least so many events are bad, and too large a part."""
    metrics = {measured: f"m{n}" for n, measured in enumerate(objective.measured(), start=1)}
    rate = f"{tier.burn * objective.budget:.6g}"
    queries: list[dict[str, Any]] = [
        {
            "id": name,
            "metric": one.metric,
            "of": one.of,
            "stat": one.stat,
            **({"namespace": one.namespace} if one.namespace else {}),
        }
        for one, name in metrics.items()
    ]

    # SUM adds up what there is. What FILL makes of a metric that was never there, as 5xx are on a good day, is written
    # down nowhere, nor what a difference makes of a side that never was; where nothing at all is bad the window has no
    # point, and one that is missing does not breach.
    def added(measured: Sequence[Measured]) -> str:
        ids = [metrics[one] for one in measured]
        return ids[0] if len(ids) == 1 else f"SUM([{', '.join(ids)}])"

    def named(name: str, expression: str) -> str:
        if expression in metrics.values():
            return expression
        queries.append({"id": name, "expression": expression})
        return name

    total = named("total", added(objective.total))
    if objective.bad:
        bad = named("bad", added(objective.bad))
    else:
        bad = named("bad", f"SUM([{total}, {named('less', f'0 - {added(objective.good)}')}])")
    burning = f"IF({bad} >= {least} AND {bad} > {rate} * {total}, 1, 0)"
    queries.append({"id": "burning", "expression": burning, "returns": True})
    return {
        "period": _period(length, speed),
        "queries": queries,
        "says": f"A part of alarm slo-{objective.name}-{tier.group}: more than {rate} of the events of "
        f"{short_words(length)} are bad",
    }


def _period(length: timedelta, speed: int) -> int:
    """Say the period in seconds, at a speed; CloudWatch knows 10, 20, 30 and whole minutes."""
    seconds = length.total_seconds() / speed
    return next((p for p in (10, 20, 30) if seconds <= p), math.ceil(seconds / 60) * 60)
