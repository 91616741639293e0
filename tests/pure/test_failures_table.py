"""docs/failures.md is so: every failure has its line, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWED = {*range(1, 42)}
LINES = [line for line in (ROOT / "docs/failures.md").read_text().splitlines() if line.startswith("| F")]
PATHS = [p for folder in ("tests", "app/tests") for p in (ROOT / folder).rglob("test_*.py")]
TESTS = {name for p in PATHS for name in re.findall(r"def (test_\w+)", p.read_text())}


def named(line: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", line))


def test_every_failure_that_is_owed_has_its_line() -> None:
    assert {int(line.split("|")[1].strip()[1:]) for line in LINES} >= OWED


def test_every_line_names_tests_and_they_exist() -> None:
    assert all(named(line) for line in LINES)
    assert {name for line in LINES for name in named(line)} <= TESTS


def test_every_numbered_test_of_an_owed_failure_stands_in_its_line() -> None:
    listed = {name for line in LINES for name in named(line)}
    owed = {t for t in TESTS if any(int(n) in OWED for n in re.findall(r"_f(\d+)(?=_)", t))}

    assert owed <= listed
