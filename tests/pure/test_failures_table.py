"""docs/failures.md is so: every failure has its line, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, Mutation

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


def guards(line: str) -> set[str]:
    """Read which guards of a failure were taken out by the command; those of real hosts were, by hand."""
    said = line.rstrip(" |").rpartition(" | ")[2].split("<br>")
    return {one.partition(": **failed**")[0].strip() for one in said if re.search(r"\*\*failed\*\*(?!, )", one)}


def test_the_guards_of_the_table_are_those_that_the_command_takes_out() -> None:
    told = {(line.split("|")[1].strip(), guard) for line in LINES for guard in guards(line)}

    assert told == {(m.number, m.guard) for m in MUTATIONS}
    assert len({(m.number, m.guard) for m in MUTATIONS}) == len(MUTATIONS) > 60


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.number} {m.guard}")
def test_a_guard_stands_once_in_the_code_and_its_test_is_there(mutation: Mutation) -> None:
    file, _, test = mutation.test.partition("[")[0].partition("::")

    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert f"def {test}(" in (ROOT / file).read_text()
    assert test in next(line for line in LINES if line.startswith(f"| {mutation.number} "))
