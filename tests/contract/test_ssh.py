"""SSH as a second way to run argv on hosts: known hosts, keys of a minute, exact arguments, ends told apart."""

from __future__ import annotations

import os
import pty
import signal
import socket
import sys
import termios
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Failed, LedgerDown, Refused, Unreachable
from ratemyunit_ops.outside import terminal
from ratemyunit_ops.outside.aws.instance_connect import InstanceConnect
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.clock import SystemClock
from ratemyunit_ops.outside.ssh import SshShell
from ratemyunit_ops.ports import Ledger
from tests.contract.ssh_server import Host, serve, tunnel

SOON = timedelta(seconds=20)


class Admits:
    """The account's side: who is let in, and whose key is whose."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.keys: list[str] = []
        self.known: frozenset[str] = frozenset({host.public})
        self.lets_in = True

    def admit(self, host: str, user: str, key: str) -> None:
        self.keys.append(key)
        if self.lets_in:
            self.host.pushed[user] = key

    def host_keys(self, host: str) -> frozenset[str]:
        return self.known


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def admits(host: Host) -> Admits:
    return Admits(host)


@pytest.fixture
def shell(host: Host, admits: Admits, tmp_path: Path) -> Iterator[SshShell]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(host, listener), daemon=True).start()
        port = listener.getsockname()[1]
        yield SshShell(admits, [sys.executable, str(tunnel(tmp_path, port)), str(port)], SystemClock())


def test_arguments_arrive_as_they_are_and_the_exit_code_comes_back(shell: SshShell) -> None:
    strange = ["a b", "$(touch /tmp/no)", "'", '"', "*", "", "-n", "ünï", "a\nb", "\udcff"]
    script = "import sys; sys.stdout.buffer.write(repr(sys.argv[1:]).encode()); sys.exit(3)"

    answer = shell.run([sys.executable, "-c", script, *strange], hosts=["i-1"], deadline=SOON)[0]

    assert (answer.host, answer.exit_code, answer.stdout) == ("i-1", 3, repr(strange))


def test_the_command_is_bounded_on_the_host_too_and_run_as_root(shell: SshShell, host: Host) -> None:
    shell.run(["true"], hosts=["i-1"], deadline=timedelta(seconds=30))

    assert host.ran == [b"sudo -n -- timeout -k 5 30 true"]


def test_every_connection_has_a_key_of_its_own_of_a_form_that_aws_takes(shell: SshShell, admits: Admits) -> None:
    for _ in range(2):
        shell.run(["true"], hosts=["i-1"], deadline=SOON)

    assert len(set(admits.keys)) == 2
    assert all(key.startswith("ssh-ed25519 ") and 80 <= len(key) <= 4096 for key in admits.keys)


def test_both_streams_are_read_whole_and_cut_where_ssm_would_cut_them(shell: SshShell) -> None:
    script = "import sys; sys.stdout.write('o' * 300000); sys.stderr.write('e' * 300000)"

    answer = shell.run([sys.executable, "-c", script], hosts=["i-1"], deadline=SOON)[0]

    assert (answer.exit_code, answer.cut) == (0, True)
    assert answer.stdout == "o" * 24_000 + "\n(only the first 24,000 characters were kept)\n"
    assert answer.stderr == "e" * 8_000 + "\n(only the first 8,000 characters were kept)\n"


def test_a_command_that_does_not_end_is_ended_there_and_said_so(shell: SshShell) -> None:
    with pytest.raises(Failed, match="“sleep” did not end on i-1 within 1 s"):
        shell.run(["sleep", "60"], hosts=["i-1"], deadline=timedelta(seconds=1))


def test_a_command_may_end_with_124_of_its_own(shell: SshShell) -> None:
    assert shell.run(["sh", "-c", "exit 124"], hosts=["i-1"], deadline=SOON)[0].exit_code == 124


def test_a_host_that_shows_another_key_is_never_logged_in_to(shell: SshShell, admits: Admits, host: Host) -> None:
    admits.known = frozenset({Host().public})

    with pytest.raises(Refused, match="shows another SSH key than that host has"):
        shell.run(["true"], hosts=["i-1"], deadline=SOON)
    assert host.ran == []


def test_a_host_whose_key_nobody_knows_is_not_even_asked(shell: SshShell, admits: Admits) -> None:
    admits.known = frozenset()

    with pytest.raises(Refused, match="neither the ledger nor its console") as refused:
        shell.run(["true"], hosts=["i-1"], deadline=SOON)
    assert refused.value.next == "rmu host replace i-1"
    assert admits.keys == []


def test_a_key_that_is_not_let_in_runs_nothing(shell: SshShell, admits: Admits, host: Host) -> None:
    admits.lets_in = False

    with pytest.raises(Unreachable, match="i-1 does not let us in over SSH: Authentication failed"):
        shell.run(["true"], hosts=["i-1"], deadline=SOON)
    assert host.ran == []


def test_a_tunnel_that_fails_says_why_in_its_own_words(admits: Admits) -> None:
    words = ["sh", "-c", "echo 'There are no available instance connect endpoints.' >&2; exit 1"]

    with pytest.raises(Unreachable, match="There are no available instance connect endpoints"):
        SshShell(admits, words, SystemClock()).run(["true"], hosts=["i-1"], deadline=SOON)


def test_a_tunnel_that_is_not_installed_is_named(admits: Admits) -> None:
    with pytest.raises(Unreachable, match="the tunnel command does not start") as why:
        SshShell(admits, ["/no/such/aws"], SystemClock()).run(["true"], hosts=["i-1"], deadline=SOON)
    assert "install /no/such/aws" in why.value.next


def test_a_connection_that_breaks_in_the_middle_promises_nothing(shell: SshShell, host: Host) -> None:
    host.drops_in_the_middle = True

    with pytest.raises(Failed, match="the connection to i-1 broke"):
        shell.run(["true"], hosts=["i-1"], deadline=SOON)


def test_nothing_runs_anywhere_where_one_host_keeps_us_out(shell: SshShell, admits: Admits, host: Host) -> None:
    admits.host_keys = lambda name: admits.known if name == "i-1" else frozenset()  # type: ignore[method-assign]

    with pytest.raises(Refused, match="i-2"):
        shell.run(["true"], hosts=["i-1", "i-2"], deadline=SOON)
    assert host.ran == []


def test_no_agent_no_forwarding_and_no_terminal_is_asked_for(shell: SshShell, host: Host) -> None:
    shell.run(["true"], hosts=["i-1"], deadline=SOON)

    assert (host.asked_for, host.pty) == ([], None)


def test_a_console_is_raw_follows_the_window_and_leaves_the_terminal_as_it_was(
    shell: SshShell, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, its = pty.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(its, "r"))
    monkeypatch.setattr(sys, "stdout", os.fdopen(os.dup(its), "w"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    before = termios.tcgetattr(its)
    seen = []

    def person() -> None:
        while termios.tcgetattr(its)[3] & termios.ECHO:  # not raw yet: what is typed now is thrown away
            time.sleep(0.01)
        os.write(ours, b"ls\x03")
        while b"<interrupted>" not in b"".join(seen):
            seen.append(os.read(ours, 100))
        opened = host.pty
        monkeypatch.setenv("COLUMNS", "60")
        os.kill(os.getpid(), signal.SIGWINCH)
        while host.pty == opened:
            time.sleep(0.01)
        os.write(ours, b"q")

    typing = threading.Thread(target=person, daemon=True)
    with shell.connected("i-1") as way:
        typing.start()
        code = terminal.lend(way)
    typing.join(10)

    assert (code, host.pty) == (7, (60, 30))
    assert b"".join(seen) == b"ls<interrupted>"
    assert termios.tcgetattr(its) == before


CONSOLE = """\
[   12.3] cloud-init[400]: -----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2 root@host
ssh-ed25519 AAAAC3 root@host
-----END SSH HOST KEY KEYS-----
[   99.0] login:
"""


class Told:
    """An account that answers consoles, and a ledger that may be down."""

    def __init__(self, *, item: str | None = None, down: bool = False, consoles: tuple[str, str] = ("", "")) -> None:
        self.item, self.down, self.consoles = item, down, consoles

    def get(self, pk: str, sk: str) -> dict[str, str] | None:
        if self.down:
            raise LedgerDown("the ledger does not answer", next="rmu doctor")
        return {"body": f'{{"key": "{self.item}"}}'} if self.item is not None else None

    def ask(self, service: str, operation: str, *, InstanceId: str, Latest: bool) -> dict[str, str]:
        return {"Output": self.consoles[Latest]}

    def keys(self) -> frozenset[str]:
        account: Account = self  # type: ignore[assignment]
        ledger: Ledger = self  # type: ignore[assignment]
        return InstanceConnect(account, ledger).host_keys("i-1")


ON_CONSOLE = frozenset({"ecdsa-sha2-nistp256 AAAAE2", "ssh-ed25519 AAAAC3"})


@pytest.mark.parametrize(
    ("told", "keys"),
    [
        (Told(item="ssh-ed25519 AAAA root@host", consoles=(CONSOLE, "")), {"ssh-ed25519 AAAA"}),
        (Told(consoles=(CONSOLE, "")), ON_CONSOLE),
        (Told(consoles=("", CONSOLE)), ON_CONSOLE),
        (Told(down=True, consoles=(CONSOLE, "")), ON_CONSOLE),
        (Told(item="", consoles=(CONSOLE, "")), ON_CONSOLE),
        (Told(consoles=("out of memory\n" * 20, "")), set()),
        (Told(), set()),
    ],
    ids=["ledger", "console", "console now", "ledger down", "empty item", "flooded", "nowhere"],
)
def test_a_hosts_key_comes_from_the_ledger_else_from_its_console(told: Told, keys: set[str]) -> None:
    assert told.keys() == keys
