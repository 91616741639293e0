"""Which cause each recorded fault is, and seeded variations of what was recorded: other numbers, and decoys beside it.

Nothing here makes evidence up. A variation begins with what the twin showed under a planted fault; numbers are moved by
a few percent, but for those that a condition wants to be equal to something, as a status is. Where the planted fault
leaves all conditions on a check's facts as they are on a healthy host, the check shows what it showed under another
recorded fault, the decoy. A decoy never is one that the same runbook is about, and always changes what is shown.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ratemyunit_ops.runbooks.conditions import Facts
from ratemyunit_ops.runbooks.evidence import Evidence, facts_of
from ratemyunit_ops.runbooks.judging import Diagnosis, judge
from ratemyunit_ops.runbooks.reading import pages
from ratemyunit_ops.runbooks.schema import Runbook
from ratemyunit_ops.shipped import shipped

EVIDENCE = Path(__file__).parent / "evidence"
CASES = 100
DEAD = frozenset({"agent-kill", "freeze-host", "region-lost"})
"""Faults that leave most questions without an answer: no decoys, or nothing of the planted fault would be seen."""
MOVES = 0.04
"""By how much a number may be another in a variation. Small ones count things, and stay."""
SMALL = 20
EQUAL = frozenset({"==", "!=", "in"})

TRUTH: dict[str, dict[str, tuple[str, ...]]] = {
    "healthy": {},
    # the review's three
    "freeze-host": {"host-unresponsive": ("frozen",)},
    "agent-kill": {"host-unresponsive": ("agent-dead",)},
    "cpu-load": {"host-unresponsive": ("busy",)},
    "app-slow": {"host-unresponsive": ("slow",)},
    "memory-eaten": {"host-unresponsive": ("out-of-memory", "memory-killed-the-agent")},
    "connections-full": {"database-connections": ("idle-leak",)},
    "query-slow": {"database-connections": ("slow-query",)},
    "postgres-load": {"database-connections": ("slow-query", "database-busy")},
    "exhausted-with-slow-query": {"database-connections": ("idle-leak",)},
    "worker-stuck": {"queue-stalled": ("worker-hung",)},
    "queue-with-full-disk": {"queue-stalled": ("worker-hung",), "disk-full": ("something-else",)},
    # the others
    "redis-lost": {"redis-lost": ("stopped",)},
    "redis-frozen": {"redis-lost": ("hung",)},
    "not-ready-for-redis": {"redis-lost": ("stopped",)},
    "journal-full": {"disk-full": ("journal",)},
    "images-piled": {"disk-full": ("images",)},
    "database-storage-low": {"disk-full": ("database-full",)},
    "secret-rotated": {"secret-rotation": ("older-value",)},
    "password-rotated": {"secret-rotation": ("password-changed",)},
    "deploy-killed": {"deploy-stuck": ("carrier-died",)},
    # A deploy parks the worker: that it stands still is true too.
    "deploy-under-way": {"deploy-stuck": ("gets-on",), "queue-stalled": ("worker-stopped",)},
    "eaten-beside-deploy": {
        "host-unresponsive": ("out-of-memory",),
        "deploy-stuck": ("gets-on",),
        "queue-stalled": ("worker-stopped",),
    },
    # The one session that all wait for, the migration among them, is found by its sessions too.
    "lock-in-the-way": {"bad-migration": ("waits-for-lock",), "database-connections": ("blocked",)},
    # Somebody took it by hand: no migration has run.
    "column-gone": {"bad-migration": ("asks-for-what-is-not-there",)},
    "region-lost": {"region-lost": ("region-gone",)},
    "certificate-expiring": {"certificate-expiring": ("imported-ends",)},
    "certificate-ends-tomorrow": {"certificate-expiring": ("imported-ends",)},
    "ledger-gone": {"region-lost": ("ledger-gone",)},
    "release-never-ready": {"release-not-ready": ("the-release",)},
    "release-crashes": {"release-not-ready": ("the-release",)},
    "still-fenced": {"restore-wrong": ("still-fenced",)},
    "restore-failed": {"restore-wrong": ("backup-damaged",)},
    "restore-killed": {"restore-wrong": ("carrier-died",), "deploy-stuck": ("carrier-died",)},
}
"""Fault -> the runbooks that are about it, and the causes that are it. Whoever else names a cause blames wrongly."""


@dataclass(frozen=True)
class Case:
    """One planted fault as one runbook sees it."""

    fault: str
    runbook: str
    truth: tuple[str, ...]
    decoy: str
    turned: bool
    """Whether the decoy makes a condition of another cause true, or no longer true."""
    seed: int
    evidence: tuple[Evidence, ...]

    def named(self) -> str | None:
        """Name the cause that the diagnosis finds."""
        return judge(runbooks()[self.runbook], self.evidence).cause


@cache
def runbooks() -> dict[str, Runbook]:
    """Read every runbook, by name."""
    return {page.runbook.name: page.runbook for page in pages(shipped("runbooks"))}


@cache
def recorded() -> dict[str, dict[str, tuple[Evidence, ...]]]:
    """Read what was recorded: fault -> runbook -> evidence. Evidence of a check that is gone is left out."""
    found = {}
    for path in sorted(EVIDENCE.glob("*.json")):
        document = json.loads(path.read_text())
        found[document["fault"]] = {
            book: tuple(Evidence.model_validate(one) for one in seen)
            for book, seen in document["runbooks"].items()
            if book in runbooks()
        }
    return found


def whole(fault: str) -> bool:
    """Tell whether a fault was looked at by every check that the runbooks have today."""
    seen = recorded().get(fault, {})
    checks = {book: {check.name for check in runbook.diagnosis} for book, runbook in runbooks().items()}
    return all(checks[book] <= {e.check for e in seen.get(book, ())} for book in checks)


def diagnosis(fault: str, runbook: str) -> Diagnosis:
    """Judge recorded evidence as it is."""
    return judge(runbooks()[runbook], recorded()[fault][runbook])


def verdict(fault: str, runbook: str) -> str:
    """Say what a diagnosis makes of a recorded fault: `named`, `points`, `advises`, `silent`, `missed` or `wrong`.

    `points` sends to the runbook that is about it, or to one that does; `advises` offers no remedy, and blames nobody.
    """
    found = diagnosis(fault, runbook).likeliest
    own = TRUTH[fault].get(runbook)
    if found is None:
        return "silent" if own is None else "missed"
    if own is not None and found.cause in own:
        return "named"
    if own is None and found.see and (found.see in TRUTH[fault] or verdict(fault, found.see) == "points"):
        return "points"
    harmless = own is None and found.see is None and not found.remedies
    return "advises" if harmless else "wrong"


def cases(count: int = CASES) -> Iterator[Case]:
    """Make the seeded cases, round and round over what is planted."""
    planted = [(f, book, truth) for f in recorded() if f in TRUTH for book, truth in TRUTH[f].items()]
    for seed in range(count if planted else 0):
        fault, book, truth = planted[seed % len(planted)]
        yield case(fault, book, truth, seed)


def case(fault: str, book: str, truth: tuple[str, ...], seed: int) -> Case:
    """Make one variation of what was recorded. A decoy that turns a condition is taken before one that turns none."""
    rng = random.Random(f"{fault} {book} {seed}")
    planted = recorded()[fault][book]
    shown = {decoy: beside(fault, decoy, book) for decoy in decoys(fault, book)}
    facts = facts_of(runbooks()[book], planted)
    other = [decoy for decoy, mixed in shown.items() if facts_of(runbooks()[book], mixed) != facts]
    turning = [decoy for decoy in other if conditions(book, shown[decoy]) != conditions(book, planted)]
    decoy = rng.choice(turning or other) if other else ""
    mixed = shown.get(decoy, planted)
    return Case(fault, book, truth, decoy, decoy in turning, seed, tuple(moved(one, book, rng) for one in mixed))


def decoys(fault: str, book: str) -> list[str]:
    """Name the recorded faults that may stand beside one: those that the runbook has nothing to say of."""
    if fault in DEAD:
        return []
    others = [d for d in recorded() if d in TRUTH and d not in DEAD and d not in (fault, "healthy")]
    return [d for d in others if book in recorded()[d] and not about(d, book)]


def conditions(book: str, found: Iterable[Evidence]) -> list[bool | None]:
    """Tell of every condition of every cause whether it is so."""
    facts = facts_of(runbooks()[book], tuple(found))
    return [one.holds(facts) for cause in runbooks()[book].causes for one in cause.conditions]


def about(fault: str, book: str) -> bool:
    """Tell whether a runbook has anything to say of a fault: by the table, or by what it says of it alone."""
    return book in TRUTH[fault] or diagnosis(fault, book).cause is not None


def beside(fault: str, decoy: str, book: str) -> tuple[Evidence, ...]:
    """Show the decoy in every check whose conditions the planted fault leaves as they are on a healthy twin."""
    healthy, planted, other = (by_check(name, book) for name in ("healthy", fault, decoy))

    def shown(name: str) -> Evidence:
        if name not in healthy or name not in other:
            return planted[name]
        touched = conditions(book, [planted[name]]) != conditions(book, [healthy[name]])
        return planted[name] if touched else other[name]

    return tuple(shown(name) for name in planted)


def by_check(fault: str, book: str) -> dict[str, Evidence]:
    return {one.check: one for one in recorded()[fault][book]}


def moved(e: Evidence, book: str, rng: random.Random) -> Evidence:
    """Move the numbers of an answer a little, unless that moves one that has to be equal to something."""
    text = re.sub(r"(?<![\w.:-])\d+(?![\w.:-])", lambda m: str(_near(int(m[0]), rng)), e.text)
    text = re.sub(r"\d+(?=%)", lambda m: str(min(_near(int(m[0]), rng), 100)), text)
    rows = tuple({k: _cell(v, rng) for k, v in row.items()} for row in e.rows)
    shaken = e.model_copy(update={"text": text, "rows": rows, "document": _shaken(e.document, rng)})
    return shaken if equals(shaken, book) == equals(e, book) else e


def equals(e: Evidence, book: str) -> Facts:
    """Read the facts that a condition compares with one value, or with a few."""
    compared = {one.fact for cause in runbooks()[book].causes for one in cause.conditions if one.op in EQUAL}
    return {name: value for name, value in facts_of(runbooks()[book], [e]).items() if name in compared}


def _cell(value: str | None, rng: random.Random) -> str | None:
    return str(_near(int(value), rng)) if value is not None and value.isdigit() else value


def _shaken(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        return {k: _shaken(v, rng) for k, v in value.items()}
    if isinstance(value, list):
        return [_shaken(v, rng) for v in value]
    return _near(value, rng) if isinstance(value, int) and not isinstance(value, bool) else value


def _near(number: int, rng: random.Random) -> int:
    return number if abs(number) < SMALL else round(number * rng.uniform(1 - MOVES, 1 + MOVES))
