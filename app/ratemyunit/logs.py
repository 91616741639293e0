"""One JSON object a line on stdout, each with the release and role that says it, and what it is about.

What is logged is named field by field, and `redact` goes over every line before it leaves. The fields are a contract
(docs/contract-app.md): metric filters and `rmu logs` read them.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import uuid4

from ratemyunit.redact import redact

# What the line in hand belongs to: a request or a job. Threads that answer for a request inherit it.
_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))
KEPT = ("at", "level", "release", "role", "logger", "message", "request_id", "job")
LONGEST_LINE = 8000
"""In bytes. A container's longer line reaches the journal in pieces, and half a JSON object is none."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class JsonLines(logging.Formatter):
    """Format a record as one JSON object; `extra={"fields": {...}}` adds fields."""

    def __init__(self, always: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._always = dict(always or {})

    def format(self, record: logging.LogRecord) -> str:
        """Render one line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._always,
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return whole(redact(line))


def whole(line: Mapping[str, object]) -> str:
    """Spell a line; one that podman would tear in pieces keeps only who says it, about what, and its beginning."""
    text = _spelled(line)
    if len(text.encode()) <= LONGEST_LINE:
        return text
    kept = {name: str(line[name])[:1000] for name in KEPT if name in line}
    return _spelled({**kept, "cut": len(text)})


def _spelled(line: Mapping[str, object]) -> str:
    # Half a letter, which a page may say, has no bytes; how JSON escapes it has.
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def start(level: str, *, role: str, release: str = "unknown") -> None:
    """Send every logger to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines({"release": release, "role": role}))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These two say what our own lines say already.
    logging.getLogger("uvicorn").setLevel("WARNING")
    logging.getLogger("alembic").setLevel("WARNING")


@contextmanager
def about(**what: str) -> Iterator[None]:
    """Say what every line and every SQL statement in here belongs to: `request_id=` or `job=`."""
    token = _ABOUT.set({**_ABOUT.get(), **what})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def what_about() -> Mapping[str, str]:
    """Tell what the work in hand belongs to."""
    return _ABOUT.get()


def request_id(given: str) -> str:
    """Take a request's id when it is well formed, else make one: it goes into SQL and logs as it is."""
    return given if REQUEST_ID.fullmatch(given) else str(uuid4())
