"""This machine: which programs it has, and what it is."""

from __future__ import annotations

import platform as _platform
import shutil


def on_path(program: str) -> str | None:
    """Find a program on PATH."""
    return shutil.which(program)


def platform() -> str:
    """Name system and processor, as `Linux x86_64`."""
    return f"{_platform.system()} {_platform.machine()}"
