"""Compiled burn-rate alarms before the gate's CloudWatch, alone on loopback, read back through the port `Metrics`.

Points are put here, by the test as the balancer; windows are a sixtieth as long, as on the twin.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.burning import compiled
from ratemyunit_ops.model import AlarmView, MetricQuery
from ratemyunit_ops.objectives import read_objectives
from ratemyunit_ops.outside.aws.metrics import CloudWatchMetrics
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.clock import SystemClock
from tests.twin.gate_alone import Gate, running_gate

ENV = "burns"
ELB = "AWS/ApplicationELB"
BALANCER = [{"Name": "LoadBalancer", "Value": "app/rmu-burns/1"}]
OBJECTIVES = {o.name: o for o in read_objectives(Path(__file__).parents[2] / "terraform" / "slo.yaml")}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with running_gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


@pytest.fixture
def metrics(gate: Gate) -> CloudWatchMetrics:
    account = Account(region="us-east-1", endpoint=gate.url, access_key="twin", secret="twin")
    return CloudWatchMetrics(account, ENV, SystemClock())


def measured(watch: Any, name: str, value: float, *, ago: float) -> None:
    """Let the balancer have counted something."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    datum = {"MetricName": name, "Dimensions": BALANCER, "Value": value, "Timestamp": at}
    watch.put_metric_data(Namespace=ELB, MetricData=[datum])


def put_alarms(watch: Any, topic: str, alarms: dict[str, Any]) -> None:
    """Put compiled alarms as module `watch` does."""
    for name, window in alarms["windows"].items():
        watch.put_metric_alarm(
            AlarmName=f"rmu-{ENV}-{name}",
            AlarmDescription=window["says"],
            Metrics=[query(one, window["period"]) for one in window["queries"]],
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0,
            EvaluationPeriods=1,
            DatapointsToAlarm=1,
            TreatMissingData="notBreaching",
        )
    for name, alarm in alarms["alarms"].items():
        pairs = [" AND ".join(f'ALARM("rmu-{ENV}-{one}")' for one in pair) for pair in alarm["any_of"]]
        watch.put_composite_alarm(
            AlarmName=f"rmu-{ENV}-{name}",
            AlarmRule=" OR ".join(f"({pair})" for pair in pairs),
            AlarmDescription=f"{alarm['says']}. severity: {alarm['severity']}. "
            f"next: rmu runbook run {alarm['runbook']} --env {ENV}",
            AlarmActions=[topic],
        )


def query(one: dict[str, Any], period: int) -> dict[str, Any]:
    """Write one query of a window as PutMetricAlarm takes it."""
    asked = {"Id": one["id"], "ReturnData": one.get("returns", False)}
    if "expression" in one:
        return {**asked, "Expression": one["expression"]}
    dimensions = BALANCER if one["of"] == "balancer" else []
    metric = {"Namespace": one.get("namespace", f"rmu/{ENV}"), "MetricName": one["metric"], "Dimensions": dimensions}
    return {**asked, "MetricStat": {"Metric": metric, "Period": period, "Stat": one["stat"]}}


@pytest.mark.long
def test_a_burning_budget_fires_its_composite_and_nothing_else_and_clears(
    gate: Gate, metrics: CloudWatchMetrics
) -> None:
    began, watch = datetime.now(UTC) - timedelta(seconds=1), gate.client("cloudwatch")
    topic = gate.client("sns").create_topic(Name=f"rmu-{ENV}-critical")["TopicArn"]
    put_alarms(watch, topic, compiled([OBJECTIVES["availability"]], speed=60))

    def burn() -> None:
        measured(watch, "RequestCount", 10, ago=2)
        measured(watch, "HTTPCode_Target_5XX_Count", 5, ago=2)

    fired = wait_for(metrics, "slo-availability-fast", "ALARM", meanwhile=burn)
    cleared = wait_for(metrics, "slo-availability-fast", "OK")

    assert (fired.topic, fired.severity, fired.runbook) == ("critical", "SEV-1", "host-unresponsive")
    assert fired.says.startswith("Objective availability (the front door answers) spends its 30d budget at 14.4x")
    assert cleared.since > fired.since
    parts = [a for a in metrics.alarms() if a.name.count("x-")]
    assert len(parts) == 8 and {a.topic for a in parts} == {""}
    told = [(c.before, c.after) for c in metrics.changes(began) if c.name == "slo-availability-fast"]
    assert told[-2:] == [("OK", "ALARM"), ("ALARM", "OK")]


def wait_for(
    metrics: CloudWatchMetrics, name: str, state: str, *, meanwhile: Callable[[], object] = lambda: None
) -> AlarmView:
    """Wait for an alarm; windows of a minute and more move on once a minute."""
    until = time.monotonic() + 100
    while True:
        meanwhile()
        found = next(a for a in metrics.alarms() if a.name == name)
        if found.state == state:
            return found
        assert time.monotonic() < until, f"{name} never was {state}"
        time.sleep(1)


def test_points_come_by_query_oldest_first_and_old_ones_coarsely(gate: Gate, metrics: CloudWatchMetrics) -> None:
    watch, now = gate.client("cloudwatch"), datetime.now(UTC)
    for minutes in (3, 2, 2):
        measured(watch, "Points", 4, ago=minutes * 60)
    here = {"LoadBalancer": "app/rmu-burns/1"}
    asked = [
        MetricQuery(id="sum", namespace=ELB, name="Points", dimensions=here),
        MetricQuery(id="count", namespace=ELB, name="Points", stat="SampleCount", dimensions=here),
        MetricQuery(id="none", namespace=ELB, name="Points"),
    ]
    minute = timedelta(minutes=1)

    fine = metrics.data(asked, start=now - 10 * minute, end=now, period=minute)
    coarse = metrics.data(asked, start=now - timedelta(days=20), end=now, period=minute)

    assert [p.value for p in fine["sum"]] == [4, 8] and fine["sum"][0].at < fine["sum"][1].at
    assert sum(p.value for p in fine["count"]) == 3 and fine["none"] == ()
    assert sum(p.value for p in coarse["sum"]) == 12
    assert all(p.at.minute % 5 == 0 and p.at.second == 0 for p in coarse["sum"])
