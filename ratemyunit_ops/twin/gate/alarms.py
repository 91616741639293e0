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

from moto.cloudwatch.models import Alarm, cloudwatch_backends

from ratemyunit_ops.twin.gate import events, sns
from ratemyunit_ops.twin.gate.alarm_messages import change_of, notification, stamp, subject
from ratemyunit_ops.twin.gate.alarm_points import period_of, points_of
from ratemyunit_ops.twin.gate.evaluation import OLDER, Terms, Verdict, decide, holds
from ratemyunit_ops.twin.gate.expressions import Wrong
from ratemyunit_ops.twin.gate.mend import ACCOUNT

# What was measured in the last second may still be on its way.
LATE_SECONDS = 1.5
MOST_HISTORY = 5000

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
    """Judge every alarm whose turn it is; one that cannot be judged keeps no other waiting, and is told at the end."""
    failed: Exception | None = None
    for region, backend in list(cloudwatch_backends[ACCOUNT].items()):
        alarms = list(backend.alarms.values())
        for alarm in sorted(alarms, key=lambda one: bool(one.rule)):  # what rules look at comes first
            try:
                if alarm.rule:
                    _judge_rule(alarm, {one.name: one.state_value for one in alarms})
                elif _turn(alarm, now):
                    _judge(region, alarm, now)
            except Exception as why:  # noqa: BLE001
                failed = why
    if failed:
        raise failed


def step_of(period: int) -> int:
    """Answer how often an alarm's windows move on: every minute, or every 10 s where its period is shorter."""
    return 60 if period >= 60 else 10


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
        detail = change_of(alarm, old, since)
        events.emit(alarm.region_name, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm.alarm_arn])


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
        points = points_of(region, alarm, seconds, period)
    except Wrong as why:
        verdict = Verdict("INSUFFICIENT_DATA", f"Insufficient Data: {why}")
    else:
        if points is None:
            return
        verdict = decide(terms, [points.get(at) for at in seconds])
    if verdict.state:
        move(alarm, verdict.state, verdict.reason, _reason_data(alarm, verdict, period, seconds))


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
        "queryDate": stamp(datetime.now(UTC)),
        "startDate": stamp(datetime.fromtimestamp(seconds[0], UTC)),
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
    try:
        if ":sns:" not in action:
            raise sns.NotSent(f"the twin performs no {action.split(':')[2]} actions")
        text = json.dumps(notification(alarm, before))
        sns.send(action, subject(alarm), text, service="cloudwatch.amazonaws.com")
        said = "Succeeded", f"Successfully executed action {action}"
    except Exception as why:  # noqa: BLE001  (whatever SNS says, the other actions go on, and history tells)
        said = "Failed", f"Failed to execute action {action}: {why}"
    note(
        alarm, "Action", said[1], json.dumps({"actionState": said[0], "notificationResource": action, "error": said[1]})
    )


def _json(alarm: Alarm) -> Any:
    return json.loads(alarm.state_reason_data or "{}")
