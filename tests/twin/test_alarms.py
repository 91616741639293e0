"""Each alarm of Terraform's module watch, provoked for real: it pages in time, and says so when it is over.

Nothing here puts a point, or an alarm into a state. What is read is what SNS brought to somebody who had confirmed;
then the mail's runbook is run, and has to name what was broken. What takes a day is in test_alarms_daily.py.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator

import pytest

from ratemyunit_ops.twin.inner import call
from tests.twin.driver import Stack, raised_stack
from tests.twin.ward import DAILY, EMAIL, Ward

pytestmark = [pytest.mark.twin, pytest.mark.long]

# It would replace the host that is broken on purpose.
PROCESSES = ["HealthCheck", "ReplaceUnhealthy"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with raised_stack("alarms", 9580, tmp_path_factory.mktemp("alarms")) as stack:
        call(stack.site, "confirm", EMAIL)
        stack.take_product()
        stack.rmu("image", "build", "v1", patience=900)
        stack.rmu("image", "push", "v1", patience=900)
        stack.rmu("deploy", "v1", "--yes", patience=900)
        ward = Ward(stack)
        group = {"AutoScalingGroupName": "rmu-twin-hosts", "ScalingProcesses": PROCESSES}
        stack.aws("autoscaling").suspend_processes(**group)
        yield ward
        ward.keep()


@pytest.fixture(autouse=True)
def quiet(ward: Ward) -> None:
    """Begin each test with no alarm red, and none on its way."""
    ward.wait_for_quiet()


def test_a_full_disk_and_a_busy_database_page(ward: Ward) -> None:
    besides = ("cpu-high", "latency-high", "probe-silent")
    causes = {"disk-full": "something-else", "database-cpu-high": ("database-busy", "slow-query")}
    with ward.expects("disk-full", "database-cpu-high", causes=causes, besides=besides):
        ward.fault("disk-full")
        ward.fault("postgres-load")


def test_eaten_memory_and_a_full_database_page(ward: Ward) -> None:
    besides = ("cpu-high", "latency-high", "probe-failing", "probe-silent", "errors-of-the-app")
    causes = {"memory-high": ("out-of-memory", "memory-short"), "database-storage-low": "database-full"}
    with ward.expects("memory-high", "database-storage-low", causes=causes, besides=besides):
        ward.fault("memory-eaten")
        ward.fault("database-storage-low")


def test_a_busy_host_and_too_many_connections_page(ward: Ward) -> None:
    besides = ("latency-high", "probe-failing", "probe-silent", "errors-of-the-app")
    causes = {"connections-high": "idle-leak", "cpu-high": "busy"}
    with ward.expects("connections-high", "cpu-high", causes=causes, besides=besides):
        ward.fault("connections-full")
        ward.fault("cpu-load")


def test_a_host_that_has_spent_its_cpu_credits_pages_as_throttled(ward: Ward) -> None:
    besides = ("cpu-high", "latency-high", "probe-failing", "probe-silent", "errors-of-the-app")
    with (
        ward.stack.fault("cpu-load"),
        ward.expects("cpu-throttled", causes={"cpu-throttled": "throttled"}, besides=besides),
    ):
        ward.fault("credits-spent")


def test_a_dead_agent_pages_as_a_silent_host(ward: Ward) -> None:
    agent = "amazon-cloudwatch-agent.service"
    # It ships the lines too, in which the host says how the front door is.
    with ward.expects("hosts-silent", causes={"hosts-silent": "not-reporting"}, besides=("probe-silent",)):
        ward.on_host(f"systemctl stop {agent}", f"systemctl start {agent}")


def test_a_host_that_looks_no_more_pages_as_a_silent_probe(ward: Ward) -> None:
    timer = "rmu-vitals.timer"
    with ward.expects("probe-silent", causes={"probe-silent": "not-looking"}):
        ward.on_host(f"systemctl stop {timer}", f"systemctl start {timer}")


def test_a_slow_release_pages_and_burns_the_objective_of_searches(ward: Ward) -> None:
    besides = ("probe-failing", "errors-of-the-app", "no-healthy-host")
    slo = ("slo-search-fast", "slo-search-slow")
    with ward.expects("latency-high", causes={"latency-high": "slow"}, besides=besides, slo=slo):
        ward.traffic()
        ward.fault("app-slow")


def test_a_release_that_died_pages_as_the_apps_errors_and_as_a_front_door_that_does_not_answer(ward: Ward) -> None:
    unit = ward.stack.unit("v1")
    besides = ("errors-at-the-balancer", "latency-high")
    slo = ("slo-availability-fast", "slo-availability-slow", "slo-errors-fast", "slo-errors-slow")
    names = ("errors-of-the-app", "probe-failing", "no-healthy-host")
    causes = {"errors-of-the-app": "live-dead", "probe-failing": "release-hung", "no-healthy-host": "release-hung"}
    with ward.expects(*names, causes=causes, besides=besides, slo=slo):
        ward.on_host(f"systemctl stop {unit}", f"systemctl start {unit}")
        ward.traffic()


def test_a_dead_proxy_pages_as_the_balancers_errors_and_as_no_healthy_host(ward: Ward) -> None:
    besides = ("probe-failing", "errors-of-the-app", "latency-high")
    causes = {"errors-at-the-balancer": "proxy-dead"}
    with ward.expects("errors-at-the-balancer", "no-healthy-host", causes=causes, besides=besides):
        ward.on_host("systemctl stop haproxy", "systemctl start haproxy")
        ward.traffic()


def test_a_host_off_the_network_pages_as_broken(ward: Ward) -> None:
    besides = ("hosts-silent", "no-healthy-host", "probe-failing", "probe-silent", "errors-at-the-balancer")
    with ward.expects("status-check-failed", causes={"status-check-failed": "frozen"}, besides=besides):
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
    with ward.expects("database-silent", causes={"database-silent": "database-away"}, besides=besides):
        ward.fault("postgres-freeze")


def test_a_worker_that_stands_still_pages_as_a_stalled_queue(ward: Ward) -> None:
    causes = {"queue-stalled": "worker-hung", "worker-idle": "worker-hung"}
    with ward.expects("queue-stalled", "worker-idle", causes=causes):
        ward.fault("worker-stuck")
        scrape(ward.stack, "catalogue")


def test_pages_that_cannot_be_read_burn_the_objective_of_scrapes(ward: Ward) -> None:
    besides = ("queue-stalled", "worker-idle")
    with ward.expects(causes={}, besides=besides, slo=("slo-scrapes-fast", "slo-scrapes-slow")):
        for n in range(20):  # as long as a window of 120 s needs to be judged while that of 10 s is red
            scrape(ward.stack, f"nothing-{n}")
            time.sleep(5)


def test_every_alarm_but_those_that_take_a_day_has_been_provoked(ward: Ward) -> None:
    alarms = {name: one for name, one in ward.alarms().items() if not window(name)}
    objectives = {name for name in alarms if name.startswith("slo-")}

    assert set(ward.took) == alarms.keys() - objectives - DAILY, f"of {sorted(alarms)}"
    assert None not in ward.took.values(), ward.took
    assert ward.burnt == objectives
    for name in ward.took.keys() | objectives:
        assert "next: rmu runbook run " in alarms[name]["AlarmDescription"]


def scrape(stack: Stack, page: str) -> None:
    """Let a page of the product's own fixture be scraped, or one that it does not have."""
    parameter = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)
    headers = {"Authorization": f"Bearer {parameter['Parameter']['Value']}", "Content-Type": "application/json"}
    wish = json.dumps({"url": f"http://127.0.0.1:8080/fixture/{page}", "university": "Twin"}).encode()
    request = urllib.request.Request(f"{stack.front_door}/api/admin/scrape", data=wish, headers=headers)
    urllib.request.urlopen(request, timeout=10).read()


def window(name: str) -> bool:
    """Tell whether an alarm is a window of an objective, which tells nobody."""
    return name.startswith("slo-") and not name.endswith(("-fast", "-slow"))
