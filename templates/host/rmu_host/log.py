"""The host's own log: JSON lines, one for each request and each step of a boot."""

from __future__ import annotations

import json
from typing import Any

from .machine import Machine

LOG = "/var/log/rmu/host.log"


def log(m: Machine, **what: Any) -> None:
    """Add a line."""
    append(m, LOG, what)


def append(m: Machine, name: str, *lines: dict[str, Any]) -> None:
    """Add lines to a log, each with its time."""
    place = m.path(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as f:
        f.writelines(json.dumps({"at": round(m.now(), 3), **line}) + "\n" for line in lines)
