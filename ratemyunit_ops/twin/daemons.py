"""Processes that outlive the command that starts them: the twin's servers, keepers and machine loops.

Each is a session leader with its input closed, its output in `logs/NAME.log` and a pid file that also holds the
start time, so that a number used again is never mistaken for it. All live in the twin's cgroup: what is lost by
name is still found by place.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ratemyunit_ops
from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin.cgroups import Cgroup
from ratemyunit_ops.twin.site import Site

# $1 pid file, $2 log, $3 how many cgroup.procs files follow, then those files, then the command. The shell puts
# itself into the cgroups and becomes the command, so the pid it writes stays true.
_LAUNCH = r"""
exec </dev/null >>"$2" 2>&1
pidfile=$1; n=$3; shift 3
while [ "$n" -gt 0 ]; do echo $$ > "$1"; shift; n=$((n-1)); done
set -- "$pidfile" "$@"
echo "$$ $(cut -d' ' -f22 /proc/$$/stat)" > "$1.new" && mv "$1.new" "$1"
shift
exec "$@"
"""


def start(
    site: Site, name: str, argv: Sequence[str], *, inside: bool = True, env: Mapping[str, str] | None = None
) -> int:
    """Start a process detached, inside the site's network namespace unless told otherwise; answer its pid.

    Does nothing but answer the pid if it already runs. Raises Failed if it could not be launched.
    """
    running = pid(site, name)
    if running is not None:
        return running
    pidfile, log = pid_file(site, name), log_file(site, name)
    for directory in (pidfile.parent, log.parent):
        directory.mkdir(parents=True, exist_ok=True)
    pidfile.unlink(missing_ok=True)
    procs = [str(p) for p in Cgroup(f"{site.cgroup}/daemons").make()]
    enter = ["nsenter", f"--net={site.netns_file}", "--"] if inside else []
    command = ["setsid", "--fork", "sh", "-c", _LAUNCH, "sh", str(pidfile), str(log), str(len(procs)), *procs]
    subprocess.run([*command, *enter, *argv], check=True, cwd="/", env={**os.environ, **_PYTHON, **(env or {})})
    for _ in range(100):
        if pidfile.exists():
            return int(pidfile.read_text().split()[0])
        time.sleep(0.05)
    raise Failed(f"{name} could not be launched", state="The twin is half up.", next=f"less {log}; rmu twin down")


def python(module: str, *arguments: str) -> list[str]:
    """Build the command that runs one of our own modules."""
    return [sys.executable, "-m", f"ratemyunit_ops.twin.{module}", *arguments]


def pid(site: Site, name: str) -> int | None:
    """Answer the pid of a daemon that runs, else None."""
    try:
        number, started = pid_file(site, name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(number) if start_time(int(number)) == started else None


def stop(site: Site, name: str, *, grace: float = 5.0) -> None:
    """End a daemon: SIGTERM, then SIGKILL after the grace. One that does not run is fine."""
    number = pid(site, name)
    if number is not None:
        os.kill(number, signal.SIGTERM)
        until = time.monotonic() + grace
        while pid(site, name) is not None and time.monotonic() < until:
            time.sleep(0.05)
        if pid(site, name) is not None:
            os.kill(number, signal.SIGKILL)
    pid_file(site, name).unlink(missing_ok=True)


def pid_file(site: Site, name: str) -> Path:
    """Where a daemon's pid and start time are written."""
    return site.state_dir / "run" / f"{name}.pid"


def log_file(site: Site, name: str) -> Path:
    """Where a daemon's output goes."""
    return site.state_dir / "logs" / f"{name}.log"


def start_time(number: int) -> str | None:
    """Answer a process's start time in clock ticks; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


_PYTHON = {"PYTHONPATH": str(Path(ratemyunit_ops.__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
