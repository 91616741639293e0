"""Small files that another process may read at any moment."""

import json
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The new file is made beside the directory, not in it: dnsmasq reads whatever appears inside.
    new = path.parent.parent / f".{path.parent.name}.{path.name}.new"
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    new.chmod(mode)
    new.replace(path)


def read_json(path: Path, default: Any) -> Any:
    """Read a JSON file; answer the default when it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write a value as JSON, whole."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True) + "\n", mode=mode)
