"""Take a twin away by what is there in the world, not by what someone remembers having started."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import mounts
from ratemyunit_ops.twin.cgroups import Cgroup
from ratemyunit_ops.twin.site import Site

_NSPAWN_FILES = (Path("/run/systemd/nspawn/propagate"), Path("/run/systemd/nspawn/unix-export"))


def lower_ground(site: Site) -> None:
    """End every process, mount, link, cgroup and namespace of the site and wipe its state; caches stay.

    Raises Failed when something does not go away.
    """
    left = Cgroup(site.cgroup).kill() + _kill_inside(site)
    if left:
        raise Failed(f"processes do not die: {left}", state="The twin is half down.", next="rmu twin down")
    for where in (site.state_dir, *_leavings_of_nspawn(site)):
        mounts.unmount_below(where)
    if site.netns_file.exists():
        # Its links (bridge, machines' ends) go with it.
        subprocess.run(["ip", "netns", "delete", site.netns], check=True)
    Cgroup(site.cgroup).remove()
    for where in _leavings_of_nspawn(site):
        where.rmdir()
    if mounts.below(site.state_dir):
        raise Failed(
            f"{site.state_dir} still has mounts", state="The twin is down, its state is kept.", next="rmu twin down"
        )
    shutil.rmtree(site.state_dir, ignore_errors=True)
    with suppress(OSError):
        site.state_root.rmdir()


def _kill_inside(site: Site) -> list[int]:
    """Kill what is in the namespace but not in our cgroup (someone's shell); answer what did not die in 10 s."""
    until = time.monotonic() + 10
    while (left := _inside(site)) and time.monotonic() < until:
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    return left


def _inside(site: Site) -> list[int]:
    if not site.netns_file.exists():
        return []
    wanted = site.netns_file.stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            there = (process / "ns/net").stat()
            if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def _leavings_of_nspawn(site: Site) -> list[Path]:
    return [path for top in _NSPAWN_FILES if top.is_dir() for path in top.glob(f"{site.name}.*")]
