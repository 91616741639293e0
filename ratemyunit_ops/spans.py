"""Lengths of time as people write them: 30s, 5m, 2h, 7d."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

WRITTEN = re.compile(r"(\d{1,5})\s*([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
EXAMPLES = "30s, 5m, 2h or 7d"


def read_span(text: str) -> timedelta:
    """Read a length of time. Raises ValueError for anything else, a bare number too: it has no unit."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"a length of time is written {EXAMPLES}")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _only(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return read_span(value if isinstance(value, str) else "")


def _also(value: Any) -> Any:
    return read_span(value) if isinstance(value, str) and not value.startswith("P") else value


Span = Annotated[timedelta, BeforeValidator(_only)]
"""A field that is written so."""
SpanOrIso = Annotated[timedelta, BeforeValidator(_also)]
"""A field that is written so, as seconds, or as ISO 8601 has it ("PT5M")."""
