"""What a host's memory group shows while something happens on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ratemyunit_ops.twin.cgroups import ROOT, Cgroup, hierarchies
from tests.twin.driver import Stack

MIB = 1 << 20


@dataclass
class Memory:
    """What a host's memory group showed while it was watched."""

    group: Cgroup
    limit: int
    kills_before: int
    used: list[int] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return the figures: what could not be given back, in MiB, beside what the machine has."""
        return {
            "limit_mib": self.limit // MIB,
            "peak_mib": max(self.used) // MIB,
            "control": {"what": "the same host with one release and the worker", "mib": self.used[0] // MIB},
            "oom_kills": kills(self.group) - self.kills_before,
        }


@contextmanager
def memory_watched(stack: Stack) -> Iterator[Memory]:
    """Read the host's memory use four times a second while the block runs."""
    group = Cgroup(f"{stack.site.cgroup}/machines/{stack.host}")
    memory = Memory(group, limit_of(group), kills(group), [group.memory()[0]])
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            memory.used.append(group.memory()[0])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def limit_of(group: Cgroup) -> int:
    """Read the machine's memory limit, on either layout of cgroups."""
    version2 = hierarchies()[0] / group.path / "memory.max"
    return int((version2 if version2.exists() else ROOT / "memory" / group.path / "memory.limit_in_bytes").read_text())


def kills(group: Cgroup) -> int:
    """Count what the kernel killed on the machine for want of memory."""
    version2 = hierarchies()[0] / group.path / "memory.events"
    control = version2 if version2.exists() else ROOT / "memory" / group.path / "memory.oom_control"
    return int(dict(line.split() for line in control.read_text().splitlines())["oom_kill"])
