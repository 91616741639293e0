"""What every fault of the twin is made of: what it says, whom it means, and a script run inside a machine."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from ratemyunit_ops.errors import Failed, Mistyped, Refused
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site

Act = Callable[[Site, str | None], str]


@dataclass(frozen=True)
class Fault:
    """One way to break the twin; `mend` is None where the twin or time mends it."""

    says: str
    make: Act
    mend: Act | None = None


def host_of(site: Site, target: str | None) -> Machine:
    """Find the host that is meant: the named one, else the first that serves, else the first that runs."""
    wanted = call(site, "wanted")
    members = {one["id"]: one["lifecycle"] for group in wanted["groups"] for one in group["instances"]}
    rows = [one for one in wanted["instances"] if one["machine"] == "running" and one["state"] == "running"]
    rows.sort(key=lambda one: members.get(one["id"]) != "InService")
    chosen = next((one["id"] for one in rows if target in (None, one["id"])), None)
    if chosen is None:
        raise Refused(f"no host {target or ''} runs in the twin", next="rmu twin status")
    return Machine(site, chosen)


def database_of(site: Site, target: str | None) -> Machine:
    """Find the database that is meant: the named one, else the first."""
    ids = [one["id"] for one in call(site, "wanted")["databases"]]
    chosen = next((one for one in ids if target in (None, one)), None)
    if chosen is None:
        raise Refused(f"no database {target or ''} runs in the twin", next="rmu twin status")
    return Machine(site, chosen)


def inside(machine: Machine, script: str, *, timeout: float = 30, input: bytes = b"") -> None:
    """Run a script in a machine. Raises Failed with its last words, and where it has not ended in time."""
    try:
        done = machine.run(["sh", "-c", script], timeout=timeout, input=input)
    except subprocess.TimeoutExpired as why:
        raise _half_made(f"{machine.name}: no end within {timeout:g} s") from why
    if done.returncode != 0:
        raise _half_made(f"{machine.name}: {done.stderr.decode(errors='replace').strip()[-300:]}")


def _half_made(what: str) -> Failed:
    return Failed(what, state="The fault may be half made.", next="rmu twin status")


def number(text: str) -> float:
    """Read a target that is a number. Raises Mistyped."""
    try:
        return float(text)
    except ValueError as why:
        raise Mistyped(f"{text!r} is no number", next="rmu twin fault ssm-latency 5") from why
