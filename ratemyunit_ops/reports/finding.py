"""One thing that was looked at, and what mends it."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Frozen


class Finding(Frozen):
    """One thing looked at. `mend` is what to type where it is not well; a note is worth knowing and stops nobody."""

    name: str
    verdict: Literal["ok", "note", "missing", "unknown"]
    seen: str
    mend: str = ""
