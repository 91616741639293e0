"""Each alarm of Terraform's module watch, provoked for real: it pages in time, and says so when it is over.

Nothing here puts a point, or an alarm into a state. What is read is what SNS brought to somebody who had confirmed.
What takes a day is in test_alarms_daily.py.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from ratemyunit_ops.twin.inner import call
from tests.twin.driver import CHECKOUT, PRODUCT, raised_stack, wait_until
from tests.twin.ward import EMAIL, Ward

pytestmark = [pytest.mark.twin, pytest.mark.long]

# It would replace the host that is broken on purpose.
PROCESSES = ["HealthCheck", "ReplaceUnhealthy"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with raised_stack("alarms", 9580, tmp_path_factory.mktemp("alarms")) as stack:
        call(stack.site, "confirm", EMAIL)
        (stack.where / "app").symlink_to(CHECKOUT / "app")
        stack.config = stack.settings("app.toml", app=PRODUCT, ready_deadline="PT90S")
        stack.rmu("image", "build", "v1")
        stack.rmu("image", "push", "v1")
        stack.rmu("deploy", "v1", "--yes", patience=900)
        ward = Ward(stack)
        group = {"AutoScalingGroupName": "rmu-twin-hosts", "ScalingProcesses": PROCESSES}
        stack.aws("autoscaling").suspend_processes(**group)
        yield ward
        ward.keep()


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
    with ward.expects("connections-high", "cpu-high", besides=("latency-high", "probe-failing", "errors-of-the-app")):
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
    with ward.expects("queue-stalled", "worker-idle"):
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
