"""This machine: which programs it has, and what it is."""

from __future__ import annotations

import os
import platform as _platform
import shutil
import subprocess
import sys
from pathlib import Path


def on_path(program: str) -> str | None:
    """Find a program on PATH, or beside this Python: there a wheel puts its programs, on nobody's PATH."""
    beside = Path(sys.executable).with_name(program)
    return shutil.which(program) or (str(beside) if beside.is_file() else None)


def terraform_version() -> str | None:
    """Tell which Terraform is on PATH, as it says it; None where there is none, empty where it says nothing."""
    program = on_path("terraform")
    if program is None:
        return None
    quietly = {**os.environ, "CHECKPOINT_DISABLE": "1"}  # else it asks HashiCorp whether there is a newer one
    try:
        said = subprocess.run(
            [program, "version"], capture_output=True, text=True, timeout=30, env=quietly, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.partition("\n")[0]


def platform() -> str:
    """Name system and processor, as `Linux x86_64`."""
    return f"{_platform.system()} {_platform.machine()}"
