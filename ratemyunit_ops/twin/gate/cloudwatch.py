"""CloudWatch's answers: metrics from our own store, math in GetMetricData, alarms that know nothing until they look,
composite ones, and the history of all."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatum, MetricDatumBase
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from ratemyunit_ops.twin.gate import alarms
from ratemyunit_ops.twin.gate.alarm_points import period_of, refuse_math
from ratemyunit_ops.twin.gate.evaluation import COMPARISONS, holds
from ratemyunit_ops.twin.gate.expressions import Given, Series, Value, Wrong, evaluate
from ratemyunit_ops.twin.gate.mend import mend, refuse
from ratemyunit_ops.twin.gate.metrics import STORES, Key, Row, Span, is_percentile, key_of

PAGE = 100
NO_METRIC = dict.fromkeys(
    ("namespace", "metric_name", "comparison_operator", "evaluation_periods", "period", "threshold", "statistic")
)

_put_metric_alarm = CloudWatchBackend.put_metric_alarm


@mend(CloudWatchBackend)
def put_metric_alarm(self: CloudWatchBackend, name: str, *args: Any, **kwargs: Any) -> Alarm:
    """Put an alarm; one that is new has no data, and one that is changed keeps its state.

    Raises: ValidationError for metric math that means nothing, and for a longer look back than CloudWatch takes.
    """
    before = self.alarms.get(name)
    alarm: Alarm = _put_metric_alarm(self, name, *args, **kwargs)
    alarm.state_transitioned_timestamp = alarm.state_updated_timestamp  # type: ignore[attr-defined]
    alarm.state_value = "INSUFFICIENT_DATA"
    for kept in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp") if before else ():
        setattr(alarm, kept, getattr(before, kept))
    wrong = "" if alarm.rule else _refused(alarm)
    if wrong:
        del self.alarms[name]
        self.alarms |= {name: before} if before else {}
        raise refuse("ValidationError", wrong)
    alarms.note(alarm, "ConfigurationUpdate", f'Alarm "{name}" {"updated" if before else "created"}', "{}")
    return alarm


def _refused(alarm: Alarm) -> str:
    if alarm.metric_data_queries:
        wrong = refuse_math(alarm.metric_data_queries)
        if wrong:
            return wrong
    if alarm.comparison_operator not in COMPARISONS:
        return f"The twin does not know the comparison {alarm.comparison_operator}."
    period = period_of(alarm)
    if period not in (10, 20, 30) and (period % 60 or period <= 0):
        return f"Period {period} is none of 10, 20, 30 or a multiple of 60."
    longest = 604_800 if period >= 3600 else 86_400
    if period * int(alarm.evaluation_periods) > longest:
        return f"Metrics cannot be checked across more than {longest} seconds (EvaluationPeriods * Period)."
    return ""


@mend(CloudWatchBackend)
def put_metric_data(self: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """Keep points in the store that alarms look at."""
    for number, one in enumerate(metric_data, 1):
        self._validate_parameters_put_metric_data(one, number)
    for one in metric_data:
        at = _unix(one.get("Timestamp") or datetime.now(UTC))
        key = _key(namespace, one)
        whole = one.get("StatisticValues")
        if whole:
            count, total, low, high = (float(whole[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
            STORES[self.region_name].put_row(key, Row(count, total, low, high), at=at)
            continue
        values = one.get("Values") or [one.get("Value", 0)]
        counts = one.get("Counts") or [1] * len(values)
        for value, times in zip(values, counts, strict=True):
            STORES[self.region_name].put(key, float(value), at=at, times=float(times))


def _key(namespace: str, metric: dict[str, Any]) -> Key:
    named = {each["Name"]: each["Value"] for each in metric.get("Dimensions", [])}
    return key_of(namespace, metric["MetricName"], named)


@mend(CloudWatchBackend)
def get_all_metrics(self: CloudWatchBackend) -> list[MetricDatumBase]:
    """Answer the metrics that there are, for ListMetrics; what moto's other services make up is left out."""
    return [
        MetricDatum(namespace, name, 0.0, [{"Name": key, "Value": value} for key, value in named], None)
        for namespace, name, named in STORES[self.region_name].names()
    ]


@mend(CloudWatchBackend)
def get_metric_statistics(
    self: CloudWatchBackend,
    namespace: str,
    metric_name: str,
    start_time: Any,
    end_time: Any,
    period: int,
    stats: list[str],
    dimensions: list[dict[str, str]],
    unit: str | None = None,
) -> list[dict[str, Any]]:
    """Answer statistics per period; percentiles are asked for apart, as `p99`.

    Raises: InvalidParameterValue when the time ends before it begins.
    """
    start, end = _window(start_time, end_time, period)
    key = _key(namespace, {"MetricName": metric_name, "Dimensions": dimensions})
    found: dict[int, dict[str, Any]] = {}
    for stat in stats:
        points = STORES[self.region_name].points(key, stat, Span(start, end, period))
        for at, value in points.items():
            point = found.setdefault(at, {"Timestamp": _time(at), "Unit": unit or "None"})
            if is_percentile(stat):
                point.setdefault("ExtendedStatistics", {})[stat] = value
            else:
                point[stat] = value
    return [point for _, point in sorted(found.items())]


def _answer_statistics(self: Any) -> ActionResult:
    """Answer statistics, plain and extended."""
    stats = [*self._get_param("Statistics", []), *self._get_param("ExtendedStatistics", [])]
    if not stats:
        raise refuse("InvalidParameterCombination", "Must specify either Statistics or ExtendedStatistics")
    name = self._get_param("MetricName")
    points = self.cloudwatch_backend.get_metric_statistics(
        self._get_param("Namespace"),
        name,
        self._get_param("StartTime"),
        self._get_param("EndTime"),
        self._get_int_param("Period"),
        stats,
        self._get_param("Dimensions", []),
        self._get_param("Unit"),
    )
    return ActionResult({"Label": name, "Datapoints": points})


CloudWatchResponse.get_metric_statistics = _answer_statistics  # type: ignore[method-assign]


@mend(CloudWatchBackend)
def get_metric_data(
    self: CloudWatchBackend,
    queries: list[dict[str, Any]],
    start_time: Any,
    end_time: Any,
    scan_by: str = "TimestampDescending",
) -> list[dict[str, Any]]:
    """Answer metrics and metric math.

    Raises: ValidationError for an expression that means nothing, or a time that ends before it begins.
    """
    periods = [int(one["MetricStat"]["Period"]) for one in queries if "MetricStat" in one]
    period = max(periods, default=int(queries[0].get("Period") or 60))
    start, end = _window(start_time, end_time, period)
    given = Given({}, [one["Id"] for one in queries if "MetricStat" in one], range(start, end, period), period)
    results: dict[str, Value] = {}
    for one in sorted(queries, key=lambda one: "MetricStat" not in one):
        try:
            results[one["Id"]] = _asked(self.region_name, one, results, given)
        except Wrong as why:
            raise refuse("ValidationError", f"Error in expression {one['Id']!r}: {why}") from why
    backwards = scan_by != "TimestampAscending"
    return [
        row
        for one in queries
        if str(one.get("ReturnData", True)).lower() != "false"
        for row in _rows(one, results[one["Id"]], given, backwards)
    ]


def _asked(region: str, query: dict[str, Any], results: dict[str, Value], given: Given) -> Value:
    if "Expression" in query:
        known = {id: value for id, value in results.items() if not isinstance(value, list)}
        return evaluate(query["Expression"], Given(known, given.metrics, given.seconds, given.period))
    stat = query["MetricStat"]
    period = int(stat["Period"])
    span = Span(given.seconds[0] // period * period, given.seconds[-1] + given.period, period)
    return STORES[region].points(_key(stat["Metric"]["Namespace"], stat["Metric"]), stat["Stat"], span)


def _rows(query: dict[str, Any], value: Value, given: Given, backwards: bool) -> Iterable[dict[str, Any]]:
    label = query.get("Label") or _label(query)
    for series in value if isinstance(value, list) else [value]:
        points: Series = series if isinstance(series, dict) else dict.fromkeys(given.seconds, series)
        seconds = sorted(points, reverse=backwards)
        yield {
            "id": query["Id"],
            "label": label,
            "timestamps": [_time(at) for at in seconds],
            "values": [points[at] for at in seconds],
            "status_code": "Complete",
        }


def _label(query: dict[str, Any]) -> str:
    metric = query.get("MetricStat", {}).get("Metric", {}).get("MetricName")
    return str(metric or query["Id"])


@mend(CloudWatchBackend)
def set_alarm_state(self: CloudWatchBackend, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
    """Put an alarm into a state until it is judged again; its actions follow, as on AWS.

    Raises: ResourceNotFound, ValidationError.
    """
    if alarm_name not in self.alarms:
        raise refuse("ResourceNotFound", "Unknown")
    if state_value not in ("OK", "ALARM", "INSUFFICIENT_DATA"):
        raise refuse("ValidationError", f"Value {state_value!r} at 'stateValue' failed to satisfy constraint")
    alarms.move(self.alarms[alarm_name], state_value, reason, {})


@mend(CloudWatchResponse)
def put_composite_alarm(self: Any) -> ActionResult:
    """Put a composite alarm.

    Raises: ValidationError for a rule that cannot be read.
    """
    rule = self._get_param("AlarmRule")
    try:
        holds(rule, {})
    except ValueError as why:
        raise refuse("ValidationError", f"AlarmRule must not contain an invalid expression: {why}") from why
    alarm = self.cloudwatch_backend.put_metric_alarm(
        name=self._get_param("AlarmName"),
        **NO_METRIC,
        description=self._get_param("AlarmDescription"),
        dimensions=[],
        alarm_actions=self._get_param("AlarmActions", []),
        ok_actions=self._get_param("OKActions", []),
        insufficient_data_actions=self._get_param("InsufficientDataActions", []),
        actions_enabled=self._get_bool_param("ActionsEnabled", True),
        rule=rule,
        tags=self._get_param("Tags", []),
    )
    alarm.alarm_rule = alarm.rule
    return EmptyResult()


@mend(CloudWatchResponse)
def describe_alarms(self: Any) -> ActionResult:
    """List alarms, by name; composite ones only where they are asked for, as on AWS."""
    kinds = self._get_param("AlarmTypes", []) or ["MetricAlarm"]
    names = self._get_param("AlarmNames", [])
    wanted = {"prefix": self._get_param("AlarmNamePrefix"), "state": self._get_param("StateValue")}
    action = self._get_param("ActionPrefix")
    found = [
        one
        for _, one in sorted(self.cloudwatch_backend.alarms.items())
        if ("CompositeAlarm" if one.rule else "MetricAlarm") in kinds
        and (not names or one.name in names)
        and one.name.startswith(wanted["prefix"] or "")
        and wanted["state"] in (None, one.state_value)
        and (not action or any(each.startswith(action) for each in one.alarm_actions or []))
    ]
    page, token = _page(self, found)
    return ActionResult(
        {
            "MetricAlarms": [one for one in page if not one.rule],
            "CompositeAlarms": [one for one in page if one.rule],
            "NextToken": token,
        }
    )


@mend(CloudWatchResponse)
def describe_alarm_history(self: Any) -> ActionResult:
    """List what happened to alarms, newest first unless asked otherwise."""
    kinds = self._get_param("AlarmTypes", []) or ["MetricAlarm"]
    name, type = self._get_param("AlarmName"), self._get_param("HistoryItemType")
    start, end = (_unix(self._get_param(edge)) if self._get_param(edge) else None for edge in ("StartDate", "EndDate"))
    found = [
        one
        for one in list(alarms.HISTORY)
        if name in (None, one.alarm)
        and type in (None, one.type)
        and one.kind in kinds
        and (start is None or _unix(one.at) >= start)
        and (end is None or _unix(one.at) <= end)
    ]
    if self._get_param("ScanBy") != "TimestampAscending":
        found.reverse()
    page, token = _page(self, found)
    items = [
        {
            "AlarmName": one.alarm,
            "AlarmType": one.kind,
            "Timestamp": one.at,
            "HistoryItemType": one.type,
            "HistorySummary": one.summary,
            "HistoryData": one.data,
        }
        for one in page
    ]
    return ActionResult({"AlarmHistoryItems": items, "NextToken": token})


def _page(self: Any, found: list[Any]) -> tuple[list[Any], str | None]:
    """Cut a page out of a list, at most as long as AWS gives one."""
    size = min(int(self._get_param("MaxRecords") or PAGE), PAGE)
    start = int(self._get_param("NextToken") or 0)
    return found[start : start + size], str(start + size) if start + size < len(found) else None


def _window(start: Any, end: Any, period: int) -> tuple[int, int]:
    """Round a span of time outward to whole periods.

    Raises: InvalidParameterValue when it ends before it begins.
    """
    first, last = _unix(start), _unix(end)
    if first >= last:
        raise refuse("InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime.")
    return int(first // period * period), int(-(-last // period) * period)


def _unix(at: datetime | float | str) -> float:
    """Read a time as moto hands it over: its datetimes are UTC and do not say so."""
    if isinstance(at, int | float):
        return float(at)
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
