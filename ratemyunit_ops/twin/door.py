"""The door: one HAProxy on 127.0.0.1 that reaches into the namespace, the only thing of a twin outside it."""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ratemyunit_ops.errors import Failed, Refused
from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.files import read_json, write_json, write_whole
from ratemyunit_ops.twin.site import Site

_Entries = dict[str, dict[str, str]]

# Root stays root: joining a namespace at each connect needs it. Everything binds loopback. After a reload the old
# worker serves the connections it has: cutting them soon would drop requests of a client that keeps them alive.
_HEAD = """
global
    maxconn 4000
    hard-stop-after 2h
defaults
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 60s
    timeout http-keep-alive 100s
    retries 0
    option idle-close-on-response
"""


def start_door(site: Site) -> None:
    """Start the door with the endpoint (port_base) and the registry (port_base + 2).

    Raises Refused when another program holds one of its ports.
    """
    publish_all(site, {site.port_base: site.gate_inside, site.registry_outside: site.registry_inside})


def publish(site: Site, port: int, address: str, *, tcp: bool = False) -> None:
    """Let 127.0.0.1:PORT lead to HOST:PORT inside the namespace; the same port again is moved.

    Raises Refused when another program holds the port.
    """
    publish_all(site, {port: address}, tcp=tcp)


def publish_all(site: Site, doors: Mapping[int, str], *, tcp: bool = False) -> None:
    """Publish several ports in one reload: a reload asked for during another one is lost.

    Raises Refused when another program holds one of them.
    """
    with _entries(site) as entries:
        for port, address in doors.items():
            wanted = {"address": address, "mode": "tcp" if tcp else "http"}
            if entries.get(str(port)) != wanted:
                if str(port) not in entries:
                    _refuse_taken(port)
                entries[str(port)] = wanted
        _apply(site, entries)


def withdraw(site: Site, port: int) -> None:
    """Close a port of the door; one that is not open is fine."""
    with _entries(site) as entries:
        if entries.pop(str(port), None) is not None:
            _apply(site, entries)


def published(site: Site) -> dict[int, str]:
    """Answer which loopback port leads where."""
    entries: _Entries = read_json(site.state_dir / "door" / "entries.json", {})
    return {int(port): entry["address"] for port, entry in entries.items()}


def shut(site: Site) -> None:
    """Let nothing of the twin answer from outside, whatever its keepers publish, until it is reopened."""
    with _entries(site):
        write_whole(_shut_file(site), "")
        daemons.stop(site, "door")


def reopen(site: Site) -> None:
    """Open every port again after `shut`."""
    with _entries(site) as entries:
        _shut_file(site).unlink(missing_ok=True)
        _apply(site, entries)


def _shut_file(site: Site) -> Path:
    return site.state_dir / "door" / "shut"


@contextmanager
def _entries(site: Site) -> Iterator[_Entries]:
    """Hold the list of entries alone, and write it back."""
    directory = site.state_dir / "door"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries: _Entries = read_json(directory / "entries.json", {})
        yield entries
        write_json(directory / "entries.json", entries)


def _apply(site: Site, entries: _Entries) -> None:
    """Make HAProxy obey the entries: started if it does not run, reloaded if they changed."""
    if _shut_file(site).exists():
        return
    config = site.state_dir / "door" / "haproxy.cfg"
    text = _HEAD + "".join(_entry(site, int(port), entry) for port, entry in sorted(entries.items()))
    same = config.exists() and config.read_text() == text
    number = daemons.pid(site, "door")
    if same and number is not None:
        return
    write_whole(config, text)
    _check(config)
    if number is None:
        daemons.start(site, "door", ["haproxy", "-W", "-f", str(config)], inside=False)
    else:
        # The master hands its listening sockets to the new worker; the old one ends with its last connection.
        os.kill(number, signal.SIGUSR2)
    _wait_open(site, [int(port) for port in entries])


def _entry(site: Site, port: int, entry: dict[str, str]) -> str:
    return (
        f"listen port{port}\n    bind 127.0.0.1:{port}\n    mode {entry['mode']}\n"
        f"    server inside {entry['address']} namespace {site.netns}\n"
    )


def _check(config: Path) -> None:
    done = subprocess.run(["haproxy", "-c", "-f", str(config)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(
            f"HAProxy refuses the door's configuration: {done.stderr.strip()[-300:]}",
            state="The door is as it was.",
            next=f"haproxy -c -f {config}",
        )


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as why:
            raise Refused(
                f"port {port} of 127.0.0.1 is taken by another program",
                next="RMU_TWIN_PORT_BASE=NUMBER rmu twin up, or end what listens there",
            ) from why


def _wait_open(site: Site, ports: list[int]) -> None:
    log = daemons.log_file(site, "door")
    until, again = time.monotonic() + 15, time.monotonic() + 3
    while ports and time.monotonic() < until:
        if time.monotonic() > again:
            # A master that is still starting, or reloading, loses the signal.
            again = time.monotonic() + 3
            number = daemons.pid(site, "door")
            if number is not None:
                os.kill(number, signal.SIGUSR2)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", ports[0])) == 0:
                ports = ports[1:]
                continue
        time.sleep(0.05)
    if ports:
        raise Failed(f"the door does not open port {ports[0]}", state="The twin is half up.", next=f"less {log}")
