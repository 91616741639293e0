"""What this machine holds, before and after: a difference needs no list of names to look for.

Other twins may come and go meanwhile, and images be built. What bears a twin's name is that twin's, and a process is
ours when it inherited our mark, whoever adopted it since, or when it sits in a cgroup that was not there before.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.cgroups import hierarchies
from ratemyunit_ops.twin.site import Site

Footprint = dict[str, set[str]]
MARK = "RMU_TEST_FOOTPRINT"
T = TypeVar("T")


def marked(mark: str, do: Callable[..., T], *words: object) -> T:
    """Do something in a process of its own that bears the mark: what this one starts meanwhile must not inherit it."""
    own = get_context("spawn")
    with ProcessPoolExecutor(1, own, initializer=bear, initargs=(mark,)) as bearer:
        return bearer.submit(do, *words).result()


def bear(mark: str) -> None:
    os.environ[MARK] = mark


def footprint() -> Footprint:
    """List mounts, network namespaces, links, cgroups, loop devices and files of twins, each by what identifies it."""
    return {
        "mounts": {" ".join(line.split()[3:5]) for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "namespaces": names_in("/run/netns"),
        "links": {line.split()[1] for line in said("ip", "-o", "link")},
        "cgroups": {directory for directory, _, _ in os.walk("/sys/fs/cgroup")},
        "loops": set(said("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")),
        "files": {f"{top}/{name}" for top in FILES for name in names_in(top)},
    }


FILES = ("/var/lib/rmu-twin", "/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export")


def names_in(folder: str) -> set[str]:
    return set(os.listdir(folder)) if Path(folder).is_dir() else set()


def said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def processes(mark: str, cgroups: set[str]) -> set[str]:
    """List the living processes that inherited a mark or sit in one of the cgroups; ourselves apart."""
    roots = hierarchies()
    inside = tuple({path.removeprefix(str(r)) for path in cgroups for r in roots if path.startswith(f"{r}/")})
    return {line for number, line in living() if number != os.getpid() and is_ours(number, mark, inside)}


def living() -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        started = daemons.start_time(int(process.name))
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if started is not None:
                yield int(process.name), f"{process.name} since {started}: {words[:100]}"


def is_ours(number: int, mark: str, inside: tuple[str, ...]) -> bool:
    with suppress(OSError):
        if f"{MARK}={mark}".encode() in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
            return True
        places = [line.split(":", 2)[2] for line in Path(f"/proc/{number}/cgroup").read_text().splitlines()]
        return any(place.startswith(inside) for place in places)
    return False


def since(before: Footprint, mark: str, site: Site) -> Footprint:
    """Tell what there is that was not there before, less what bears the name of another twin."""
    others = {name for name in names_in("/var/lib/rmu-twin") if name != site.name}
    new = {kind: {one for one in there - before[kind] if not of(one, others)} for kind, there in footprint().items()}
    return {**new, "processes": processes(mark, new["cgroups"])}


def of(thing: str, twins: set[str]) -> bool:
    parts = set(re.split(r"[/\s.:@]+", thing.replace("/var/lib/rmu-twin/", "/")))
    return bool(parts & {word for name in twins for word in (name, f"rmu-{name}")}) or "rmu-fresh" in parts


def left_after(before: Footprint, mark: str, site: Site, patience: float = 120) -> Footprint:
    """Tell what stays. The dead are there until init has buried them, and others' builds until they end."""
    left, until = since(before, mark, site), time.monotonic() + patience
    while any(left.values()) and time.monotonic() < until:
        time.sleep(0.5)
        now = since(before, mark, site)
        left = {kind: things & now[kind] for kind, things in left.items()}
    return left


def kill_every_daemon(site: Site) -> list[str]:
    """Kill whatever the twin has started and remembers, machines' leaders too; answer their names."""
    found = {file.stem: daemons.pid(site, file.stem) for file in (site.state_dir / "run").glob("*.pid")}
    for number in found.values():
        if number is not None:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    return sorted(name for name, number in found.items() if number is not None)
