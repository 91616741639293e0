"""Logs end to end on real machines: from journal to group, read by the command, counted by metric filters."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ratemyunit_ops.twin.machine import Machine
from tests.twin.driver import Stack, raised_stack, wait_until

pytestmark = pytest.mark.twin

SHIPPED_WITHIN = 20  # follower, agent's flush, and a machine that has much to do


def ask(stack: Stack, path: str, id: str, body: Any = None, token: str = "") -> tuple[str, Any]:
    """Send one request with an id through the front door; return the id it echoes, and the answer."""
    headers = {"X-Request-ID": id, "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stack.front_door + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.headers["X-Request-ID"]), json.load(answer)


def lines(stack: Stack, *words: str) -> list[dict[str, Any]]:
    """Read lines by the command, from log groups."""
    answer = stack.rmu("logs", *words)
    assert answer["source"] == "groups", answer.says()
    return list(answer["lines"])


def test_a_request_is_found_by_the_id_that_its_client_gave(stack: Stack) -> None:
    stack.live()
    id = f"client-{uuid4()}"

    echoed, _ = ask(stack, "/api/units?search=somebody", id)

    found = wait_until(lambda: lines(stack, "--role", "proxy", "--request", id), SHIPPED_WITHIN, "its line")
    assert echoed == id
    assert [(one["fields"]["route"], one["fields"]["path"], one["host"]) for one in found] == [
        ("search", "/api/units", stack.host)
    ]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin of its own with the product, whose database logs every statement."""
    with raised_stack("logs", 9880, tmp_path_factory.mktemp("logs")) as stack:
        stack.take_product()
        stack.rmu("image", "push", "v1", patience=900)
        stack.deploy("v1")
        group = stack.aws("rds").describe_db_instances()["DBInstances"][0]["DBParameterGroups"][0]
        every = {"ParameterName": "log_min_duration_statement", "ParameterValue": "0", "ApplyMethod": "immediate"}
        stack.aws("rds").modify_db_parameter_group(
            DBParameterGroupName=group["DBParameterGroupName"], Parameters=[every]
        )
        time.sleep(5)
        yield stack


@pytest.mark.long
def test_one_request_is_followed_from_the_proxy_to_its_statement(product: Stack) -> None:
    id = f"req-{uuid4()}"

    echoed, _ = ask(product, "/api/units?search=private-words", id)

    def joined() -> list[dict[str, Any]] | None:
        found = lines(product, "--request", id)
        return found if {one["role"] for one in found} == {"proxy", "api", "database"} else None

    found = wait_until(joined, SHIPPED_WITHIN, "proxy, app and database")
    assert echoed == id
    assert {one["request"] for one in found} == {id}
    assert {one["release"] for one in found if one["role"] != "database"} == {"v1"}
    assert any("universities" in one["line"] for one in found)
    assert "private-words" not in json.dumps(found)


@pytest.mark.long
def test_a_scrape_is_counted_and_its_lines_carry_the_job(product: Stack) -> None:
    token = product.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)["Parameter"][
        "Value"
    ]
    wish = {"url": "http://127.0.0.1:8080/fixture/catalogue", "university": "Twin"}
    job = ask(product, "/api/admin/scrape", f"req-{uuid4()}", wish, token)[1]["job"]

    def ended() -> list[dict[str, Any]]:
        said = lines(product, "--role", "worker", "--request", job)
        return [one["fields"] for one in said if one["fields"].get("event") == "scrape"]

    found = wait_until(ended, 90, "the scrape's end")

    assert [(one["ok"], one["outcome"]) for one in found] == [(True, "done")]
    assert lines(product, "--role", "database", "--request", job)
    wait_until(lambda: counted(product, "Scrapes") >= 1, SHIPPED_WITHIN, "the count of scrapes")


@pytest.mark.long
def test_searches_are_counted_as_they_were_made(product: Stack) -> None:
    before = counted(product, "Searches")

    for _ in range(25):
        ask(product, "/api/units?search=a", f"req-{uuid4()}")

    wait_until(lambda: counted(product, "Searches") >= before + 25, SHIPPED_WITHIN, "the count of searches")


def counted(stack: Stack, name: str) -> float:
    """Sum what a metric filter has counted in the last minutes."""
    now = datetime.now(UTC)
    times = {"StartTime": now - timedelta(minutes=20), "EndTime": now + timedelta(minutes=1), "Period": 60}
    answer = stack.aws("cloudwatch").get_metric_statistics(
        Namespace="rmu/twin", MetricName=name, Statistics=["Sum"], **times
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


@pytest.mark.long
def test_a_follower_killed_again_and_again_loses_no_line_and_doubles_few(product: Stack) -> None:
    since = datetime.now(UTC)
    ids = []
    for n in range(60):
        ids.append(f"kill-{n:03}-{uuid4()}")
        ask(product, "/version", ids[-1])
        if n % 20 == 10:
            product.on_host("systemctl kill --signal=KILL rmu-follow.service")

    def all_there() -> list[str] | None:
        words = ("--role", "proxy", "--since", f"{since:%Y-%m-%dT%H:%M:%S}+00:00", "-n", "2000")
        found = [one["request"] for one in lines(product, *words)]
        return found if set(ids) <= set(found) else None

    found = wait_until(all_there, 45, "every request's line")
    doubled = [id for id in ids if found.count(id) > 1]
    assert len(doubled) <= 6, doubled


@pytest.mark.long
def test_following_shows_a_line_while_it_runs(product: Stack) -> None:
    running = product.begin("logs", "--follow", "--role", "proxy")
    id = f"follow-{uuid4()}"
    time.sleep(5)

    ask(product, "/version", id)

    time.sleep(SHIPPED_WITHIN)
    running.process.send_signal(2)
    answer = running.end()
    assert answer.code == 0
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [one["role"] for one in told if one["request"] == id] == ["proxy"]


@pytest.mark.long
def test_a_host_that_is_gone_can_still_be_read(product: Stack) -> None:
    gone = product.host
    Machine(product.site, gone).kill()
    wait_until(lambda: product.host != gone, 120, "another host")
    wait_until(product.who, 120, "an answer through the front door")

    found = lines(product, "--since", "2h", "--host", gone, "--role", "host", "--role", "api")

    assert {one["host"] for one in found} == {gone}
    assert {one["role"] for one in found} == {"host", "api"}


@pytest.mark.long
def test_without_groups_the_hosts_own_journals_answer(product: Stack) -> None:
    logs = product.aws("logs")
    product.on_host("systemctl stop amazon-cloudwatch-agent.service")
    ours = logs.describe_log_groups(logGroupNamePrefix="/rmu/twin/")["logGroups"]
    for group in ours:
        logs.delete_log_group(logGroupName=group["logGroupName"])

    answer = product.rmu("logs", "--role", "worker", "--role", "api", "--since", "2h")

    assert answer["source"] == "journal"
    assert {one["role"] for one in answer["lines"]} == {"worker", "api"}
    assert any("cannot be read" in str(event.get("note")) for event in answer.events)
