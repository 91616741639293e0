"""CloudWatch: what is measured, the alarms that watch it, and what they did. Reads only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.model import AlarmChange, AlarmView, MetricQuery, Point
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.ports import Clock

AT_ONCE = 500  # queries that GetMetricData takes

# What GetMetricData still has of data that old; asked for finer, it answers no point at all (botocore's model of
# MetricStat.Period). A minute's margin, since the service rounds a start down.
KEPT = (
    (timedelta(hours=3), timedelta(seconds=1)),
    (timedelta(days=15), timedelta(minutes=1)),
    (timedelta(days=63), timedelta(minutes=5)),
)
COARSEST = timedelta(hours=1)
MARGIN = timedelta(minutes=1)

# The description is ours (module `watch`): "SAYS. severity: SEV-2. next: rmu runbook run NAME --env ENV".
DESCRIPTION = re.compile(
    r"^(?P<says>.*?)\.? severity: (?P<severity>SEV-\d)\. next: rmu runbook run (?P<runbook>\S+) --env \S+$", re.DOTALL
)


class CloudWatchMetrics:
    """The metrics of the account, and the alarms called `rmu-ENV-...`."""

    def __init__(self, account: Account, environment: str, clock: Clock) -> None:
        self._account = account
        self._prefix = f"rmu-{environment}-"
        self._clock = clock

    def data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: timedelta
    ) -> Mapping[str, tuple[Point, ...]]:
        """Read points by query id, oldest first; the period grows to what is kept of data that old."""
        seconds = _period(period, self._clock.now() - start)
        found: dict[str, list[Point]] = {query.id: [] for query in queries}
        for first in range(0, len(queries), AT_ONCE):
            asked = [_query(query, seconds) for query in queries[first : first + AT_ONCE]]
            for result in self._results(asked, start, end):
                found[result["Id"]] += map(_point, result["Timestamps"], result["Values"])
        return {name: tuple(sorted(points, key=lambda p: p.at)) for name, points in found.items()}

    def alarms(self) -> tuple[AlarmView, ...]:
        """List this environment's alarms by name, those made of others included."""
        found: list[dict[str, Any]] = []
        for kind, key in (("MetricAlarm", "MetricAlarms"), ("CompositeAlarm", "CompositeAlarms")):
            found += self._account.pages(
                "cloudwatch", "DescribeAlarms", key, AlarmNamePrefix=self._prefix, AlarmTypes=[kind]
            )
        views = (self._view(alarm) for alarm in found)
        return tuple(sorted((v for v in views if v is not None), key=lambda v: v.name))

    def changes(self, since: datetime) -> tuple[AlarmChange, ...]:
        """List what alarms have changed since, oldest first."""
        items = self._account.pages(
            "cloudwatch",
            "DescribeAlarmHistory",
            "AlarmHistoryItems",
            # Without types, only metric alarms answer.
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            HistoryItemType="StateUpdate",
            StartDate=since,
            ScanBy="TimestampAscending",
        )
        ours = (i for i in items if i["AlarmName"].startswith(self._prefix) and i["Timestamp"] >= since)
        return tuple(sorted(map(self._change, ours), key=lambda c: c.at))

    def _results(self, asked: list[dict[str, Any]], start: datetime, end: datetime) -> list[dict[str, Any]]:
        results = self._account.pages(
            "cloudwatch",
            "GetMetricData",
            "MetricDataResults",
            MetricDataQueries=asked,
            StartTime=start,
            EndTime=end,
            ScanBy="TimestampAscending",
        )
        # PartialData only says that more pages follow; the last word on a metric may also be that it could not be read.
        broken = next((r for r in results if r.get("StatusCode") in {"InternalError", "Forbidden"}), None)
        if broken is not None:
            raise Unreachable(
                f"CloudWatch could not read metric {broken['Id']}: {broken['StatusCode']}", next="try again in a minute"
            )
        return results

    def _view(self, alarm: dict[str, Any]) -> AlarmView | None:
        actions = alarm.get("AlarmActions", [])
        topics = [arn.rpartition(":")[2] for arn in actions]
        topic = next((t for t in ("critical", "alerts") if self._prefix + t in topics), "")
        if actions and not topic:
            return None  # the prefix of environment `a` is also that of `a-b`
        said = DESCRIPTION.match(alarm.get("AlarmDescription", ""))
        return AlarmView(
            name=alarm["AlarmName"].removeprefix(self._prefix),
            state=alarm["StateValue"],
            since=alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
            says=said["says"] if said else alarm.get("AlarmDescription", ""),
            severity=said["severity"] if said else "",
            runbook=said["runbook"] if said else "",
            topic=topic,
        )

    def _change(self, item: dict[str, Any]) -> AlarmChange:
        # The summary says it too, in words; the data says it in fields.
        told = json.loads(item["HistoryData"])
        return AlarmChange(
            name=item["AlarmName"].removeprefix(self._prefix),
            at=item["Timestamp"],
            before=told["oldState"]["stateValue"],
            after=told["newState"]["stateValue"],
            why=told["newState"].get("stateReason", ""),
        )


def _period(wanted: timedelta, age: timedelta) -> int:
    """Say the period in seconds: the smallest multiple of what is kept at that age that is not finer than wanted."""
    kept = next((step for until, step in KEPT if age < until - MARGIN), COARSEST)
    return math.ceil(wanted / kept) * int(kept.total_seconds())


def _query(query: MetricQuery, seconds: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in sorted(query.dimensions.items())]
    metric = {"Namespace": query.namespace, "MetricName": query.name, "Dimensions": dimensions}
    return {"Id": query.id, "MetricStat": {"Metric": metric, "Period": seconds, "Stat": query.stat}}


def _point(at: datetime, value: float) -> Point:
    return Point(at=at, value=value)
