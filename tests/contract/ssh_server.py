"""A host's sshd, played by paramiko's server in this process: it knows keys that were pushed, and runs what it is told.

What a real sshd does with the keys that the metadata service tells is proven on the twin.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from ratemyunit_ops.outside.ssh import fresh_key


@dataclass
class Host:
    """One host: its own key, the keys it was told of, and the commands that came."""

    key: paramiko.PKey = field(default_factory=fresh_key)
    pushed: dict[str, str] = field(default_factory=dict)
    """User -> the key that was pushed for them."""
    ran: list[bytes] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    """Channels and forwardings beyond a session."""
    drops_in_the_middle: bool = False
    pty: tuple[int, int] | None = None

    @property
    def public(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"


class Sshd(paramiko.ServerInterface):
    def __init__(self, host: Host, transport: paramiko.Transport) -> None:
        self.host, self.transport = host, transport

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = self.host.pushed.get(username) == f"{key.get_name()} {key.get_base64()}"
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session":
            self.host.asked_for.append(kind)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_forward_agent_request(self, channel: Any) -> bool:
        self.host.asked_for.append("agent")
        return True

    def check_channel_pty_request(self, channel: Any, term: Any, width: int, height: int, *_: Any) -> bool:
        self.host.pty = (width, height)
        return True

    def check_channel_window_change_request(self, channel: Any, width: int, height: int, *_: Any) -> bool:
        self.host.pty = (width, height)
        return True

    def check_channel_shell_request(self, channel: Any) -> bool:
        threading.Thread(target=_echo, args=(channel,), daemon=True).start()
        return True

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        self.host.ran.append(command)
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel: Any, command: bytes) -> None:
        if self.host.drops_in_the_middle:
            self.transport.close()
            return
        without_sudo = command.removeprefix(b"sudo -n -- ")
        done = subprocess.run(["sh", "-c", os.fsdecode(without_sudo)], capture_output=True, check=False)
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode % 256)
        channel.close()


def _echo(channel: Any) -> None:
    """Be a shell that repeats what is typed; Ctrl-C it says, and `q` ends it with 7."""
    while part := channel.recv(100):
        if b"q" in part:
            break
        channel.sendall(part.replace(b"\x03", b"<interrupted>"))
    channel.send_exit_status(7)
    channel.close()


def serve(host: Host, listener: socket.socket) -> None:
    """Answer every connection, until the listener is closed."""
    while True:
        try:
            wire, _ = listener.accept()
        except OSError:
            return
        transport = paramiko.Transport(wire)
        transport.add_server_key(host.key)
        try:
            transport.start_server(server=Sshd(host, transport))
        except (paramiko.SSHException, EOFError):
            continue


CARRY = """
import os, socket, sys, threading
host = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    while part := os.read(0, 65536): host.sendall(part)
    host.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while part := host.recv(65536): os.write(1, part)
"""


def tunnel(folder: Path, port: int) -> Path:
    """Write a tunnel command that leads to a port of loopback."""
    program = folder / "tunnel.py"
    program.write_text(CARRY)
    return program
