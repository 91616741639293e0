"""A tunnel to a host's sshd over stdin and stdout: what `aws ec2-instance-connect open-tunnel` is in an account.

`rmu.toml` names it as the tunnel of the twin: nothing listens off loopback, so it enters the twin's namespace itself.
"""

import os
import socket
import sys
import threading

from ratemyunit_ops.twin.inner import client
from ratemyunit_ops.twin.site import Site

PORT = 22


def enter(host: str) -> None:
    """Find a host's address and begin anew inside the namespace."""
    site = Site.from_env()
    found = client(site, "ec2").describe_instances(InstanceIds=[host])
    address = found["Reservations"][0]["Instances"][0]["PrivateIpAddress"]
    again = [sys.executable, "-m", "ratemyunit_ops.twin.tunnel", "--inside", address]
    os.execvp("nsenter", ["nsenter", f"--net={site.netns_file}", "--", *again])  # noqa: S606


def carry(address: str) -> None:
    """Carry bytes between stdin and stdout and a host's sshd, until one side ends."""
    with socket.create_connection((address, PORT), timeout=10) as host:
        host.settimeout(None)
        threading.Thread(target=_send, args=(host,), daemon=True).start()
        while part := host.recv(65536):
            os.write(1, part)


def _send(host: socket.socket) -> None:
    while part := os.read(0, 65536):
        host.sendall(part)
    host.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        carry(sys.argv[2])
    else:
        enter(sys.argv[1])
