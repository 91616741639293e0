"""Breaking the glass on a real host: SSM is dead, and sshd lets in who was admitted for a minute, and nobody else."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
import pytest

from ratemyunit_ops.outside.ssh import KIND, fresh_key
from tests.twin.driver import RMU, Stack, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]

BECAUSE = ("--because", "SSM is silent")
BY_SSH = ("exec", "--transport", "ssh", *BECAUSE)
AGENT = "amazon-ssm-agent.service"


@contextmanager
def wire(stack: Stack) -> Iterator[paramiko.Transport]:
    """Open the twin's tunnel to its host, as anybody could, and shake hands."""
    ours, its = socket.socketpair()
    argv = [sys.executable, "-m", "ratemyunit_ops.twin.tunnel", stack.host]
    process = subprocess.Popen(argv, stdin=its.fileno(), stdout=its.fileno(), env=stack.environ())
    its.close()
    transport = paramiko.Transport(ours)
    try:
        transport.start_client(timeout=15)
        yield transport
    finally:
        transport.close()
        process.kill()
        process.wait()


def admit(stack: Stack, key: paramiko.PKey, user: str = "rmu") -> None:
    pushed = f"{KIND} {key.get_base64()}"
    connect = stack.aws("ec2-instance-connect")
    connect.send_ssh_public_key(InstanceId=stack.host, InstanceOSUser=user, SSHPublicKey=pushed)


def test_with_its_ssm_agent_dead_a_host_is_mended_over_ssh(stack: Stack) -> None:
    live, host = stack.live(), stack.host
    stack.on_host(f"systemctl stop {AGENT}")

    dead = stack.rmu("exec", "--host", host, "--", "true", expect=None)
    began = stack.rmu(*BY_SSH, "--host", host, "--", "sh", "-c", "id -u; echo '$HOME' \"a b\"; exit 3", expect=None)
    mended = stack.rmu(*BY_SSH, "--", "systemctl", "restart", AGENT)
    wait_until(lambda: stack.rmu("exec", "--host", host, "--", "true", expect=None).code == 0, 120, "SSM to work again")

    assert dead.code in (3, 6), dead.says()
    answer = began["answers"][0]
    assert (began.code, answer["exit_code"], answer["stdout"]) == (6, 3, "0\n$HOME a b\n")
    assert mended["transport"] == "ssh"
    kept = {deed["id"]: deed for deed in stack.rmu("history", "--by-hand")["by_hand"]}
    assert kept[mended["deed"]]["because"] == "SSM is silent"
    assert kept[mended["deed"]]["argv"] == ["systemctl", "restart", AGENT]
    assert kept[began["deed"]]["outcome"] == f"{host} exit 3"
    stack.serves_alone(live)


def test_a_pushed_key_opens_one_users_door_for_a_minute_and_no_other(stack: Stack) -> None:
    stack.live()
    key, stranger = fresh_key(), fresh_key()
    admit(stack, key)

    with wire(stack) as way:
        way.auth_publickey("rmu", key)
        assert way.is_authenticated()
    for user, tried in (("root", key), ("admin", key), ("rmu", stranger)):
        with wire(stack) as way, pytest.raises(paramiko.AuthenticationException):
            way.auth_publickey(user, tried)
    with wire(stack) as way, pytest.raises(paramiko.BadAuthenticationType):
        way.auth_password("rmu", "rmu")
    time.sleep(61)
    with wire(stack) as way, pytest.raises(paramiko.AuthenticationException):
        way.auth_publickey("rmu", key)


def test_a_host_is_known_by_the_ledger_else_by_its_console_and_never_by_its_word(stack: Stack) -> None:
    stack.live()
    table, at = stack.aws("dynamodb"), {"pk": {"S": "host_key"}, "sk": {"S": stack.host}}
    told = table.get_item(TableName="rmu-twin", Key=at)["Item"]

    try:
        table.delete_item(TableName="rmu-twin", Key=at)
        by_console = stack.rmu(*BY_SSH, "--", "true")
        table.put_item(TableName="rmu-twin", Item={**at, "body": {"S": '{"key": "ssh-ed25519 AAAASomebodyElse"}'}})
        another = stack.rmu(*BY_SSH, "--", "true", expect=3)
    finally:
        table.put_item(TableName="rmu-twin", Item=told)

    assert by_console["answers"][0]["exit_code"] == 0
    assert "shows another SSH key than that host has" in another["what"]


def test_without_a_ledger_of_the_table_a_folder_keeps_what_was_done(stack: Stack) -> None:
    stack.live()
    folder = str(stack.where / "journal")

    answer = stack.rmu(*BY_SSH, "--journal", folder, "--", "true")
    kept = stack.rmu("history", "--by-hand", environ={**stack.environ(), "RMU_JOURNAL": folder})["by_hand"]

    assert [deed["id"] for deed in kept] == [answer["deed"]]
    assert answer["deed"] not in stack.rmu("history", "--by-hand").stdout


def test_a_console_is_a_terminal_on_the_host_and_its_beginning_and_end_are_kept(stack: Stack) -> None:
    stack.live()
    ours, its = pty.openpty()
    argv = [str(RMU), "console", "--host", stack.host, *BECAUSE]
    process = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, env=stack.environ(), start_new_session=True)
    os.close(its)
    seen = b""

    def until(words: bytes) -> None:
        nonlocal seen
        while words not in seen:
            seen += os.read(ours, 4096)

    until(b"$ ")
    os.write(ours, b"sleep 300\n")
    time.sleep(1)
    os.write(ours, b"\x03")  # the host's sleep ends, and not the console
    os.write(ours, b"tty && sudo id -un && echo done-with-$((40 + 2))\n")
    until(b"done-with-42")
    os.write(ours, b"exit\n")
    code = process.wait(30)
    os.close(ours)

    assert code == 0
    assert b"/dev/pts/" in seen and b"root" in seen
    deed = stack.rmu("history", "--by-hand")["by_hand"][0]
    assert (deed["verb"], deed["hosts"], deed["because"]) == ("console", [stack.host], "SSM is silent")
    assert deed["ended"] is not None and deed["outcome"] == "exit 0"


def test_an_app_without_a_queue_is_named_and_nothing_is_changed(stack: Stack) -> None:
    live = stack.live()

    asked = stack.rmu("queue", "status", expect=3)
    paused = stack.rmu("queue", "pause", "--yes", expect=3)

    assert f"{live} has no queue" in asked["what"]
    assert paused["outcome"] == "refused"
