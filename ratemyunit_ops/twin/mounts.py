"""Mounts of the twin, read from the kernel rather than remembered."""

import re
import subprocess
from pathlib import Path

from ratemyunit_ops.errors import Failed


def mount(arguments: list[str]) -> None:
    """Mount something. Raises Failed with mount's own words."""
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(
            f"mount {' '.join(arguments)[:120]}: {done.stderr.strip()}",
            state="The machine was not started.",
            next="rmu twin down",
        )


def below(where: Path) -> list[Path]:
    """Answer every mount at or below a path, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(_plain(line.split()[4])) for line in lines]
    return [point for point in reversed(points) if point == where or where in point.parents]


def unmount_below(where: Path) -> None:
    """Unmount everything at or below a path; what is busy is detached now and ends with its last user."""
    for point in below(where):
        if subprocess.run(["umount", str(point)], check=False, capture_output=True).returncode != 0:
            subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=True)


def _plain(text: str) -> str:
    """Undo mountinfo's octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
