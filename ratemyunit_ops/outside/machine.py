"""This machine: which programs it has, and what it is."""

from __future__ import annotations

import platform as _platform
import shutil
import sys
from pathlib import Path


def on_path(program: str) -> str | None:
    """Find a program on PATH, or beside this Python: there a wheel puts its programs, on nobody's PATH."""
    beside = Path(sys.executable).with_name(program)
    return shutil.which(program) or (str(beside) if beside.is_file() else None)


def platform() -> str:
    """Name system and processor, as `Linux x86_64`."""
    return f"{_platform.system()} {_platform.machine()}"
