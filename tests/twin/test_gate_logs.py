"""The gate's CloudWatch Logs, alone: what is found, what is counted on arrival, what is forgotten."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratemyunit_ops.errors import Absent, Refused
from ratemyunit_ops.outside.aws.logs import CloudWatchLogs
from ratemyunit_ops.outside.aws.session import Account
from tests.twin.gate_alone import Gate, running_gate

GROUP = "/rmu/test/host"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, Any]]:
    with running_gate(tmp_path_factory.mktemp("gate")) as gate:
        client = gate.client("logs")
        client.create_log_group(logGroupName=GROUP)
        yield gate, client


def say(client: Any, stream: str, *lines: Any, at: float | None = None) -> None:
    known = client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]
    if not known:
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    moment = int((at or time.time()) * 1000)
    events = [{"timestamp": moment, "message": json.dumps(line)} for line in lines]
    client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_events_are_found_by_pattern_stream_and_time_and_told_page_by_page(logs: tuple[Gate, Any]) -> None:
    _, client = logs
    now = time.time()
    say(client, "i-1/host", *({"n": n, "odd": bool(n % 2)} for n in range(5)), at=now - 100)
    say(client, "i-2/host", {"n": 9, "odd": True}, at=now - 50)
    asked = {"logGroupName": GROUP, "startTime": int((now - 200) * 1000), "filterPattern": "{ $.odd IS TRUE }"}

    first = client.filter_log_events(**asked, limit=2)
    rest = client.filter_log_events(**asked, nextToken=first["nextToken"])
    one = client.filter_log_events(**asked, logStreamNamePrefix="i-2")["events"]

    told = [json.loads(event["message"])["n"] for event in first["events"] + rest["events"]]
    assert told == [1, 3, 9]
    assert "nextToken" not in rest
    assert [json.loads(event["message"])["n"] for event in one] == [9]
    assert len({event["eventId"] for event in first["events"] + rest["events"]}) == 3
    asked["endTime"] = int((now - 99) * 1000)
    assert len(client.filter_log_events(**asked)["events"]) == 2


def test_filters_count_on_arrival_by_one_or_by_a_field_and_else_by_their_default(logs: tuple[Gate, Any]) -> None:
    gate, client = logs
    failed = {"metricName": "ProbeFailed", "metricNamespace": "rmu/test", "metricValue": "1", "defaultValue": 0}
    slow = {"metricName": "ProbeMs", "metricNamespace": "rmu/test", "metricValue": "$.ms"}
    put = client.put_metric_filter
    put(logGroupName=GROUP, filterName="f", filterPattern="{ $.event = x }", metricTransformations=[failed])
    pattern = '{ $.event = "probe" && $.ok IS FALSE }'
    put(logGroupName=GROUP, filterName="f", filterPattern=pattern, metricTransformations=[failed])
    put(logGroupName=GROUP, filterName="ms", filterPattern='{ $.event = "probe" }', metricTransformations=[slow])

    say(client, "i-1/probe", {"event": "probe", "ok": True, "ms": 12.5})
    say(client, "i-1/probe", {"event": "probe", "ok": False, "ms": 900}, {"event": "other", "ms": 7})
    say(client, "i-1/probe", {"event": "probe", "ok": True, "ms": None})

    described = client.describe_metric_filters(logGroupName=GROUP)["metricFilters"]
    assert [one["filterPattern"] for one in described if one["filterName"] == "f"] == [pattern]
    assert measured(gate, "ProbeFailed") == {"Sum": 1.0, "SampleCount": 3.0, "Maximum": 1.0}
    assert measured(gate, "ProbeMs") == {"Sum": 912.5, "SampleCount": 2.0, "Maximum": 900.0}


def measured(gate: Gate, name: str) -> dict[str, float]:
    now = datetime.now(UTC)
    times = {"StartTime": now - timedelta(minutes=2), "EndTime": now + timedelta(minutes=1), "Period": 300}
    statistics = ["Sum", "SampleCount", "Maximum"]
    answer = gate.client("cloudwatch").get_metric_statistics(
        Namespace="rmu/test", MetricName=name, Statistics=statistics, **times
    )
    points = answer["Datapoints"]
    sums = {s: sum(p[s] for p in points) for s in ("Sum", "SampleCount")}
    return {**sums, "Maximum": max(p["Maximum"] for p in points)}


def test_a_pattern_that_aws_would_not_take_is_refused(logs: tuple[Gate, Any]) -> None:
    _, client = logs
    made = [{"metricName": "x", "metricNamespace": "rmu/test", "metricValue": "1"}]

    with pytest.raises(ClientError, match="InvalidParameter"):
        client.put_metric_filter(
            logGroupName=GROUP, filterName="bad", filterPattern="{ $.x = }", metricTransformations=made
        )
    with pytest.raises(ClientError, match="InvalidParameter"):
        client.filter_log_events(logGroupName=GROUP, filterPattern="{ $.x")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.filter_log_events(logGroupName="/rmu/test/nowhere")


def test_what_is_kept_is_bounded_and_the_newest_stay(logs: tuple[Gate, Any]) -> None:
    _, client = logs
    start = int(time.time() * 1000)
    for batch in range(6):
        say(client, "i-3/busy", *({"busy": batch * 1000 + n} for n in range(1000)))

    found: list[int] = []
    asked = {"logGroupName": GROUP, "startTime": start, "logStreamNamePrefix": "i-3/"}
    for page in client.get_paginator("filter_log_events").paginate(**asked):
        found += [json.loads(event["message"])["busy"] for event in page["events"]]

    assert sorted(found) == list(range(1000, 6000))


def test_what_the_retention_no_longer_holds_is_gone(logs: tuple[Gate, Any]) -> None:
    _, client = logs
    old = time.time() - 2 * 86_400
    say(client, "i-4/old", {"old": 1}, at=old)
    client.put_retention_policy(logGroupName=GROUP, retentionInDays=1)

    say(client, "i-4/old", {"old": 2})

    answer = client.filter_log_events(logGroupName=GROUP, filterPattern="{ $.old > 0 }", startTime=int(old * 1000) - 1)
    assert [json.loads(event["message"])["old"] for event in answer["events"]] == [2]


def test_a_databases_log_finds_its_group_made(logs: tuple[Gate, Any]) -> None:
    gate, client = logs
    line = "2026-11-27 06:00:00 UTC:10.0.0.1(1):rmu_app@ratemyunit:[7]:LOG:  duration: 12 ms /*request_id='abc-12345'*/"
    event = {"timestamp": int(time.time() * 1000), "message": line}

    gate.call("/twin/rds-log", {"region": "us-east-1", "id": "rmu-test-db-1", "events": [event]})

    group = "/aws/rds/instance/rmu-test-db-1/postgresql"
    found = client.filter_log_events(logGroupName=group, filterPattern="\"'abc-12345'\"")["events"]
    assert [(one["logStreamName"], one["message"]) for one in found] == [("rmu-test-db-1.0", line)]


def test_the_port_reads_page_by_page_and_knows_every_database_that_ever_logged(logs: tuple[Gate, Any]) -> None:
    gate, client = logs
    account = Account(region="us-east-1", endpoint=gate.url, access_key="twin", secret="twin")
    port = CloudWatchLogs(account, "test")
    client.create_log_group(logGroupName="/rmu/test/host-of-another")
    now = datetime.now(UTC)
    for first in (0, 450):
        say(client, "i-5/host", *({"page": n, "pad": "x" * 2000} for n in range(first, first + 450)))
    for id in ("rmu-test-db-1", "rmu-test-r7", "rmu-test2-db-1"):
        event = {"timestamp": int(time.time() * 1000), "message": f"said by {id}"}
        gate.call("/twin/rds-log", {"region": "us-east-1", "id": id, "events": [event]})
    times = {"start": now - timedelta(minutes=1), "end": now + timedelta(minutes=1)}

    pages = [json.loads(line.text)["page"] for line in port.lines(["host"], host="i-5", **times)]
    said = {line.text for line in port.lines(["database"], pattern='"said by"', **times)}

    assert pages == list(range(900))
    assert said == {"said by rmu-test-db-1", "said by rmu-test-r7"}
    with pytest.raises(Absent):
        port.lines(["proxy"], **times)
    with pytest.raises(Refused, match="InvalidParameter"):
        port.lines(["host"], pattern="{ $.x", **times)
