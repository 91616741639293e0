"""Evidence, and the facts that are read out of it. Pure: recorded evidence can be read again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.runbooks.conditions import Facts
from ratemyunit_ops.runbooks.schema import Read, Runbook

LINE_LIMIT = 1000
"""How much of a line a regex is shown: the lint bounds its repetitions, so that it always ends soon."""
ROOM = 6000
"""How many characters of one check's output a journal keeps."""
TRUE, FALSE = frozenset({"t", "true", "yes", "on", "1"}), frozenset({"f", "false", "no", "off", "0"})
STEP = re.compile(r"([^.\[\]]+)|\[(\d+|\*)\]")


class Evidence(Frozen):
    """What one check brought: a whole answer, or why there is none. `cut` says what did not even arrive."""

    check: str
    says: str = ""
    answered: bool = True
    why: str = ""
    exit: int | None = None
    text: str = ""
    rows: tuple[dict[str, str | None], ...] = ()
    document: dict[str, Any] = Field(default_factory=dict)
    cut: str = ""

    def lines(self) -> list[str]:
        """Show it to a person."""
        if not self.answered:
            return [f"no answer: {self.why}"]
        if self.rows:
            return ["  ".join(f"{k}={v if v is not None else '-'}" for k, v in row.items()) for row in self.rows]
        if self.document:
            return [f"{k}: {v if isinstance(v, str) else json.dumps(v)}" for k, v in self.document.items()]
        return self.text.rstrip().splitlines() or ["(nothing)"]


def kept(text: str, room: int = ROOM) -> tuple[str, str]:
    """Keep both ends of an output, since what matters may stand at either, and say what was left out."""
    if len(text) <= room:
        return text, ""
    half = room // 2
    return f"{text[:half]}\n…\n{text[-half:]}", f"kept the first and the last {half} of {len(text)} characters"


def facts_of(runbook: Runbook, found: Sequence[Evidence]) -> Facts:
    """Read every fact that the evidence tells; what it does not tell is not there."""
    by_check = {e.check: e for e in found}
    facts: Facts = {}
    for check in runbook.diagnosis:
        if check.name in by_check:
            facts |= read_all(check.reads, by_check[check.name])
    return facts


def read_all(reads: Mapping[str, Read], e: Evidence) -> Facts:
    """Read the facts of one check."""
    values = {name: value_of(read, e) for name, read in reads.items()}
    return {name: value for name, value in values.items() if value is not None}


def value_of(read: Read, e: Evidence) -> Any:
    """Read one fact; None where the evidence does not tell: what a cut answer does not say, its rest may."""
    if read.answered:
        return e.answered
    if read.error:
        return "" if e.answered else e.why
    if not e.answered:
        return None
    if read.exit:
        return e.exit
    typed = [_typed(one, read.type) for one in _raw(read, e)]
    taken = _take([one for one in typed if one is not None], read.take)
    if e.cut and not taken and (taken is None or read.take == "count"):
        return None
    return read.otherwise if taken is None else taken


def _raw(read: Read, e: Evidence) -> list[Any]:
    if read.column is not None:
        rows = [r for r in e.rows if all(_same(r.get(k), v) for k, v in read.where.items())]
        return [r[read.column] for r in rows if r.get(read.column) is not None]
    if read.path is not None:
        return _along(e.document or _json(e.text), read.path)
    assert read.regex is not None
    form = re.compile(read.regex)
    found = (m for line in e.text.splitlines() for m in form.finditer(line[:LINE_LIMIT]))
    return [m[1] if form.groups else m[0] for m in found]


def _same(cell: str | None, wanted: object) -> bool:
    return cell is not None and (_typed(cell, "truth") is wanted if isinstance(wanted, bool) else cell == str(wanted))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _along(value: Any, path: str) -> list[Any]:
    """Follow a path: `a.b[0].c`, `a[*].b`. A key with dots in it cannot be reached."""
    here = [value]
    for name, index in STEP.findall(path):
        found: list[Any] = []
        for one in here:
            if index == "*":
                found += one if isinstance(one, list) else list(one.values()) if isinstance(one, dict) else []
            elif index:
                found += one[int(index) : int(index) + 1] if isinstance(one, list) else []
            elif isinstance(one, dict) and name in one:
                found.append(one[name])
        here = found
    return [one for one in here if one is not None]


def _typed(raw: Any, kind: str) -> Any:
    """Make a value of the type that was promised; None where it is none."""
    if kind == "number":
        return _number(raw)
    if kind == "truth":
        word = str(raw).strip().lower()
        return True if word in TRUE else False if word in FALSE else None
    return raw if isinstance(raw, str) else json.dumps(raw)


def _number(raw: Any) -> float | int | None:
    if isinstance(raw, bool):
        return int(raw)
    if isinstance(raw, int | float):
        return raw
    try:
        value = float(str(raw).strip())
    except ValueError:
        return None
    return int(value) if value.is_integer() else value


def _take(values: list[Any], how: str) -> Any:
    if how == "count":
        return len(values)
    if not values:
        return None
    if how in {"first", "last"}:
        return values[0 if how == "first" else -1]
    total: Any = {"sum": sum, "max": max, "min": min}[how]
    return total(values)
