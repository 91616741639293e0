"""Cgroups of the twin on either layout: version 2 alone, or version 1 with the unified hierarchy beside it.

Processes are counted, frozen and killed through the unified hierarchy, which both layouts have; only the memory
limit is spelled twice.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ratemyunit_ops.errors import Refused

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Answer the mount point of every hierarchy of this machine, the unified one first.

    Raises Refused where there is none.
    """
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    here = [(kind, Path(where)) for _, where, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]
    unified = [where for kind, where in here if kind == "cgroup2"]
    if not unified:
        raise Refused("this machine has no unified cgroup hierarchy", next="mount -t cgroup2 none /sys/fs/cgroup")
    return [unified[0], *(where for kind, where in here if kind == "cgroup")]


@dataclass(frozen=True)
class Cgroup:
    """One cgroup, by its path below the mount of every hierarchy."""

    path: str

    def make(self) -> list[Path]:
        """Make it in every hierarchy; answer the `cgroup.procs` file of each."""
        return [self._make_in(root) / "cgroup.procs" for root in hierarchies()]

    def limit_memory(self, limit: int) -> None:
        """Bound what its processes may take, page cache included; they get no swap."""
        version2 = self._unified() / "memory.max"
        if version2.exists():
            version2.write_text(str(limit))
            _write_if_there(self._unified() / "memory.swap.max", "0")
            return
        version1 = ROOT / "memory" / self.path
        (version1 / "memory.limit_in_bytes").write_text(str(limit))
        _write_if_there(version1 / "memory.memsw.limit_in_bytes", str(limit))

    def memory(self) -> tuple[int, int]:
        """Answer the bytes it uses and cannot give back at once, and those of file cache that it can."""
        version2 = (self._unified() / "memory.current").exists()
        where = self._unified() if version2 else ROOT / "memory" / self.path
        used = int((where / ("memory.current" if version2 else "memory.usage_in_bytes")).read_text())
        stat = dict(line.split() for line in (where / "memory.stat").read_text().splitlines())
        names = ("inactive_file", "active_file") if version2 else ("total_inactive_file", "total_active_file")
        cached = sum(int(stat[name]) for name in names)
        return used - cached, cached

    def cpu_seconds(self) -> float:
        """Answer the CPU time that its processes have used, those that ended included."""
        stat = dict(line.split() for line in (self._unified() / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1_000_000

    def frozen(self) -> bool:
        """Answer whether its processes are stopped."""
        return (self._unified() / "cgroup.freeze").read_text().strip() == "1"

    def weigh(self, factor: int) -> None:
        """Give it so many times the usual weight where processes of several cgroups want the same core."""
        _write_if_there(self._unified() / "cpu.weight", str(100 * factor))
        _write_if_there(ROOT / "cpu" / self.path / "cpu.shares", str(1024 * factor))

    def processes(self) -> list[int]:
        """Answer the pids in it and below it."""
        found: set[int] = set()
        for root in hierarchies():
            for directory in _below(root / self.path):
                with suppress(FileNotFoundError, OSError):
                    # 0 stands for a process outside our process namespace; to kill 0 would be to kill ourselves.
                    found.update(int(n) for n in (directory / "cgroup.procs").read_text().split() if n != "0")
        return sorted(found)

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process in it, as a hypervisor would."""
        (self._unified() / "cgroup.freeze").write_text("1" if frozen else "0")

    def kill(self, *, deadline: float = 10.0) -> list[int]:
        """Kill every process in it; answer those that were still there at the deadline."""
        until = time.monotonic() + deadline
        while True:
            if self._unified().exists():
                self.freeze(False)
            left = [n for n in self.processes() if n != os.getpid()]
            if not left or time.monotonic() > until:
                return left
            for number in left:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.05)

    def remove(self) -> None:
        """Remove it and all below it from every hierarchy; one that is not there is fine."""
        for root in hierarchies():
            for directory in _below(root / self.path):
                directory.rmdir()

    def _unified(self) -> Path:
        return hierarchies()[0] / self.path

    def _make_in(self, root: Path) -> Path:
        where = root
        for part in Path(self.path).parts:
            _delegate(where)
            where = where / part
            where.mkdir(exist_ok=True)
            _inherit_cpuset(where)
        return where


def _delegate(where: Path) -> None:
    """On version 2 a child has a controller only if its parent hands it on."""
    wanted = {"memory", "pids", "cpu", "io"}
    control = where / "cgroup.subtree_control"
    if control.exists():
        have = wanted & set((where / "cgroup.controllers").read_text().split())
        if have:
            control.write_text(" ".join(f"+{name}" for name in sorted(have)))


def _inherit_cpuset(where: Path) -> None:
    """On version 1 a fresh cpuset is empty and takes no process until it is filled."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = where / name
        if file.exists() and not (where / "cgroup.controllers").exists() and not file.read_text().strip():
            file.write_text((where.parent / name).read_text())


def _below(top: Path) -> Iterator[Path]:
    """Yield every directory below `top`, deepest first, then `top`; nothing if it is not there."""
    if top.is_dir():
        for directory, _, _ in os.walk(top, topdown=False):
            yield Path(directory)


def _write_if_there(file: Path, text: str) -> None:
    if file.exists():
        file.write_text(text)
