"""What an alarm looks at: the points of its metric, or what its metric math makes of several."""

from moto.cloudwatch.models import Alarm, Dimension, MetricDataQuery

from ratemyunit_ops.twin.gate.expressions import Given, Series, Value, Wrong, evaluate, parse
from ratemyunit_ops.twin.gate.metrics import STORES, Key, Span, key_of


def period_of(alarm: Alarm) -> int:
    """Answer the seconds of an alarm's period; those of its metrics where it is metric math."""
    stats = [query.metric_stat for query in alarm.metric_data_queries if query.metric_stat]
    return max(int(stat.period) for stat in stats) if stats else int(alarm.period)


def refuse_math(queries: list[MetricDataQuery]) -> str:
    """Say what is wrong with an alarm's metric math; empty where nothing is."""
    ids = {query.id for query in queries}
    if sum(returned(query) for query in queries) != 1:
        return "Exactly one element of the metrics list should return data."
    if len({int(query.metric_stat.period) for query in queries if query.metric_stat}) != 1:
        return "Metrics list must contain at least one metric, and all of one period."
    try:
        for query in queries:
            unknown = parse(query.expression)[1] - ids if query.expression else None
            if unknown:
                return f"Error in expression {query.id!r}: {', '.join(sorted(unknown))} undefined"
    except Wrong as why:
        return f"Error in expression: {why}"
    return ""


def points_of(region: str, alarm: Alarm, seconds: list[int], period: int) -> Series | None:
    """Read an alarm's points; None where there are too few samples for its percentile, and it should wait for more."""
    if alarm.metric_data_queries:
        value = _solve(region, alarm.metric_data_queries, seconds, period)
        if isinstance(value, list):
            raise Wrong("an alarm watches one series")
        return value if isinstance(value, dict) else dict.fromkeys(seconds, value)
    statistic = alarm.statistic or alarm.extended_statistic or "Average"
    key = _key(alarm.namespace, alarm.metric_name, alarm.dimensions)
    span = Span(seconds[0], seconds[-1] + period, period)
    if alarm.extended_statistic and alarm.evaluate_low_sample_count_percentile == "ignore":
        counts = STORES[region].points(key, "SampleCount", span)
        if any(count < _enough(float(statistic[1:]) / 100) for count in counts.values()):
            return None
    return STORES[region].points(key, statistic, span)


def _enough(percentile: float) -> float:
    """Answer how many samples make a percentile worth judging, by CloudWatch's own rule."""
    return 10 / (1 - percentile) if percentile >= 0.5 else 10 / percentile


def _solve(region: str, queries: list[MetricDataQuery], seconds: list[int], period: int) -> Value:
    """Answer what the one query that returns data comes to, over periods that begin at these seconds.

    Raises Wrong.
    """
    metrics = [query for query in queries if query.metric_stat]
    results: dict[str, Series | float] = {}
    for query in metrics:
        stat = query.metric_stat
        assert stat is not None
        key = _key(stat.metric.namespace, stat.metric.metric_name, stat.metric.dimensions)
        results[query.id] = STORES[region].points(key, stat.stat, Span(seconds[0], seconds[-1] + period, period))
    given = Given(results, [query.id for query in metrics], seconds, period)
    last = next(query for query in queries if returned(query))
    return results[last.id] if last.metric_stat else _solve_one(last, queries, given, results, ())


def _solve_one(
    query: MetricDataQuery,
    queries: list[MetricDataQuery],
    given: Given,
    results: dict[str, Series | float],
    above: tuple[str, ...],
) -> Value:
    """Evaluate an expression, those that it names first."""
    if query.id in above:
        raise Wrong(f"{query.id!r} names itself")
    for other in queries:
        if other.id in parse(query.expression or "")[1] and other.id not in results:
            value = _solve_one(other, queries, given, results, (*above, query.id))
            if isinstance(value, list):
                raise Wrong(f"{other.id!r} is a list")
            results[other.id] = value
    return evaluate(query.expression or "", given)


def _key(namespace: str, name: str, dimensions: list[Dimension]) -> Key:
    return key_of(namespace, name, {one.name or "": one.value or "" for one in dimensions})


def returned(query: MetricDataQuery) -> bool:
    """Tell whether a query returns data: it does unless it says that it does not."""
    return str(query.return_data).lower() != "false"
