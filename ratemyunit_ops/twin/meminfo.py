"""The memory a machine sees. Its cgroup bounds it, but /proc/meminfo would tell of the outer machine's memory.

One daemon writes each limited machine's own figures once a second into a file that the machine mounts over
/proc/meminfo, so that `free`, the agents and the host program read what they would on AWS.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.cgroups import Cgroup
from ratemyunit_ops.twin.site import Site


def begin(site: Site, machine: str, limit: int) -> None:
    """Keep this machine's figures from now on."""
    where = directory(site, machine)
    where.mkdir(parents=True, exist_ok=True)
    _write(where / "meminfo", limit, 0, 0)
    (where / "limit").write_text(str(limit))
    daemons.start(site, "meminfo", daemons.python("meminfo", site.name, str(site.state_root)), inside=False)


def directory(site: Site, machine: str) -> Path:
    """Where the machine's figures are, outside; it mounts this directory at /run/twin."""
    return site.state_dir / "meminfo" / machine


def text(limit: int, used: int, cached: int) -> str:
    """Spell the figures as the kernel does, for a machine without swap."""
    free = max(limit - used - cached, 0)
    rows = {"MemTotal": limit, "MemFree": free, "MemAvailable": max(limit - used, 0), "Buffers": 0, "Cached": cached}
    rows |= {"SwapCached": 0, "SwapTotal": 0, "SwapFree": 0, "Shmem": 0, "SReclaimable": 0}
    return "".join(f"{name + ':':<16}{value // 1024:>8} kB\n" for name, value in rows.items())


def _write(file: Path, limit: int, used: int, cached: int) -> None:
    # In place and of constant length: the file is mounted by inode, and a reader must not see a half.
    with file.open("r+b" if file.exists() else "wb") as out:
        out.write(text(limit, used, cached).encode())


def _refresh(site: Site) -> None:
    for where in (site.state_dir / "meminfo").iterdir():
        with suppress(FileNotFoundError, ValueError):  # off, or just being made
            cgroup = Cgroup(f"{site.cgroup}/machines/{where.name}")
            used, cached = cgroup.memory()
            _write(where / "meminfo", int((where / "limit").read_text()), used, cached)


def main(name: str, state_root: str) -> None:
    """Keep the figures of one site until killed."""
    site = Site(name=name, state_root=Path(state_root))
    while True:
        _refresh(site)
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
