"""What processes take of memory, and what is left, read from /proc and the container's own bounds."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
MIB = 1 << 20


@dataclass(frozen=True)
class Process:
    """A process, told from a later one of the same number by when it started."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Tell whether it still runs; one that only waits to be buried does not."""
        seen = _stat(self.pid)
        return seen is not None and seen[2] == self.started and seen[0] not in "ZX"


def process(pid: int) -> Process | None:
    """Name the process that has this number now."""
    seen = _stat(pid)
    return Process(pid, seen[2]) if seen else None


def family(root: Process) -> list[Process]:
    """List a process and all that descend from it."""
    if not root.alive:
        return []
    parents: dict[int, list[Process]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (seen := _stat(int(entry.name))):
            parents.setdefault(seen[1], []).append(Process(int(entry.name), seen[2]))
    found, fresh = [root], [root]
    while fresh:
        fresh = [child for one in fresh for child in parents.get(one.pid, ())]
        found += fresh
    return found


def mib(processes: list[Process]) -> float:
    """Add up what they take, each shared page counted by the share of it."""
    return sum(_proportional(one.pid) for one in processes) / MIB


def kill(processes: list[Process]) -> None:
    """End those that still run, at once."""
    for one in processes:
        if one.alive:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def room_mib() -> float:
    """Tell how much may still be taken: by the machine, or by this container where it has a bound of its own."""
    rooms = [_number(PROC / "meminfo", "MemAvailable:") * 1024]
    with suppress(OSError, ValueError):
        most, taken = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        # Files that were read count as taken, but are dropped for whoever needs the room.
        rooms.append(most - taken + _number(CGROUP / "memory.stat", "inactive_file"))
    return min(rooms) / MIB


def _stat(pid: int) -> tuple[str, int, str] | None:
    """Read state, parent and start; the name before them may hold spaces and brackets."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), fields[19]


def _proportional(pid: int) -> int:
    # Without the right to look into a process, what it has resident is the nearest figure there is.
    for name, line in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            return _number(PROC / str(pid) / name, line) * 1024
    return 0


def _number(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
