"""The gate's CloudWatch, SNS, EventBridge and Scheduler, alone on loopback: from a point to what somebody is brought.

Points are put here, by the test as the agent or the meters; on machines they are measured (test_alarms.py).
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.gate_alone import Gate, running_gate

TEN = 10


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with running_gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


class Desk:
    """A topic with somebody at it who has confirmed, and what was brought there."""

    def __init__(self, gate: Gate, name: str) -> None:
        self.gate = gate
        self.sns = gate.client("sns")
        self.name = name
        self.topic = self.sns.create_topic(Name=name)["TopicArn"]
        self.sns.set_topic_attributes(TopicArn=self.topic, AttributeName="Policy", AttributeValue=self.policy())
        self.email = f"{name}@example.org"
        self.sns.subscribe(TopicArn=self.topic, Protocol="email", Endpoint=self.email)
        gate.call("/twin/confirm", self.email)

    def policy(self, *services: str) -> str:
        allowed = services or ("cloudwatch.amazonaws.com", "events.amazonaws.com")
        statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": self.topic}
        return json.dumps({"Statement": [{**statement, "Principal": {"Service": list(allowed)}}]})

    def brought(self) -> list[dict[str, Any]]:
        return [one for one in self.gate.call("/twin/deliveries") if one["endpoint"] == self.email]


@pytest.fixture
def desk(gate: Gate, request: pytest.FixtureRequest) -> Desk:
    return Desk(gate, re.sub(r"\W", "-", request.node.name)[5:85])


def wait_for(look: Callable[[], Any], seconds: float = 15.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)
    return found


def alarm(gate: Gate, name: str, topic: str, **more: Any) -> Any:
    """Put an alarm on a metric of its own that is above 5 in one of one windows of ten seconds."""
    watch = gate.client("cloudwatch")
    terms = {
        "Namespace": "Test",
        "MetricName": name,
        "Statistic": "Maximum",
        "Period": TEN,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **more,
    }
    terms = {key: value for key, value in terms.items() if value is not None}
    says = "Too much. severity: SEV-2. next: rmu runbook run x --env twin"
    watch.put_metric_alarm(AlarmName=name, AlarmDescription=says, AlarmActions=[topic], OKActions=[topic], **terms)
    return watch


def put(gate: Gate, name: str, value: float, ago: float = 8.0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    datum = {"MetricName": name, "Value": value, "Timestamp": at}
    gate.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[datum])


def state(watch: Any, name: str) -> str:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    found = watch.describe_alarms(AlarmNames=[name], AlarmTypes=kinds)
    return str([*found["MetricAlarms"], *found["CompositeAlarms"]][0]["StateValue"])


def test_a_point_above_the_threshold_brings_a_page_and_one_below_the_all_clear(gate: Gate, desk: Desk) -> None:
    watch = alarm(gate, "paged", desk.topic)
    wait_for(lambda: state(watch, "paged") == "OK")

    put(gate, "paged", 9.0)
    wait_for(lambda: state(watch, "paged") == "ALARM")
    put(gate, "paged", 1.0, ago=0.0)
    wait_for(lambda: state(watch, "paged") == "OK")

    fine, page, clear = (json.loads(one["message"]) for one in desk.brought())
    assert desk.brought()[1]["subject"] == 'ALARM: "paged" in US East (N. Virginia)'
    assert (fine["NewStateValue"], fine["OldStateValue"]) == ("OK", "INSUFFICIENT_DATA")
    assert (page["NewStateValue"], page["OldStateValue"], page["AlarmName"]) == ("ALARM", "OK", "paged")
    assert page["Trigger"]["Threshold"] == 5.0 and page["Trigger"]["Period"] == TEN
    assert page["NewStateReason"].startswith("Threshold Crossed: 1 datapoint [9] was greater than the threshold (5)")
    assert "next: rmu runbook run x" in page["AlarmDescription"]
    assert clear["NewStateValue"] == "OK"
    updates = watch.describe_alarm_history(AlarmName="paged", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    told = [json.loads(one["HistoryData"]) for one in updates]
    assert [one["newState"]["stateValue"] for one in told] == ["OK", "ALARM", "OK"]
    actions = watch.describe_alarm_history(AlarmName="paged", HistoryItemType="Action")["AlarmHistoryItems"]
    assert all(one["HistorySummary"].startswith("Successfully executed action") for one in actions)


def test_who_has_not_confirmed_gets_nothing(gate: Gate, desk: Desk) -> None:
    answer = desk.sns.subscribe(TopicArn=desk.topic, Protocol="email", Endpoint="asleep@example.org")

    desk.sns.publish(TopicArn=desk.topic, Subject="one", Message="before")
    listed = desk.sns.list_subscriptions_by_topic(TopicArn=desk.topic)["Subscriptions"]
    gate.call("/twin/confirm", "asleep@example.org")
    desk.sns.publish(TopicArn=desk.topic, Subject="two", Message="after")

    brought = [one for one in gate.call("/twin/deliveries") if one["endpoint"] == "asleep@example.org"]
    assert answer["SubscriptionArn"] == "pending confirmation"
    assert [one["SubscriptionArn"] for one in listed if one["Endpoint"].startswith("asleep")] == ["PendingConfirmation"]
    assert [one["subject"] for one in brought] == ["two"]
    assert [one["subject"] for one in desk.brought()] == ["one", "two"]


def test_a_topic_whose_policy_names_nobody_is_not_told_and_history_says_why(gate: Gate, desk: Desk) -> None:
    policy = desk.policy("events.amazonaws.com")
    desk.sns.set_topic_attributes(TopicArn=desk.topic, AttributeName="Policy", AttributeValue=policy)
    watch = alarm(gate, "mute", desk.topic)

    watch.set_alarm_state(AlarmName="mute", StateValue="ALARM", StateReason="a test")

    [*_, action] = watch.describe_alarm_history(AlarmName="mute", HistoryItemType="Action")["AlarmHistoryItems"]
    assert "does not let cloudwatch.amazonaws.com publish" in action["HistorySummary"]
    assert desk.brought() == []


def test_a_topic_as_it_is_born_hears_alarms_and_not_eventbridge(gate: Gate) -> None:
    sns, email = gate.client("sns"), "newborn@example.org"
    topic = sns.create_topic(Name="newborn")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=email)
    gate.call("/twin/confirm", email)
    events = rule(gate, "to-newborn", {"source": ["newborn"]}, {"Arn": topic})
    watch = alarm(gate, "newborn", topic)

    events.put_events(Entries=[{"Source": "newborn", "DetailType": "x", "Detail": "{}"}])
    watch.set_alarm_state(AlarmName="newborn", StateValue="ALARM", StateReason="a test")

    told = gate.call("/twin/deliveries")
    assert [one["source"] for one in told if one["endpoint"] == email] == ["newborn"]
    assert [one["status"] for one in told if one["source"] == "to-newborn"] == [
        f"failed: the policy of {topic} does not let events.amazonaws.com publish"
    ]


def test_silence_is_breaching_where_the_alarm_says_so_and_math_fills_it_at_once(gate: Gate, desk: Desk) -> None:
    metric = {"Namespace": "Test", "MetricName": "beats"}
    queries = [
        {"Id": "m1", "MetricStat": {"Metric": metric, "Period": TEN, "Stat": "SampleCount"}, "ReturnData": False},
        {"Id": "silent", "Expression": "IF(FILL(m1, 0) < 1, 1, 0)", "ReturnData": True},
    ]
    plain = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))
    wanted = {"Threshold": 0, "EvaluationPeriods": 2, "TreatMissingData": "breaching"}
    watch = alarm(gate, "silent", desk.topic, **plain, Metrics=queries, **wanted)
    alarm(gate, "quiet", desk.topic, TreatMissingData="breaching", MetricName="never")

    wait_for(lambda: state(watch, "silent") == "ALARM" and state(watch, "quiet") == "ALARM")
    for ago in (5, 8, 15, 18, 25):
        put(gate, "beats", 1.0, ago)

    wait_for(lambda: state(watch, "silent") == "OK")


def test_cpu_credits_are_earned_and_spent_by_what_a_machine_uses(gate: Gate) -> None:
    host = gate.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="t3.small")
    id, watch = host["Instances"][0]["InstanceId"], gate.client("cloudwatch")
    named = {"InstanceId": id}

    def balance(**used: Any) -> float:
        point = {"region": "us-east-1", "namespace": "AWS/EC2", "name": "CPUUtilization", "dimensions": named, **used}
        gate.call("/twin/measured", [point])
        at = datetime.fromtimestamp(used["at"], UTC)
        found = watch.get_metric_statistics(
            Namespace="AWS/EC2",
            MetricName="CPUCreditBalance",
            Dimensions=[{"Name": "InstanceId", "Value": id}],
            StartTime=at - timedelta(seconds=5),
            EndTime=at + timedelta(seconds=5),
            Period=TEN,
            Statistics=["Minimum"],
        )
        return float(min(one["Minimum"] for one in found["Datapoints"]))

    now = time.time() // TEN * TEN - 300
    rested, busy = balance(value=0.0, at=now), balance(value=100.0, at=now + 30)
    gate.call("/twin/credits-spent", id)
    spent = balance(value=100.0, at=now + 60)
    gate.call("/twin/credits-back", id)

    assert (rested, busy, spent) == (576.0, 575.2, 0.0)
    assert balance(value=0.0, at=now + 90) == 576.0


def test_a_composite_alarm_follows_its_parts(gate: Gate, desk: Desk) -> None:
    watch = alarm(gate, "long", desk.topic, ActionsEnabled=False)
    alarm(gate, "short", desk.topic, ActionsEnabled=False)
    watch.put_composite_alarm(
        AlarmName="burning", AlarmRule='ALARM("long") AND ALARM("short")', AlarmActions=[desk.topic]
    )

    put(gate, "long", 9.0)
    wait_for(lambda: state(watch, "long") == "ALARM")
    alone = state(watch, "burning")
    put(gate, "long", 9.0)
    put(gate, "short", 9.0)

    wait_for(lambda: state(watch, "burning") == "ALARM")
    kinds = ["CompositeAlarm"]
    [change, *_] = watch.describe_alarm_history(AlarmName="burning", AlarmTypes=kinds, HistoryItemType="StateUpdate")[
        "AlarmHistoryItems"
    ]
    assert alone == "OK"
    assert watch.describe_alarms(AlarmNames=["burning"])["MetricAlarms"] == []
    assert change["HistorySummary"] == "Alarm updated from OK to ALARM"
    assert [json.loads(one["message"])["AlarmName"] for one in desk.brought()] == ["burning"]


@pytest.mark.parametrize(
    ("math", "says"),
    [
        ([("e", "m1 +", True)], "ends too early"),
        ([("e", "m9 * 2", True)], "m9 undefined"),
        ([("e", "m1 * 2", True), ("f", "m1", True)], "Exactly one element"),
    ],
)
def test_metric_math_that_means_nothing_is_refused(
    gate: Gate, desk: Desk, math: list[tuple[str, str, bool]], says: str
) -> None:
    stat = {"Metric": {"Namespace": "Test", "MetricName": "x"}, "Period": 60, "Stat": "Sum"}
    queries: list[dict[str, Any]] = [{"Id": "m1", "MetricStat": stat, "ReturnData": False}]
    queries += [{"Id": id, "Expression": text, "ReturnData": shown} for id, text, shown in math]
    plain = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))

    with pytest.raises(ClientError, match=says):
        alarm(gate, "nonsense", desk.topic, **plain, Metrics=queries)

    assert gate.client("cloudwatch").describe_alarms(AlarmNames=["nonsense"])["MetricAlarms"] == []


def test_metrics_are_read_back_with_percentiles_and_math(gate: Gate) -> None:
    watch = gate.client("cloudwatch")
    now = datetime.now(UTC).replace(microsecond=0)
    start = now - timedelta(seconds=now.timestamp() % 60 + 120)
    values = [{"MetricName": "ms", "Value": float(n), "Timestamp": start + timedelta(seconds=n)} for n in range(1, 101)]
    watch.put_metric_data(Namespace="Read", MetricData=values)
    end = start + timedelta(seconds=120)

    window = {"Namespace": "Read", "MetricName": "ms", "StartTime": start, "EndTime": end}
    points = watch.get_metric_statistics(**window, Period=60, Statistics=["Sum", "SampleCount"])["Datapoints"]
    p95 = watch.get_metric_statistics(**window, Period=120, ExtendedStatistics=["p95"])["Datapoints"]
    stat = {"Metric": {"Namespace": "Read", "MetricName": "ms"}, "Period": 60, "Stat": "Sum"}
    queries = [
        {"Id": "m1", "MetricStat": stat, "ReturnData": False},
        {"Id": "half", "Expression": "m1 / 2", "Label": "half of it"},
    ]
    [half] = watch.get_metric_data(
        MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
    )["MetricDataResults"]

    assert [(one["Sum"], one["SampleCount"]) for one in points] == [(1770.0, 59.0), (3280.0, 41.0)]
    assert sum(one["ExtendedStatistics"]["p95"] for one in p95) >= 95
    assert half["Label"] == "half of it" and half["Values"] == [885.0, 1640.0]
    assert half["Timestamps"] == [start, start + timedelta(seconds=60)]
    assert [one["MetricName"] for one in watch.list_metrics(Namespace="Read")["Metrics"]] == ["ms"]


def rule(gate: Gate, name: str, pattern: dict[str, Any], *targets: dict[str, Any]) -> Any:
    events = gate.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": str(at), **one} for at, one in enumerate(targets)])
    return events


def destination(gate: Gate, name: str) -> str:
    events = gate.client("events")
    key = {"ApiKeyName": "X-Token", "ApiKeyValue": "secret"}
    connection = events.create_connection(
        Name=name, AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": key}
    )
    return str(
        events.create_api_destination(
            Name=name,
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint="http://127.0.0.1:9/hook",
            HttpMethod="POST",
        )["ApiDestinationArn"]
    )


def handed(gate: Gate, word: str) -> list[dict[str, Any]]:
    return [one for one in gate.call("/twin/outbox") if word in one["body"]]


def test_an_alarms_change_becomes_an_event_for_a_topic_a_log_group_and_a_webhook(gate: Gate, desk: Desk) -> None:
    logs = gate.client("logs")
    logs.create_log_group(logGroupName="/rmu/twin/events")
    admit(logs, "/rmu/twin/events", {})
    text = {"InputPathsMap": {"name": "$.detail.alarmName", "why": "$.detail.state.reason"}}
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "resources": [{"prefix": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:event-"}],
        "detail": {"state": {"value": ["ALARM"]}},
    }
    rule(
        gate,
        "told",
        pattern,
        {"Arn": desk.topic, "InputTransformer": {**text, "InputTemplate": '"<name> speaks: <why>"'}},
        {"Arn": "arn:aws:logs:us-east-1:123456789012:log-group:/rmu/twin/events"},
        {
            "Arn": destination(gate, "slack"),
            "RoleArn": "arn:aws:iam::123456789012:role/x",
            "InputTransformer": {**text, "InputTemplate": '{"text": "<name> \\"now\\"", "why": <why>}'},
            "HttpParameters": {"HeaderParameters": {"X-More": "1"}},
        },
    )
    watch = alarm(gate, "event-one", desk.topic, ActionsEnabled=False)

    watch.set_alarm_state(AlarmName="event-one", StateValue="ALARM", StateReason='a "test"')

    [post] = handed(gate, "event-one")
    assert [one["message"] for one in desk.brought()] == ['"event-one speaks: a "test""']  # nothing escapes it
    assert post["headers"]["X-Token"] == "secret" and post["headers"]["X-More"] == "1"
    assert json.loads(post["body"]) == {"text": 'event-one "now"', "why": 'a "test"'}
    lines = logs.filter_log_events(logGroupName="/rmu/twin/events")["events"]
    event = json.loads(lines[0]["message"])
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == "event-one"


def test_a_log_group_whose_policy_bounds_the_making_of_streams_gets_no_event(gate: Gate, desk: Desk) -> None:
    logs, groups = gate.client("logs"), ("/rmu/bounded", "/rmu/closed")
    for group in groups:
        logs.create_log_group(logGroupName=group)
    admit(logs, "/rmu/bounded", {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}})
    targets = [{"Arn": f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"} for group in groups]
    rule(gate, "to-groups", {"source": ["bounded"]}, *targets)

    gate.client("events").put_events(Entries=[{"Source": "bounded", "DetailType": "x", "Detail": "{}"}])

    told = [one["status"] for one in gate.call("/twin/deliveries") if one["source"] == "to-groups"]
    assert told == [f"failed: no policy lets events.amazonaws.com CreateLogStream in {group}" for group in groups]


def admit(logs: Any, group: str, bounds: dict[str, Any]) -> None:
    """Let EventBridge write into a group, within these bounds."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*",
        **bounds,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    logs.put_resource_policy(policyName=group.replace("/", "-")[1:], policyDocument=policy)


def test_a_finished_backup_is_an_event(gate: Gate, desk: Desk) -> None:
    who = {"InputPathsMap": {"what": "$.detail-type", "id": "$.detail.EventID"}, "InputTemplate": '"<what> <id>"'}
    rule(
        gate,
        "databases",
        {"source": ["aws.rds"], "detail": {"SourceIdentifier": [{"prefix": "told-"}]}},
        {"Arn": desk.topic, "InputTransformer": who},
    )
    made = gate.client("rds").create_db_instance(
        DBInstanceIdentifier="told-db",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17.5",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword="not-so-secret",
    )["DBInstance"]

    for status in ("backing-up", "available", "backing-up", "available"):
        gate.seen(databases={"told-db": status}, obeyed={"told-db": 99})
    for _ in ("told", "told again"):
        gate.seen(bases={made["DbiResourceId"]: [{"name": "first", "ended": 1, "damaged": False}]})

    told = [one["message"].rpartition(" ")[2] for one in desk.brought()]
    assert told == ["RDS-EVENT-0005", "RDS-EVENT-0002"]


@pytest.mark.long
def test_a_webhook_that_is_down_is_tried_again_and_one_that_refuses_is_not(gate: Gate) -> None:
    arn = destination(gate, "hooks")
    target = {"Arn": arn, "RoleArn": "arn:aws:iam::123456789012:role/x"}
    events = rule(gate, "hooked", {"source": ["rmu"], "detail": {"environment": ["twin"]}}, target)
    for word in ("lost", "refused"):
        detail = json.dumps({"environment": "twin", "word": word})
        events.put_events(Entries=[{"Source": "rmu", "DetailType": "incident", "Detail": detail}])
    events.put_events(Entries=[{"Source": "rmu", "DetailType": "incident", "Detail": '{"environment": "other"}'}])

    def answered(post: dict[str, Any], status: int) -> None:
        gate.call("/twin/posted", {"number": post["number"], "status": status})

    lost, refused = handed(gate, '"word": "')
    answered(lost, 503)
    answered(refused, 400)
    for status in (0, 200):
        [again] = wait_for(lambda: handed(gate, '"word": "'))
        answered(again, status)

    told = {
        json.loads(one["message"])["detail"]["word"]: one
        for one in gate.call("/twin/deliveries")
        if one["source"] == "hooked"
    }
    assert (told["lost"]["status"], told["lost"]["tries"]) == ("delivered", 3)
    assert told["refused"]["status"] == "given up after 1: 400"


def test_a_schedule_fires_once_and_one_that_was_deleted_never(gate: Gate, desk: Desk) -> None:
    scheduler = gate.client("scheduler")
    soon = datetime.now(UTC) + timedelta(seconds=3)

    def schedule(name: str, expression: str, **more: Any) -> None:
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": desk.topic, "RoleArn": "arn:aws:iam::123456789012:role/x", "Input": name},
            **more,
        )

    schedule("once", f"at({soon:%Y-%m-%dT%H:%M:%S})", ActionAfterCompletion="DELETE")
    schedule("called-off", f"at({soon:%Y-%m-%dT%H:%M:%S})")
    schedule("from-then-on", "rate(15 minutes)", StartDate=soon, EndDate=soon + timedelta(hours=24))
    schedule("far", "rate(7 days)", StartDate=soon + timedelta(days=90))
    scheduler.delete_schedule(Name="called-off")
    before = desk.brought()
    wait_for(lambda: len(desk.brought()) == 2 and len(scheduler.list_schedules()["Schedules"]) == 2)

    assert before == []
    assert sorted(one["message"] for one in desk.brought()) == ["from-then-on", "once"]
    left = [one["Name"] for one in scheduler.list_schedules()["Schedules"]]
    assert sorted(left) == ["far", "from-then-on"]


def test_days_that_pass_let_a_schedule_fire_and_the_next_ones_a_week_later(gate: Gate, desk: Desk) -> None:
    gate.client("scheduler").create_schedule(
        Name="in-a-quarter",
        ScheduleExpression="rate(7 days)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": desk.topic, "RoleArn": "arn:aws:iam::123456789012:role/x", "Input": "overdue"},
        StartDate=datetime.now(UTC) + timedelta(days=91),
    )
    told = []
    try:
        for days in (90, 92, 97, 99):
            gate.call("/twin/rds-knobs", {"days_ahead": days})
            time.sleep(2.5)
            told.append(len(desk.brought()))
    finally:
        gate.call("/twin/rds-knobs", {"days_ahead": 0})

    assert told == [0, 1, 1, 2]


def test_healthy_targets_and_a_certificates_days_are_measured_by_the_record_itself(gate: Gate) -> None:
    gate.client("acm").request_certificate(DomainName="example.org")
    watch = gate.client("cloudwatch")

    def days() -> list[float]:
        [metric] = watch.list_metrics(Namespace="AWS/CertificateManager")["Metrics"] or [None]
        if metric is None:
            return []
        now = datetime.now(UTC)
        points = watch.get_metric_statistics(
            Namespace="AWS/CertificateManager",
            MetricName="DaysToExpiry",
            Dimensions=metric["Dimensions"],
            StartTime=now - timedelta(minutes=1),
            EndTime=now,
            Period=60,
            Statistics=["Minimum"],
        )
        return [one["Minimum"] for one in points["Datapoints"]]

    [left] = wait_for(days)[:1]

    assert 360 < left <= 395
    gate.call("/twin/rds-knobs", {"days_ahead": 300})
    try:
        assert wait_for(lambda: min(days()) < left - 299) and min(days()) == left - 300
    finally:
        gate.call("/twin/rds-knobs", {"days_ahead": 0})
