"""Every diagnosis on every recorded fault, and the seeded cases, as figures and as a page.

python -m tests.runbooks.matrix     writes docs/bench/diagnosis.json and docs/diagnosis.md
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.runbooks import cases

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "bench" / "diagnosis.json"
PAGE = ROOT / "docs" / "diagnosis.md"
MARKS = {"named": "**{}**", "points": "→ {}", "advises": "({})", "silent": "·", "missed": "MISSED", "wrong": "WRONG {}"}

WORDS = """\
# What the diagnoses find

Written by `python -m tests.runbooks.matrix`; a test holds it against today's runbooks and evidence.

**{named} of {cases} seeded cases are named by their planted cause**, {with_decoy} of them with a decoy beside it; in
{turned} of these it makes a condition of another cause true, or no longer true.
They come from {recorded} faults that were made on the local AWS and looked at through the ports of `rmu runbook run`
([evidence](../tests/runbooks/evidence), [how](../tests/runbooks/record.py)). A case moves numbers by a few percent, and
shows another recorded fault in the checks that the planted one leaves alone ([rules](../tests/runbooks/cases.py));
no number is moved that a condition wants to be equal to something, and no decoy is counted that changes nothing.
Faults of the list that were not recorded yet: {lacking}.
Recorded before all of today's checks were there, so that what a newer check sees is unknown in them, and their cells
are to be made anew: {in_part}.

| runbook | faults recorded for it | seeded cases | named |
|---|---|---|---|
{by_book}

## Every diagnosis on every recorded fault

**Bold** names the planted cause; an arrow points to the runbook that is about it; in parentheses: an advice without a
remedy, which blames nobody; a dot: no cause.

{matrix}

## Seeded cases that were missed

{missed}
"""


def figures() -> dict[str, Any]:
    """Judge everything that was recorded, and everything that is seeded."""
    faults = [name for name in cases.TRUTH if name in cases.recorded()]
    cells = {fault: {book: cell(fault, book) for book in cases.recorded()[fault]} for fault in faults}
    made = list(cases.cases())
    missed = [c for c in made if c.named() not in c.truth]
    by_book = {
        book: {
            "cases": sum(c.runbook == book for c in made),
            "named": sum(c.runbook == book and c.named() in c.truth for c in made),
            "recorded": sum(book in cases.TRUTH[fault] for fault in faults),
        }
        for book in cases.runbooks()
    }
    return {
        "cases": len(made),
        "named": len(made) - len(missed),
        "with_decoy": sum(bool(c.decoy) for c in made),
        "turned": sum(c.turned for c in made),
        "recorded": len(faults),
        "not_recorded": [name for name in cases.TRUTH if name not in faults],
        "in_part": [name for name in faults if not cases.whole(name)],
        "missed": [{"fault": c.fault, "runbook": c.runbook, "decoy": c.decoy, "named": c.named()} for c in missed],
        "verdicts": dict(Counter(one["verdict"] for row in cells.values() for one in row.values())),
        "runbooks": by_book,
        "matrix": cells,
    }


def cell(fault: str, book: str) -> dict[str, Any]:
    found = cases.diagnosis(fault, book).likeliest
    return {
        "verdict": cases.verdict(fault, book),
        "cause": found.cause if found else None,
        "see": found.see if found else None,
    }


def page(told: dict[str, Any]) -> str:
    """Write the page."""
    books = list(told["runbooks"])
    head = ["| planted fault | " + " | ".join(books) + " |", "|---" * (len(books) + 1) + "|"]
    matrix = told["matrix"].items()
    rows = [f"| {fault} | " + " | ".join(shown(row.get(book)) for book in books) + " |" for fault, row in matrix]
    by_book = [
        f"| [{book}](../runbooks/{book}.yaml) | {n['recorded']} | {n['cases']} | {n['named']} |"
        for book, n in told["runbooks"].items()
    ]
    missed = [
        f"- {one['fault']} beside {one['decoy'] or 'nothing'}: {one['runbook']} said {one['named'] or 'nothing'}"
        for one in told["missed"]
    ]
    return WORDS.format(
        **{name: told[name] for name in ("named", "cases", "with_decoy", "turned", "recorded")},
        lacking=", ".join(told["not_recorded"]) or "none",
        in_part=", ".join(told["in_part"]) or "none",
        by_book="\n".join(by_book),
        matrix="\n".join([*head, *rows]),
        missed="\n".join(missed or ["None."]),
    )


def shown(cell: dict[str, Any] | None) -> str:
    """Write one verdict."""
    if cell is None:
        return "not asked"
    word = cell["see"] if cell["verdict"] == "points" else cell["cause"]
    return MARKS[cell["verdict"]].format(word)


def text(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=1) + "\n"


if __name__ == "__main__":
    now = figures()
    FIGURES.write_text(text(now))
    PAGE.write_text(page(now))
    print(f"{now['named']} of {now['cases']}; {now['verdicts']}")
