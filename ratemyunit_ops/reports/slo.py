"""How much of each objective's budget is left, how fast it burns, and when it would be gone. Read-only.

A budget is the part of the events of a window that may be bad. Where nothing was counted there is no verdict, which is
not the same as a good one. Where counting began within the window, the budget is that of a whole window in which
traffic goes on as it has since: three bad requests of a first hundred have not spent a month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from ratemyunit_ops.burning import DAY, MINUTE, Group, Tier, short_words, tiers
from ratemyunit_ops.errors import Absent, RmuError
from ratemyunit_ops.model import Frozen, MetricQuery
from ratemyunit_ops.objectives import Measured, Objective
from ratemyunit_ops.ports import Metrics

Verdict = Literal["kept", "burning", "gone", "unknown"]
STEPS = (MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE)
AT_MOST_STEPS = 750


class Scope(Frozen):
    """Whose metrics they are: the environment's name, and what CloudWatch calls its balancer and target group."""

    environment: str
    balancer: str = ""
    targets: str = ""

    @staticmethod
    def of_places(environment: str, places: Mapping[str, str]) -> Scope:
        """Read the names off the ARNs that Terraform wrote down."""
        balancer = places.get("alb_arn", "").partition(":loadbalancer/")[2]
        targets = places.get("target_group_arn", "").rpartition(":")[2]
        return Scope(environment=environment, balancer=balancer, targets=targets)

    def query(self, id: str, measured: Measured) -> MetricQuery:
        """Say how CloudWatch is asked for a metric. Raises Absent while Terraform has not made what it is of."""
        of = {"LoadBalancer": self.balancer, "TargetGroup": self.targets}
        if measured.of != "environment" and not (self.balancer and self.targets):
            raise Absent("Terraform has written down no balancer yet", next="rmu infra apply")
        wanted = {"balancer": ("LoadBalancer",), "targets": ("LoadBalancer", "TargetGroup"), "environment": ()}
        return MetricQuery(
            id=id,
            namespace=measured.namespace or f"rmu/{self.environment}",
            name=measured.metric,
            stat=measured.stat,
            dimensions={name: of[name] for name in wanted[measured.of]},
        )


class Burn(Frozen):
    """How fast a budget burns over a tier's two windows (None: nothing was counted), and whether both are too fast."""

    group: Group
    rate: float
    long: str
    short: str
    over_long: float | None
    over_short: float | None
    too_fast: bool


class Count(Frozen):
    """What was counted in a window, and since when, where it has not been counted for all of it."""

    total: float
    bad: float
    since: datetime | None

    def expected(self, o: Objective, now: datetime) -> float:
        """Reckon how many events a whole window has, should they go on to come as they have."""
        return self.total if self.since is None else self.total * max(1.0, o.window / (now - self.since))


class Step(Frozen):
    """What was counted in one step of the window, and which part of the budget was left after it."""

    at: datetime
    total: float
    bad: float
    left: float


class Budget(Frozen):
    """One objective, now. `left` is 1 for an untouched budget, 0 for none, less for one that is overdrawn.

    `since` tells when counting began where that was within the window; `left` is then of a window at that traffic.
    """

    name: str
    title: str
    target: float
    window: str
    verdict: Verdict
    why: str = ""
    total: float | None = None
    bad: float | None = None
    good_ratio: float | None = None
    since: datetime | None = None
    left: float | None = None
    burn: float | None = None
    burn_over: str = ""
    runs_out: datetime | None = None
    burns: tuple[Burn, ...] = ()
    steps: tuple[Step, ...] = ()


class Spent(Frozen):
    """What a stretch of time cost an objective; `share` is the part of a whole window's budget (None: unknown, why)."""

    name: str
    title: str
    target: float
    window: str
    total: float = 0
    bad: float = 0
    share: float | None = None
    why: str = ""


def report_budgets(
    metrics: Metrics, scope: Scope, objectives: Sequence[Objective], now: datetime
) -> tuple[Budget, ...]:
    """Look at every objective; what cannot be read is unknown, with why."""
    return tuple(_read_budget(metrics, scope, objective, now) for objective in objectives)


def gone(metrics: Metrics, scope: Scope, objectives: Sequence[Objective], now: datetime) -> tuple[str, ...]:
    """Name the objectives whose budget is gone, by the fewest questions. Raises Unreachable."""
    return tuple(o.name for o in objectives if _is_gone(metrics, scope, o, now))


def spent_between(
    metrics: Metrics, scope: Scope, objectives: Sequence[Objective], *, start: datetime, end: datetime
) -> tuple[Spent, ...]:
    """Tell what a stretch of time cost each objective, of the budget of the window that ends with it."""
    return tuple(_spent(metrics, scope, objective, start, end) for objective in objectives)


def _is_gone(metrics: Metrics, scope: Scope, o: Objective, now: datetime) -> bool:
    counted = _counted(metrics, scope, o, now - o.window, now)
    total, bad = _sums(counted)
    if not total or bad < o.budget * total:  # the fewest questions: it cannot be gone, whenever counting began
        return False
    return _verdict(o, _count(metrics, scope, o, counted, now), now, ()) == "gone"


def _spent(metrics: Metrics, scope: Scope, o: Objective, start: datetime, end: datetime) -> Spent:
    spent = Spent(name=o.name, title=o.title, target=o.target, window=short_words(o.window))
    try:
        total, bad = _sums(_counted(metrics, scope, o, start, end))
        window = _count(metrics, scope, o, _counted(metrics, scope, o, end - o.window, end), end)
    except RmuError as why:
        return spent.model_copy(update={"why": why.what})
    if not window.total:
        return spent.model_copy(update={"why": "nothing was counted"})
    return spent.model_copy(update={"total": total, "bad": bad, "share": bad / (o.budget * window.expected(o, end))})


def _read_budget(metrics: Metrics, scope: Scope, o: Objective, now: datetime) -> Budget:
    try:
        coarse = _counted(metrics, scope, o, now - o.window, now)
        fine = _counted(metrics, scope, o, now - min(o.window, DAY), now, step=MINUTE)
        count = _count(metrics, scope, o, coarse, now)
    except RmuError as why:
        return _bare(o, why.what)
    if not count.total:
        return _bare(o, f"nothing was counted in {short_words(o.window)}")
    burns = tuple(_burn(o, tier, coarse, fine, now) for tier in tiers(o))
    first = next((b for b in burns if b.over_long is not None), None)
    burn = first.over_long if first else None
    verdict = _verdict(o, count, now, burns)
    expected = count.expected(o, now)
    left = 1 - count.bad / (o.budget * expected)
    return _bare(o).model_copy(
        update={
            "verdict": verdict,
            "why": _why(o, count, now) if verdict == "unknown" else "",
            "total": count.total,
            "bad": count.bad,
            "good_ratio": 1 - count.bad / count.total,
            "since": count.since,
            "left": left,
            "burn": burn,
            "burn_over": first.long if first else "",
            "runs_out": _runs_out(o, left, burn, now),
            "burns": burns,
            "steps": _steps(o, coarse, expected),
        }
    )


def _bare(o: Objective, why: str = "") -> Budget:
    return Budget(name=o.name, title=o.title, target=o.target, window=short_words(o.window), verdict="unknown", why=why)


Counted = Mapping[datetime, tuple[float, float]]
"""Begin of a step -> how many events there were in it, and how many of them were bad."""


def _counted(
    metrics: Metrics, scope: Scope, o: Objective, start: datetime, end: datetime, *, step: timedelta | None = None
) -> Counted:
    """Count events step by step. The first step begins on a whole one, as CloudWatch keeps them."""
    every = step or next((s for s in STEPS if (end - start) / s <= AT_MOST_STEPS), STEPS[-1])
    asked = {measured: scope.query(f"m{n}", measured) for n, measured in enumerate(o.measured())}
    found = metrics.data(list(asked.values()), start=_floor(start, every), end=end, period=every)
    values = {measured: {p.at: p.value for p in found[query.id]} for measured, query in asked.items()}
    summed: dict[datetime, tuple[float, float]] = {}
    for at in sorted({at for points in values.values() for at in points}):
        here = {measured: points.get(at, 0.0) for measured, points in values.items()}
        total = sum(here[m] for m in o.total)
        bad = sum(here[m] for m in o.bad) if o.bad else total - sum(here[m] for m in o.good)
        summed[at] = (total, max(bad, 0.0))
    return summed


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % step.total_seconds())


def _sums(counted: Counted, since: datetime | None = None) -> tuple[float, float]:
    counts = [c for at, c in counted.items() if since is None or at >= since]
    return sum(total for total, _ in counts), sum(bad for _, bad in counts)


def _count(metrics: Metrics, scope: Scope, o: Objective, counted: Counted, now: datetime) -> Count:
    total, bad = _sums(counted)
    return Count(total=total, bad=bad, since=_since(metrics, scope, o, counted, now) if total else None)


def _since(metrics: Metrics, scope: Scope, o: Objective, counted: Counted, now: datetime) -> datetime | None:
    """Tell when counting began; None where that is longer ago than the window, which one before it may have to tell."""
    begins = now - o.window
    first = min(at for at, (total, _) in counted.items() if total)
    if first <= begins or _sums(_counted(metrics, scope, o, begins - o.window, begins))[0]:
        return None
    return first


def _verdict(o: Objective, count: Count, now: datetime, burns: Sequence[Burn]) -> Verdict:
    """Judge a budget. Overdrawn by fewer bad events than would alarm anybody, it is not called gone.

    Nor is it called kept where, early in its first window, more was bad than may be in the end.
    """
    if count.bad >= o.budget * count.expected(o, now):
        return "gone" if count.bad >= o.least else "unknown"
    if any(b.too_fast for b in burns):
        return "burning"
    return "unknown" if count.bad >= o.budget * count.total else "kept"


def _why(o: Objective, count: Count, now: datetime) -> str:
    if count.since is None or count.bad >= o.budget * count.expected(o, now):
        return f"{count.bad:g} bad ones are too few to tell"
    return f"too early to tell: {short_words(now - count.since)} of {short_words(o.window)}"


def _burn(o: Objective, tier: Tier, coarse: Counted, fine: Counted, now: datetime) -> Burn:
    def rate(length: timedelta) -> tuple[float | None, float]:
        counted = fine if length <= DAY else coarse
        total, bad = _sums(counted, now - length)
        return (bad / total / o.budget if total else None), bad

    (long, bad), (short, _) = rate(tier.long), rate(tier.short)
    too_fast = bad >= o.least and (long or 0) > tier.burn and (short or 0) > tier.burn
    return Burn(
        group=tier.group,
        rate=tier.burn,
        long=short_words(tier.long),
        short=short_words(tier.short),
        over_long=long,
        over_short=short,
        too_fast=too_fast,
    )


def _runs_out(o: Objective, left: float, burn: float | None, now: datetime) -> datetime | None:
    """Tell when nothing would be left at this rate, at the soonest; None where that rate can be kept up for ever."""
    if left <= 0 or burn is None or burn <= 1:
        return None
    return now + o.window * (left / burn)


def _steps(o: Objective, counted: Counted, expected: float) -> tuple[Step, ...]:
    spent, found = 0.0, []
    for at, (total, bad) in counted.items():
        spent += bad / (o.budget * expected)
        found.append(Step(at=at, total=total, bad=bad, left=1 - spent))
    return tuple(found)
