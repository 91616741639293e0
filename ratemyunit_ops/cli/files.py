"""Files that commands write where an operator wants them. What cannot be written is theirs to mend, never a bug."""

from __future__ import annotations

import os
from pathlib import Path

from ratemyunit_ops.errors import Mistyped

ELSEWHERE = "--dir FOLDER   (one that you may write to)"


def make_folder(folder: Path, *, next: str = ELSEWHERE) -> None:
    """Make a folder where it is missing, and see that files can be made in it. Raises Mistyped."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise _not_written(folder, why, next) from why
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Mistyped(f"{folder} cannot be written: it is somebody else's, or read-only", next=next)


def write(file: Path, content: str | bytes, *, next: str = ELSEWHERE) -> None:
    """Write a file whole, text as UTF-8. Raises Mistyped."""
    try:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as why:
        raise _not_written(file, why, next) from why


def _not_written(path: Path, why: OSError, next: str) -> Mistyped:
    return Mistyped(f"{path} cannot be written: {why.strerror or why}", next=next)
