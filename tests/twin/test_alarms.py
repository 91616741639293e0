"""Each alarm of Terraform's module watch, provoked for real: it pages in time, and says so when it is over.

Nothing here puts a point, or an alarm into a state. What is read is what SNS brought to somebody who had confirmed.
An alarm's own time is its period, as often as it wants points over the threshold; twice that is in time.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ratemyunit_ops.twin.inner import call
from tests.twin.driver import CHECKOUT, Stack, raised_stack, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]

PREFIX = "rmu-twin-"
EMAIL = "oncall@example.org"
# What is measured every 5 s, shipped, and judged on windows that move on every 10 s, is so late.
LATE = 15.0
# It would replace the host that is broken on purpose.
PROCESSES = ["HealthCheck", "ReplaceUnhealthy"]


class Ward:
    """A stack whose alarms are all quiet, and the one who is paged."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.took: dict[str, float] = {}

    def alarms(self) -> dict[str, dict[str, Any]]:
        kinds = ["MetricAlarm", "CompositeAlarm"]
        pages = self.stack.aws("cloudwatch").get_paginator("describe_alarms").paginate(AlarmTypes=kinds)
        found = [one for page in pages for one in (*page["MetricAlarms"], *page["CompositeAlarms"])]
        return {one["AlarmName"].removeprefix(PREFIX): one for one in found}

    def red(self) -> set[str]:
        """Name the alarms that fire; objectives look back for hours, and remember each of these tests."""
        red = {name for name, one in self.alarms().items() if one["StateValue"] == "ALARM"}
        return {name for name in red if not name.startswith("slo-")}

    def in_time(self, name: str) -> float:
        alarm = self.alarms()[name]
        period = alarm.get("Period") or max(
            one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one
        )
        points = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
        return float(2 * points * period + LATE)

    def told(self, state: str, since: float) -> dict[str, float]:
        """Answer which alarms said by mail that they are in a state, and when first."""
        found: dict[str, float] = {}
        for one in call(self.stack.site, "deliveries"):
            if one["endpoint"] == EMAIL and one["at"] >= since and one["message"].startswith('{"AlarmName"'):
                message = json.loads(one["message"])
                if message["NewStateValue"] == state:
                    found.setdefault(message["AlarmName"].removeprefix(PREFIX), one["at"])
        return found

    @contextmanager
    def expects(self, *names: str, besides: tuple[str, ...] = (), after: float = 0.0) -> Iterator[None]:
        """Hold the block, which breaks something, to pages in time; what it undoes at its end, to the all-clear.

        `besides` are alarms that may speak too, `after` how long the fault needs to show.
        """
        assert not self.red() & set(names), f"red already: {self.red()}"
        began = time.time()
        with ExitStack() as broken:
            self.broken = broken
            yield
            shows = time.time()
            for name in names:
                patience = self.in_time(name) + after - (time.time() - shows)
                self.took[name] = round(self.page(name, began, patience) - began, 1)
        mended = time.time()
        for name in names:
            wait_until(
                lambda name=name: name in self.told("OK", mended - 1) or name not in self.red(), 120, f"{name} is clear"
            )
        spoke = {one for one in self.told("ALARM", began) if not one.startswith("slo-")}
        assert spoke <= {*names, *besides}, f"nobody expected {spoke - {*names, *besides}}"
        print(json.dumps({"seconds from fault to page": {name: self.took[name] for name in names}}))

    def page(self, name: str, since: float, patience: float) -> float:
        until = time.time() + max(1.0, patience)
        while not (page := self.told("ALARM", since).get(name)):
            late = f"no page of {name} in time: {self.alarms()[name]['StateReason']}"
            assert time.time() < until, late
            time.sleep(0.3)
        return page

    def fault(self, name: str, target: str | None = None) -> None:
        self.broken.enter_context(self.stack.fault(name, target))

    def on_host(self, breaks: str, mends: str) -> None:
        self.broken.callback(self.stack.on_host, mends)
        self.stack.on_host(breaks)

    def traffic(self) -> None:
        """Ask four times a second, and wait for no answer before asking again."""
        over = threading.Event()
        self.broken.callback(over.set)

        def ask() -> None:
            while not over.wait(0.25):
                threading.Thread(
                    target=_get, args=(f"{self.stack.front_door}/api/units?search=a",), daemon=True
                ).start()

        threading.Thread(target=ask, daemon=True).start()


def _get(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=20).read()
    except OSError:
        return


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with raised_stack("alarms", 9580, tmp_path_factory.mktemp("alarms")) as stack:
        call(stack.site, "confirm", EMAIL)
        (stack.where / "app").symlink_to(CHECKOUT / "app")
        stack.config = stack.settings("app.toml", app={"FIXTURE_CATALOGUE": "1"}, ready_deadline="PT90S")
        stack.rmu("image", "build", "v1")
        stack.rmu("image", "push", "v1")
        stack.rmu("deploy", "v1", "--yes")
        ward = Ward(stack)
        group = {"AutoScalingGroupName": "rmu-twin-hosts", "ScalingProcesses": PROCESSES}
        stack.aws("autoscaling").suspend_processes(**group)
        yield ward


@pytest.fixture(autouse=True)
def quiet(ward: Ward) -> None:
    """Begin each test with no alarm red; what a deploy or the test before did may still ring off."""
    wait_until(lambda: not ward.red(), 180, f"quiet; red are {ward.red()}")


def test_a_full_disk_and_a_busy_database_page(ward: Ward) -> None:
    with ward.expects("disk-full", "database-cpu-high", besides=("cpu-high", "latency-high")):
        ward.fault("disk-full")
        ward.fault("postgres-load")


def test_eaten_memory_and_a_full_database_page(ward: Ward) -> None:
    with ward.expects("memory-high", "database-storage-low", besides=("cpu-high",)):
        ward.fault("memory-eaten")
        ward.fault("database-storage-low")


def test_a_busy_host_and_too_many_connections_page(ward: Ward) -> None:
    with ward.expects("cpu-high", "connections-high", besides=("latency-high", "probe-failing", "errors-of-the-app")):
        ward.fault("connections-full")
        ward.fault("cpu-load")


def test_a_dead_agent_and_a_slow_release_page(ward: Ward) -> None:
    agent = "amazon-cloudwatch-agent.service"
    besides = ("probe-failing", "errors-of-the-app", "no-healthy-host")
    with ward.expects("hosts-silent", "latency-high", besides=besides):
        ward.on_host(f"systemctl stop {agent}", f"systemctl start {agent}")
        ward.traffic()
        ward.fault("app-slow")


def test_a_release_that_died_pages_as_the_apps_errors_and_as_a_front_door_that_does_not_answer(ward: Ward) -> None:
    unit = ward.stack.unit("v1")
    besides = ("errors-at-the-balancer", "latency-high")
    with ward.expects("errors-of-the-app", "probe-failing", "no-healthy-host", besides=besides):
        ward.on_host(f"systemctl stop {unit}", f"systemctl start {unit}")
        ward.traffic()


def test_a_dead_proxy_pages_as_the_balancers_errors_and_as_no_healthy_host(ward: Ward) -> None:
    besides = ("probe-failing", "errors-of-the-app", "latency-high")
    with ward.expects("errors-at-the-balancer", "no-healthy-host", besides=besides):
        ward.on_host("systemctl stop haproxy", "systemctl start haproxy")
        ward.traffic()


def test_a_host_off_the_network_pages_as_broken(ward: Ward) -> None:
    besides = ("hosts-silent", "no-healthy-host", "probe-failing", "errors-at-the-balancer")
    with ward.expects("status-check-failed", besides=besides):
        ward.fault("partition")


def test_a_database_that_stands_still_pages_as_silent(ward: Ward) -> None:
    besides = (
        "probe-failing",
        "errors-of-the-app",
        "latency-high",
        "no-healthy-host",
        "queue-stalled",
        "connections-high",
    )
    with ward.expects("database-silent", besides=besides):
        ward.fault("postgres-freeze")


def test_a_worker_that_stands_still_pages_as_a_stalled_queue(ward: Ward) -> None:
    stack = ward.stack
    parameter = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)
    headers = {"Authorization": f"Bearer {parameter['Parameter']['Value']}", "Content-Type": "application/json"}
    wish = json.dumps({"url": "http://127.0.0.1:8080/fixture/catalogue", "university": "Twin"}).encode()
    with ward.expects("queue-stalled", "worker-idle", after=40.0):  # a job is late after 30 s
        ward.fault("worker-stuck")
        request = urllib.request.Request(f"{stack.front_door}/api/admin/scrape", data=wish, headers=headers)
        urllib.request.urlopen(request, timeout=10).read()


def test_every_alarm_but_those_that_take_a_day_has_been_provoked(ward: Ward) -> None:
    day = {"backups-late", "certificate-expiring"}
    named = {name for name in ward.alarms() if not name.startswith("slo-")}

    assert set(ward.took) == named - day, f"of {sorted(named)}"
    for name, alarm in ward.alarms().items():
        if name in ward.took:
            assert "next: rmu runbook run " in alarm["AlarmDescription"]
