"""Hosts on the road: looked at, rebooted, replaced and given up by the command, while a release serves."""

from __future__ import annotations

import pytest

from tests.twin.driver import Stack, started, wait_until

pytestmark = pytest.mark.twin

REACH = (
    "import socket; s = socket.socket(); s.settimeout(3);"
    "print('reached' if s.connect_ex(('169.254.169.254', 80)) == 0 else 'cut')"
)


@pytest.mark.long
def test_neither_slots_nor_worker_reach_the_credentials_of_their_host(stack: Stack) -> None:
    unit = stack.unit(stack.live())

    seen = {
        name: stack.on_host(f'podman exec {name} /usr/bin/python3.13 -c "{REACH}"').strip()
        for name in (unit, "rmu-worker")
    }

    assert seen == {unit: "cut", "rmu-worker": "cut"}
    assert stack.on_host(f'python3 -c "{REACH}"').strip() == "reached"


def test_exec_and_logs_answer_from_the_host(stack: Stack) -> None:
    stack.live()
    host = stack.host

    said = stack.rmu("exec", "--", "cat", "/etc/rmu/host.json")
    wrong = stack.rmu("exec", "--", "cat", "/no/such/file", expect=None)
    logs = stack.rmu("logs", "--role", "worker")

    assert said["answers"][0]["host"] == host
    assert '"env": "twin"' in said["answers"][0]["stdout"]
    assert wrong.code == 6
    assert "No such file" in wrong["answers"][0]["stderr"]
    assert any('"role": "worker"' in line for line in logs["logs"][host])


@pytest.mark.long
def test_f05_a_host_rebooted_by_the_command_comes_back_as_itself_serving_what_it_served(stack: Stack) -> None:
    live, host = stack.live(), stack.host

    answer = stack.rmu("host", "reboot", host, "--yes")

    assert answer["outcome"] == "done"
    assert stack.who()["host"] == host
    stack.serves_alone(live)


@pytest.mark.long
def test_f28_a_reboot_killed_in_the_middle_leaves_no_host_aside_once_resumed(stack: Stack) -> None:
    live, host = stack.live(), stack.host

    stack.kill("host", "reboot", host, "--yes", at=started("reboot"))
    answer = stack.rmu("resume", "--yes")

    assert answer["outcome"] == "done"
    assert [one["state"] for one in stack.rmu("host", "list")["hosts"]] == ["InService"]
    stack.serves_alone(live)


@pytest.mark.long
def test_f29_a_host_replaced_by_the_command_is_followed_by_one_that_serves_the_live_release(stack: Stack) -> None:
    live, host = stack.live(), stack.host

    answer = stack.rmu("host", "replace", host, "--yes")

    assert answer["outcome"] == "done"
    wait_until(lambda: stack.who().get("host") not in (None, host), 60, "another host to answer")
    stack.serves_alone(live)
    assert stack.status()["worker"] == {"release": live, "state": "running"}
