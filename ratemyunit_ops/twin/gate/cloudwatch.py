"""CloudWatch's small holes: composite alarms and the history of alarms. A new alarm knows nothing yet, as on AWS."""

from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from ratemyunit_ops.twin.gate.mend import mend

_put_metric_alarm = CloudWatchBackend.put_metric_alarm


@mend(CloudWatchBackend)
def put_metric_alarm(self: CloudWatchBackend, name: str, *args: Any, **kwargs: Any) -> Alarm:
    """Put an alarm; one that is new has no data, and one that is changed keeps its state."""
    before = self.alarms.get(name)
    alarm: Alarm = _put_metric_alarm(self, name, *args, **kwargs)
    alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
    alarm.history = before.history if before else []
    return alarm


@mend(CloudWatchResponse)
def put_composite_alarm(self: Any) -> ActionResult:
    """Keep a composite alarm; its rule is not evaluated."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("namespace", "metric_name", "comparison_operator", "evaluation_periods", "period", "threshold", "statistic")
    )
    alarm = self.cloudwatch_backend.put_metric_alarm(
        name=self._get_param("AlarmName"),
        **nothing,
        description=self._get_param("AlarmDescription"),
        dimensions=[],
        alarm_actions=self._get_param("AlarmActions", []),
        ok_actions=self._get_param("OKActions", []),
        insufficient_data_actions=self._get_param("InsufficientDataActions", []),
        actions_enabled=self._get_bool_param("ActionsEnabled", True),
        rule=self._get_param("AlarmRule"),
        tags=self._get_param("Tags", []),
    )
    alarm.alarm_rule = alarm.rule
    return EmptyResult()


@mend(CloudWatchResponse)
def describe_alarm_history(self: Any) -> ActionResult:
    """List what happened to alarms, newest first."""
    name = self._get_param("AlarmName")
    alarms = [one for one in self.cloudwatch_backend.alarms.values() if name in (None, one.name)]
    items = [_item(alarm, event, at + 1) for alarm in alarms for at, event in enumerate(alarm.history)]
    items.sort(key=lambda item: item["Timestamp"], reverse=True)
    return ActionResult({"AlarmHistoryItems": items})


def _item(alarm: Alarm, before: tuple[str, str, str, str, Any], next_at: int) -> dict[str, Any]:
    """Describe one change; moto keeps only what the state was before it, so the state after is the next one's."""
    later = (
        alarm.history[next_at][1:]
        if next_at < len(alarm.history)
        else (alarm.state_reason, alarm.state_reason_data, alarm.state_value, alarm.state_updated_timestamp)
    )
    return {
        "AlarmName": alarm.name,
        "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
        "Timestamp": later[3],
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {before[3]} to {later[2]}",
        "HistoryData": later[1],
    }
