"""What goes by the clock: EventBridge Scheduler's schedules, and rules with a schedule, on the default bus.

`at(...)` once, `rate(...)` from its start on, `cron(...)` in the minutes that it names. A schedule that is deleted in
time does not fire, which is how an escalation is called off.
"""

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends
from moto.scheduler.models import Schedule, scheduler_backends

from ratemyunit_ops.twin.gate import events, sns
from ratemyunit_ops.twin.gate.cron import due
from ratemyunit_ops.twin.gate.deliveries import Delivery, note
from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.state import DAY_SECONDS, KNOBS


def tick(now: float) -> None:
    """Fire what is due."""
    now += KNOBS.days_ahead * DAY_SECONDS
    for backend in list(scheduler_backends[ACCOUNT].values()):
        for group in list(backend.schedule_groups.values()):
            for schedule in list(group.schedules.values()):
                _turn(group.schedules, schedule, now)
    for bus in list(events_backends[ACCOUNT].values()):
        for rule in list(bus.event_buses["default"].rules.values()):
            if rule.scheduled_expression and rule.state == "ENABLED":
                _turn_rule(rule, now)


def _turn(schedules: dict[str, Schedule], schedule: Schedule, now: float) -> None:
    """Fire one schedule if it is due; take it away when it is over, if that was asked."""
    born = float(schedule.creation_date)
    # Changed since it was looked at last: what it says now counts from then on.
    changed = max(born, float(schedule.last_modified_date))
    last = max(getattr(schedule, "looked_at", born), changed)
    start = max(_unix(schedule.start_date) or born, born)
    end = _unix(schedule.end_date)
    schedule.looked_at = now  # type: ignore[attr-defined]
    over = end is not None and now > end
    fires = not over and schedule.state == "ENABLED"
    if fires and due(
        schedule.schedule_expression, min(last, now), now, start=start, zone=schedule.schedule_expression_timezone
    ):
        _fire(schedule)
        over = schedule.schedule_expression.startswith("at(")
    if over and schedule.action_after_completion == "DELETE":
        schedules.pop(schedule.name, None)


def _fire(schedule: Schedule) -> None:
    target = schedule.target
    text = target.get("Input") or json.dumps({"version": "0", "id": str(uuid.uuid4()), "source": "aws.scheduler"})
    try:
        if ":sns:" not in target["Arn"]:
            raise sns.NotSent(f"the twin's schedules reach SNS topics alone, not {target['Arn']}")
        sns.send(target["Arn"], "", text)
    except Exception as why:  # noqa: BLE001  (one schedule that fails keeps no other waiting)
        note(Delivery("schedule", schedule.name, "sns", target["Arn"], "", text, status=f"failed: {why}"))


def _turn_rule(rule: Rule, now: float) -> None:
    last = getattr(rule, "looked_at", now)
    start = getattr(rule, "first_seen", now)
    rule.looked_at, rule.first_seen = now, start  # type: ignore[attr-defined]
    if not due(str(rule.scheduled_expression), last, now, start=start):
        return
    event: dict[str, Any] = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": now,
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }
    for target in list(rule.targets):
        events.carry(rule, target, event)


def _unix(at: Any) -> float | None:
    """Read a date as the Scheduler's API carries it: seconds, or ISO text."""
    if at in (None, ""):
        return None
    if isinstance(at, int | float) or re.fullmatch(r"[\d.]+(e\d+)?", str(at)):
        return float(at)
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
