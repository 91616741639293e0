"""Commands and sessions on a host over SSH: the way in when SSM is dead. Nothing of it touches the disk.

Each connection gets a key pair of its own, made in memory and pushed for a minute; it goes through the tunnel command
of the settings, whose stdin and stdout are the wire. Whom we talk to is known before: the host's key comes from
somewhere else than the wire, and a host whose key is not known, or is another one, is never logged in to. A bare
transport is used, since paramiko's client would look for agents, key files and hosts it has met.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Protocol

from ratemyunit_ops.errors import Failed, Refused, Unreachable
from ratemyunit_ops.ports import Clock, CommandResult

if TYPE_CHECKING:
    import paramiko

USER = "rmu"
KIND = "ssh-ed25519"
CONNECT = timedelta(seconds=15)
"""How long the tunnel, the handshake and the login may take, each."""
LAST_WORDS = timedelta(seconds=10)
"""How long after its own deadline a command may take to be told as ended."""
KILL_AFTER_S = 5
KEPT_OUT, KEPT_ERR = 24_000, 8_000
"""As much as SSM keeps, so that a command is read alike whichever way it went."""
CUT = "\n(only the first {:,} characters were kept)\n"
DONE_IS_DONE = "What it had done until then is done; a command ends by its own deadline."
ENDED_BY_DEADLINE = frozenset({124, 137})


class Admission(Protocol):
    """Who lets a key in, and knows the hosts' own."""

    def admit(self, host: str, user: str, key: str) -> None:
        """Let a public key in as a user, for a minute."""
        ...

    def host_keys(self, host: str) -> frozenset[str]:
        """Tell the keys that a host may show (`KIND BASE64`); empty where none is known."""
        ...


@dataclass(frozen=True)
class SshShell:
    """Run argv on hosts over SSH, as root. `tunnel` is argv in which `{host}` stands for the instance."""

    admission: Admission
    tunnel: Sequence[str]
    clock: Clock
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, hosts: Sequence[str], deadline: timedelta) -> tuple[CommandResult, ...]:
        """Run argv on each host and wait for its end; nothing runs anywhere before every host has let us in.

        Raises:
            Refused: a host's key is not known, or is another one.
            Unreachable: a host does not let us in; nothing ran.
            Failed: a command did not end in time.
        """
        with ExitStack() as open_until_then:
            ways = [(host, open_until_then.enter_context(self.connected(host))) for host in hosts]
            return tuple(self._one(host, way, argv, deadline) for host, way in ways)

    @contextmanager
    def connected(self, host: str) -> Iterator[paramiko.Transport]:
        """Log in to a host for as long as the block runs. Raises Refused, Unreachable."""
        import paramiko

        known = self.admission.host_keys(host)
        if not known:
            raise Refused(
                f"the SSH key of {host} is in neither the ledger nor its console: it cannot be told from another host",
                next=f"rmu host replace {host}",
            )
        key = fresh_key()
        self.admission.admit(host, USER, f"{KIND} {key.get_base64()}")
        with self._tunnel(host) as (wire, said):
            transport = paramiko.Transport(wire)
            try:
                try:
                    _log_in(transport, host, key, known)
                except (paramiko.SSHException, EOFError, OSError) as why:
                    raise _not_let_in(host, _last(said) or str(why) or type(why).__name__) from why
                yield transport
            finally:
                transport.close()

    @contextmanager
    def _tunnel(self, host: str) -> Iterator[tuple[socket.socket, IO[bytes]]]:
        """Start the tunnel command with a socket for stdin and stdout; end it with the block."""
        ours, its = socket.socketpair()
        argv = [word.replace("{host}", host) for word in self.tunnel]
        with ours, tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=its.fileno(),
                    stdout=its.fileno(),
                    stderr=said.fileno(),
                    env={**os.environ, **self.environ},
                    start_new_session=True,
                )
            except OSError as why:
                raise Unreachable(
                    f"the tunnel command does not start: {why}", next=f"install {argv[0]}, or edit tunnel in rmu.toml"
                ) from why
            finally:
                its.close()
            try:
                yield ours, said
            finally:
                process.kill()  # it holds nothing of its own: what it carries is what ends
                process.wait()

    def _one(self, host: str, way: paramiko.Transport, argv: Sequence[str], deadline: timedelta) -> CommandResult:
        seconds = max(1, round(deadline.total_seconds()))
        # The command's own deadline stands on the host: it ends there whatever becomes of us and of the wire.
        bounded = ["sudo", "-n", "--", "timeout", "-k", str(KILL_AFTER_S), str(seconds), *argv]
        began = self.clock.monotonic()
        with unbroken(host):
            channel = way.open_session(timeout=CONNECT.total_seconds())
            channel.exec_command(os.fsencode(shlex.join(bounded)))
            channel.shutdown_write()
            out, err = self._read(channel, began + seconds + KILL_AFTER_S + LAST_WORDS.total_seconds())
        late = self.clock.monotonic() - began >= seconds
        if late and (not channel.exit_status_ready() or channel.exit_status in ENDED_BY_DEADLINE):
            raise Failed(f"“{argv[0]}” did not end on {host} within {seconds} s", state=DONE_IS_DONE, next="rmu status")
        if not channel.exit_status_ready() or channel.exit_status < 0:
            raise _lost(host, "it ended without an exit code")
        return CommandResult(
            host=host, exit_code=channel.exit_status, stdout=out.text(), stderr=err.text(), cut=out.cut or err.cut
        )

    def _read(self, channel: paramiko.Channel, until: float) -> tuple[_Kept, _Kept]:
        """Read both streams to their end, or until then; keep what there is room for and let the rest go by."""
        out, err = _Kept(KEPT_OUT), _Kept(KEPT_ERR)
        while self.clock.monotonic() < until:
            idle = True
            for ready, receive, kept in (
                (channel.recv_ready, channel.recv, out),
                (channel.recv_stderr_ready, channel.recv_stderr, err),
            ):
                while ready():
                    kept.add(receive(65536))
                    idle = False
            if idle and (channel.closed or (channel.exit_status_ready() and channel.eof_received)):
                break
            if idle:
                self.clock.sleep(0.05)
        return out, err


@contextmanager
def unbroken(host: str) -> Iterator[None]:
    """Turn a connection that breaks in the middle into what is known of it. Raises Failed."""
    import paramiko

    try:
        yield
    except (paramiko.SSHException, EOFError, OSError) as why:
        raise _lost(host, str(why) or type(why).__name__) from why


def _not_let_in(host: str, why: str) -> Unreachable:
    return Unreachable(
        f"{host} does not let us in over SSH: {why}", next=f"rmu host list   (then: rmu host replace {host})"
    )


def _lost(host: str, why: str) -> Failed:
    return Failed(f"the connection to {host} broke: {why}", state=DONE_IS_DONE, next="rmu status")


class _Kept:
    """The beginning of a stream."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._bytes = b""
        self.cut = False

    def add(self, part: bytes) -> None:
        left = self._room - len(self._bytes)
        self._bytes += part[:left]
        self.cut = self.cut or len(part) > left

    def text(self) -> str:
        return self._bytes.decode(errors="replace") + (CUT.format(self._room) if self.cut else "")


def fresh_key() -> paramiko.Ed25519Key:
    """Make a key pair that lives in memory alone."""
    import paramiko
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode()))


def _log_in(transport: paramiko.Transport, host: str, key: paramiko.Ed25519Key, known: frozenset[str]) -> None:
    """Shake hands, see that it is the host, and only then show who we are. Raises Refused, or what paramiko raises."""
    transport.banner_timeout = transport.auth_timeout = CONNECT.total_seconds()
    transport.get_security_options().key_types = (KIND,)
    transport.start_client(timeout=CONNECT.total_seconds())
    shown = transport.get_remote_server_key()
    if f"{shown.get_name()} {shown.get_base64()}" not in known:
        raise Refused(
            f"who answers for {host} shows another SSH key than that host has: {shown.fingerprint}",
            next="rmu host list   (somebody may be listening: tell who runs the network)",
        )
    transport.auth_publickey(USER, key)
    transport.set_keepalive(15)


def _last(said: IO[bytes]) -> str:
    """Read the last line that the tunnel command said."""
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
