"""What CloudWatch writes about an alarm: the notification to a topic, and the event on the default bus."""

from datetime import datetime
from typing import Any

from moto.cloudwatch.models import Alarm, MetricDataQuery

from ratemyunit_ops.twin.gate.alarm_points import period_of, returned
from ratemyunit_ops.twin.gate.mend import ACCOUNT

REGIONS = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)", "eu-west-1": "EU (Ireland)"}


def subject(alarm: Alarm) -> str:
    """Write the subject of a notification."""
    return f'{alarm.state_value}: "{alarm.name}" in {REGIONS.get(alarm.region_name, alarm.region_name)}'


def notification(alarm: Alarm, before: str) -> dict[str, Any]:
    """Write what a subscriber reads, as CloudWatch does."""
    told: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": stamp(alarm.state_updated_timestamp),
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
    told: dict[str, Any] = {"Id": query.id, "Label": query.label, "ReturnData": returned(query)}
    stat = query.metric_stat
    if stat is None:
        return {**told, "Expression": query.expression}
    metric = {
        "Namespace": stat.metric.namespace,
        "MetricName": stat.metric.metric_name,
        "Dimensions": [{"name": one.name, "value": one.value} for one in stat.metric.dimensions],
    }
    return {**told, "MetricStat": {"Metric": metric, "Period": int(stat.period), "Stat": stat.stat}}


def change_of(alarm: Alarm, old: dict[str, Any], since: datetime) -> dict[str, Any]:
    """Write the detail of the event that an alarm changed; `old` is the state before, and `since` when that began."""
    configuration: dict[str, Any] = {"description": alarm.description}
    if alarm.rule:
        configuration["alarmRule"] = alarm.rule
    else:
        configuration["metrics"] = _metrics(alarm)
    return {
        "alarmName": alarm.name,
        "state": {
            "value": alarm.state_value,
            "reason": alarm.state_reason,
            "reasonData": alarm.state_reason_data,
            "timestamp": stamp(alarm.state_updated_timestamp),
        },
        "previousState": {"value": old["stateValue"], "reason": old["stateReason"], "timestamp": stamp(since)},
        "configuration": configuration,
    }


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


def stamp(at: datetime) -> str:
    """Write a time as CloudWatch does."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000"
