"""Alarms that watch: each is judged by its points every few seconds, and tells whom it should when its state changes.

What is judged is decided in `evaluation`, by points from `metrics`, by metric math from `expressions`; here is what of
it is moto's record: the state, the history, the actions (SNS topics) and the event on the default bus.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm, Dimension, MetricDataQuery, cloudwatch_backends

from ratemyunit_ops.twin.gate import events, sns
from ratemyunit_ops.twin.gate.evaluation import OLDER, Terms, Verdict, decide, holds
from ratemyunit_ops.twin.gate.expressions import Given, Series, Value, Wrong, evaluate, parse
from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.metrics import STORES, Key, Span, key_of

# What was measured in the last second may still be on its way.
LATE_SECONDS = 1.5
MOST_HISTORY = 5000
REGIONS = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)", "eu-west-1": "EU (Ireland)"}

# Judging is the clock's, SetAlarmState a request's: one state changes at a time.
_MOVING = threading.RLock()
_judged: dict[str, float] = {}


@dataclass(frozen=True)
class Item:
    """One line of an alarm's history."""

    alarm: str
    kind: str
    at: datetime
    type: str
    summary: str
    data: str


HISTORY: deque[Item] = deque(maxlen=MOST_HISTORY)


def tick(now: float) -> None:
    """Judge every alarm whose turn it is."""
    for region, backend in list(cloudwatch_backends[ACCOUNT].items()):
        alarms = list(backend.alarms.values())
        for alarm in alarms:
            if not alarm.rule and _turn(alarm, now):
                _judge(region, alarm, now)
        for alarm in alarms:
            if alarm.rule:
                _judge_rule(alarm, {one.name: one.state_value for one in alarms})


def step_of(period: int) -> int:
    """Answer how often an alarm's windows move on: every minute, or every 10 s where its period is shorter."""
    return 60 if period >= 60 else 10


def period_of(alarm: Alarm) -> int:
    """Answer the seconds of an alarm's period; those of its metrics where it is metric math."""
    stats = [query.metric_stat for query in alarm.metric_data_queries if query.metric_stat]
    return max(int(stat.period) for stat in stats) if stats else int(alarm.period)


def refuse_math(queries: list[MetricDataQuery]) -> str:
    """Say what is wrong with an alarm's metric math; empty where nothing is."""
    ids = {query.id for query in queries}
    if sum(_returned(query) for query in queries) != 1:
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


def move(alarm: Alarm, state: str, reason: str, data: dict[str, Any]) -> None:
    """Let an alarm be in a state; where that is another one, tell everybody whom it should tell."""
    with _MOVING:
        before, since = alarm.state_value, alarm.state_updated_timestamp
        old = {"stateValue": before, "stateReason": alarm.state_reason, "stateReasonData": _json(alarm)}
        if before == state:
            return
        alarm.update_state(reason, json.dumps(data), state)
        alarm.state_transitioned_timestamp = alarm.state_updated_timestamp  # type: ignore[attr-defined]
        new = {"stateValue": state, "stateReason": reason, "stateReasonData": data}
        said = json.dumps({"version": "1.0", "oldState": old, "newState": new})
        note(alarm, "StateUpdate", f"Alarm updated from {before} to {state}", said)
        _act(alarm, before)
        _announce(alarm, old, since)


def note(alarm: Alarm, type: str, summary: str, data: str) -> None:
    """Write a line of history."""
    kind = "CompositeAlarm" if alarm.rule else "MetricAlarm"
    HISTORY.append(Item(alarm.name, kind, datetime.now(UTC).replace(tzinfo=None), type, summary, data))


def _turn(alarm: Alarm, now: float) -> bool:
    """Tell whether to judge it now: long windows cost more, and change less."""
    period = period_of(alarm)
    every = 1.0 if period < 60 else 5.0 if period < 600 else 20.0
    if now - _judged.get(alarm.alarm_arn, 0.0) < every:
        return False
    _judged[alarm.alarm_arn] = now
    return True


def _judge(region: str, alarm: Alarm, now: float) -> None:
    of = int(alarm.evaluation_periods)
    terms = Terms(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        points=int(alarm.datapoints_to_alarm or of),
        of=of,
        missing=alarm.treat_missing_data or "missing",
    )
    period = period_of(alarm)
    end = int(now - LATE_SECONDS) // step_of(period) * step_of(period)
    seconds = [end - period * n for n in range(of + OLDER, 0, -1)]
    try:
        points = _points(region, alarm, seconds, period)
    except Wrong as why:
        verdict = Verdict("INSUFFICIENT_DATA", f"Insufficient Data: {why}")
    else:
        if points is None:
            return
        verdict = decide(terms, [points.get(at) for at in seconds])
    if verdict.state:
        move(alarm, verdict.state, verdict.reason, _reason_data(alarm, verdict, period, seconds))


def _points(region: str, alarm: Alarm, seconds: list[int], period: int) -> Series | None:
    """Read an alarm's points; None where there are too few samples for its percentile, and it should wait for more."""
    if alarm.metric_data_queries:
        value = solve(region, alarm.metric_data_queries, seconds, period)
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


def solve(region: str, queries: list[MetricDataQuery], seconds: list[int], period: int) -> Value:
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
    returned = next(query for query in queries if _returned(query))
    return results[returned.id] if returned.metric_stat else _solve_one(returned, queries, given, results, ())


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


def _returned(query: MetricDataQuery) -> bool:
    """Tell whether a query returns data: it does unless it says that it does not."""
    return str(query.return_data).lower() != "false"


def _judge_rule(alarm: Alarm, states: dict[str, str]) -> None:
    state = "ALARM" if holds(str(alarm.rule), states) else "OK"
    triggering = {
        "triggeringAlarms": [
            {"name": name, "state": states[name]} for name in sorted(states) if name in str(alarm.rule)
        ]
    }
    move(alarm, state, f"{alarm.alarm_arn} transitioned to {state}: {alarm.rule}", triggering)


def _reason_data(alarm: Alarm, verdict: Verdict, period: int, seconds: list[int]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "queryDate": _stamp(datetime.now(UTC)),
        "startDate": _stamp(datetime.fromtimestamp(seconds[0], UTC)),
        "statistic": alarm.statistic or alarm.extended_statistic,
        "period": period,
        "recentDatapoints": list(verdict.recent),
        "threshold": float(alarm.threshold),
    }


def _act(alarm: Alarm, before: str) -> None:
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[alarm.state_value]
    for action in actions or [] if alarm.actions_enabled else []:
        _tell(alarm, action, before)


def _tell(alarm: Alarm, action: str, before: str) -> None:
    """Publish to a topic; other kinds of actions do nothing here."""
    where = f'"{alarm.name}" in {REGIONS.get(alarm.region_name, alarm.region_name)}'
    try:
        if ":sns:" not in action:
            raise sns.NotSent(f"the twin performs no {action.split(':')[2]} actions")
        text = json.dumps(notification(alarm, before))
        sns.send(action, f"{alarm.state_value}: {where}", text, service="cloudwatch.amazonaws.com")
        said = "Succeeded", f"Successfully executed action {action}"
    except Exception as why:  # noqa: BLE001  (whatever SNS says, the other actions go on, and history tells)
        said = "Failed", f"Failed to execute action {action}: {why}"
    note(
        alarm, "Action", said[1], json.dumps({"actionState": said[0], "notificationResource": action, "error": said[1]})
    )


def notification(alarm: Alarm, before: str) -> dict[str, Any]:
    """Write what a subscriber reads, as CloudWatch does."""
    told: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(alarm.state_updated_timestamp),
        "Region": REGIONS.get(alarm.region_name, alarm.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }
    if alarm.rule:
        return {**told, "AlarmRule": alarm.rule}
    return {**told, "Trigger": _trigger(alarm)}


def _trigger(alarm: Alarm) -> dict[str, Any]:
    told: dict[str, Any] = {
        "Period": period_of(alarm),
        "EvaluationPeriods": int(alarm.evaluation_periods),
        "DatapointsToAlarm": int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        return {**told, "Metrics": [_query(query) for query in alarm.metric_data_queries]}
    return {
        **told,
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic" if alarm.statistic else "ExtendedStatistic",
        "Statistic": (alarm.statistic or "").upper() or None,
        "ExtendedStatistic": alarm.extended_statistic,
        "Unit": alarm.unit,
        "Dimensions": [{"name": one.name, "value": one.value} for one in alarm.dimensions],
    }


def _query(query: MetricDataQuery) -> dict[str, Any]:
    told: dict[str, Any] = {"Id": query.id, "Label": query.label, "ReturnData": _returned(query)}
    stat = query.metric_stat
    if stat is None:
        return {**told, "Expression": query.expression}
    metric = {
        "Namespace": stat.metric.namespace,
        "MetricName": stat.metric.metric_name,
        "Dimensions": [{"name": one.name, "value": one.value} for one in stat.metric.dimensions],
    }
    return {**told, "MetricStat": {"Metric": metric, "Period": int(stat.period), "Stat": stat.stat}}


def _announce(alarm: Alarm, old: dict[str, Any], since: datetime) -> None:
    """Put the change on the default bus, as CloudWatch does for every alarm."""
    configuration: dict[str, Any] = {"description": alarm.description}
    if alarm.rule:
        configuration["alarmRule"] = alarm.rule
    else:
        configuration["metrics"] = _metrics(alarm)
    detail = {
        "alarmName": alarm.name,
        "state": {
            "value": alarm.state_value,
            "reason": alarm.state_reason,
            "reasonData": alarm.state_reason_data,
            "timestamp": _stamp(alarm.state_updated_timestamp),
        },
        "previousState": {"value": old["stateValue"], "reason": old["stateReason"], "timestamp": _stamp(since)},
        "configuration": configuration,
    }
    events.emit(alarm.region_name, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm.alarm_arn])


def _metrics(alarm: Alarm) -> list[dict[str, Any]]:
    if alarm.metric_data_queries:
        return [_query(query) for query in alarm.metric_data_queries]
    metric = {
        "namespace": alarm.namespace,
        "name": alarm.metric_name,
        "dimensions": {one.name: one.value for one in alarm.dimensions},
    }
    stat = {"metric": metric, "period": int(alarm.period), "stat": alarm.statistic or alarm.extended_statistic}
    return [{"id": "m1", "metricStat": stat, "returnData": True}]


def _json(alarm: Alarm) -> Any:
    return json.loads(alarm.state_reason_data or "{}")


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000"
