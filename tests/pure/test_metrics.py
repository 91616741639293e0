"""The port `Metrics` before answers as CloudWatch gives them; the gate's own: tests/twin/test_gate_slo.py."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

import pytest

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.model import MetricQuery
from ratemyunit_ops.outside.aws.metrics import CloudWatchMetrics
from ratemyunit_ops.outside.aws.session import Account
from tests.fakes.clock import BEGIN, FakeClock

TOPIC = "arn:aws:sns:us-east-1:123456789012:rmu-prod"
SAYS = "The hosts' memory is above 85%. severity: SEV-2. next: rmu runbook run host-unresponsive --env prod"
QUERY = MetricQuery(id="m1", namespace="AWS/EC2", name="CPUUtilization", stat="Average")
MINUTE = timedelta(minutes=1)


class Answers:
    """An account that gives the listings it was given, and keeps what was asked."""

    def __init__(self, **listings: list[dict[str, Any]]) -> None:
        self.listings = listings
        self.asked: list[dict[str, Any]] = []

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        self.asked.append(arguments)
        return self.listings.get(key, [])


def port(answers: Answers) -> CloudWatchMetrics:
    return CloudWatchMetrics(cast(Account, answers), "prod", FakeClock())


def alarm(name: str, says: str = SAYS, topic: str = f"{TOPIC}-alerts") -> dict[str, Any]:
    actions = [topic] if topic else []
    return {
        "AlarmName": name,
        "AlarmDescription": says,
        "AlarmActions": actions,
        "StateValue": "ALARM",
        "StateUpdatedTimestamp": BEGIN,
    }


def test_an_alarm_says_what_is_wrong_how_severe_it_is_and_which_runbook_helps() -> None:
    (seen,) = port(Answers(MetricAlarms=[alarm("rmu-prod-memory-high")])).alarms()

    assert (seen.name, seen.state, seen.topic) == ("memory-high", "ALARM", "alerts")
    assert (seen.says, seen.severity, seen.runbook) == (
        "The hosts' memory is above 85%",
        "SEV-2",
        "host-unresponsive",
    )


def test_an_alarm_of_an_environment_whose_name_begins_like_ours_is_not_ours() -> None:
    theirs = alarm("rmu-prod-x-memory-high", topic=f"{TOPIC}-x-alerts")

    assert port(Answers(MetricAlarms=[theirs])).alarms() == ()


def test_an_alarm_described_by_somebody_else_keeps_their_words() -> None:
    (seen,) = port(Answers(CompositeAlarms=[alarm("rmu-prod-odd", "Look at this", "")])).alarms()

    assert (seen.says, seen.severity, seen.runbook, seen.topic) == ("Look at this", "", "", "")


def test_changes_are_read_from_the_historys_data_oldest_first_and_of_ours_alone() -> None:
    def item(name: str, minutes: int, before: str, after: str) -> dict[str, Any]:
        data = {"oldState": {"stateValue": before}, "newState": {"stateValue": after, "stateReason": "why"}}
        return {"AlarmName": name, "Timestamp": BEGIN + minutes * MINUTE, "HistoryData": json.dumps(data)}

    items = [
        item("rmu-prod-a", 5, "ALARM", "OK"),
        item("rmu-prod-a", 1, "OK", "ALARM"),
        item("other", 2, "OK", "ALARM"),
    ]

    seen = port(Answers(AlarmHistoryItems=items)).changes(BEGIN)

    assert [(c.name, c.before, c.after, c.why) for c in seen] == [
        ("a", "OK", "ALARM", "why"),
        ("a", "ALARM", "OK", "why"),
    ]


@pytest.mark.parametrize(
    ("age", "wanted", "asked"),
    [
        (timedelta(hours=1), timedelta(seconds=10), 10),
        (timedelta(hours=4), timedelta(seconds=10), 60),
        (timedelta(days=14), timedelta(seconds=90), 120),
        (timedelta(days=15), MINUTE, 300),
        (timedelta(days=62), MINUTE, 300),
        (timedelta(days=64), MINUTE, 3600),
        (timedelta(days=64), timedelta(hours=6), 6 * 3600),
    ],
)
def test_no_finer_points_are_asked_for_than_are_kept(age: timedelta, wanted: timedelta, asked: int) -> None:
    answers = Answers()

    port(answers).data([QUERY], start=BEGIN - age, end=BEGIN, period=wanted)

    assert answers.asked[0]["MetricDataQueries"][0]["MetricStat"]["Period"] == asked


def test_points_of_one_metric_on_several_pages_are_one_series() -> None:
    pages = [
        {"Id": "m1", "StatusCode": "PartialData", "Timestamps": [BEGIN], "Values": [1.0]},
        {"Id": "m1", "StatusCode": "Complete", "Timestamps": [BEGIN + MINUTE], "Values": [2.0]},
    ]

    seen = port(Answers(MetricDataResults=pages)).data([QUERY], start=BEGIN, end=BEGIN + 2 * MINUTE, period=MINUTE)

    assert [p.value for p in seen["m1"]] == [1.0, 2.0]


def test_a_metric_that_cloudwatch_failed_to_read_is_no_empty_one() -> None:
    broken = [{"Id": "m1", "StatusCode": "InternalError", "Timestamps": [], "Values": []}]

    with pytest.raises(Unreachable, match="could not read metric m1: InternalError"):
        port(Answers(MetricDataResults=broken)).data([QUERY], start=BEGIN, end=BEGIN + MINUTE, period=MINUTE)


def test_more_queries_than_one_call_takes_are_asked_in_several() -> None:
    answers = Answers()

    found = port(answers).data(
        [QUERY.model_copy(update={"id": f"m{n}"}) for n in range(501)], start=BEGIN, end=BEGIN + MINUTE, period=MINUTE
    )

    assert [len(a["MetricDataQueries"]) for a in answers.asked] == [500, 1] and len(found) == 501
