"""EC2 Instance Connect: who may log in to a host for the next minute, and how the host is known.

A host tells its SSH key twice: its boot puts it into the ledger under the hosts' own role, and cloud-init prints it on
the console. The ledger is asked first; the console is there when even the ledger is not, but holds 64 KiB only, which
a kernel that reports out-of-memory kills soon fills.
"""

from __future__ import annotations

import json

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.outside.aws.session import Account, Said
from ratemyunit_ops.ports import Ledger

BEGIN, END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


class InstanceConnect:
    """Keys of people, and keys of hosts."""

    def __init__(self, account: Account, ledger: Ledger) -> None:
        self._account = account
        self._ledger = ledger

    def admit(self, host: str, user: str, key: str) -> None:
        """Let a public key in as a user of a host, for a minute. Raises Refused, Unreachable."""
        # A key line must have 80 characters at least: an ed25519 key without a comment has just that.
        self._account.act(
            "ec2-instance-connect", "SendSSHPublicKey", InstanceId=host, InstanceOSUser=user, SSHPublicKey=key
        )

    def host_keys(self, host: str) -> frozenset[str]:
        """Tell the keys a host may show, by the ledger, else by its console; empty where neither tells."""
        try:
            item = self._ledger.get("host_key", host)
        except RmuError:
            item = None
        told = {_bare(json.loads(str(item["body"]))["key"])} - {""} if item else set()
        return frozenset(told or self._on_console(host))

    def _on_console(self, host: str) -> set[str]:
        # First as it was after the boot, which later messages of the kernel do not push out; then as it is now.
        for latest in (False, True):
            try:
                answer = self._account.ask("ec2", "GetConsoleOutput", InstanceId=host, Latest=latest)
            except (Said, RmuError):
                continue
            # On the wire it is base64; botocore has read that already.
            found = _keys_in(answer.get("Output") or "")
            if found:
                return found
        return set()


def _keys_in(console: str) -> set[str]:
    """Find the keys of the newest boot that printed any."""
    block = console.rpartition(BEGIN)[2].partition(END)[0] if BEGIN in console else ""
    return {_bare(line) for line in block.splitlines()} - {""}


def _bare(line: str) -> str:
    """Drop what comes before and after a key: a console's time stamp, a comment."""
    words = line.split()
    kind = next((n for n, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-"))), len(words))
    return " ".join(words[kind : kind + 2])
