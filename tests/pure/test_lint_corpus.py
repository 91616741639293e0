"""The lint against a corpus of our own: every unsafe migration gives the rule it names, no safe one gives any finding.

Each case stands on `base/` and meets the code in `code/`. Its first lines may say more: `rows: table=n` and
`applied: NNNN`. One process reads all of it and one squawk judges all of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from ratemyunit_ops.outside.migrations import FilesOfMigrations
from ratemyunit_ops.outside.squawk import Squawk
from ratemyunit_ops.ports import Complaint, MigrationText
from ratemyunit_ops.reports.lint.judging import Around, Finding, examine, unsafe
from ratemyunit_ops.reports.lint.rules import ASKED, OURS, RULES, SQUAWK, SWITCHED_OFF

CORPUS = Path(__file__).parents[1] / "lint" / "corpus"
BASE = CORPUS / "base" / "0001_shop.py"
KEY = re.compile(r"^(?:-- )?(rule|rows|applied): (.+)$", re.MULTILINE)


def cases(kind: str) -> list[Path]:
    """List the cases: a .sql file, or a folder with revisions."""
    return sorted(CORPUS.joinpath(kind).iterdir())


def files_of(case: Path) -> list[Path]:
    return [case] if case.is_file() else sorted(case.glob("*.py"))


@cache
def read() -> tuple[dict[Path, MigrationText], tuple[Complaint, ...]]:
    """Read and judge the whole corpus once."""
    paths = [BASE, *(f for kind in ("unsafe", "safe") for case in cases(kind) for f in files_of(case))]
    texts = FilesOfMigrations().read(paths)
    return {text.path: text for text in texts}, Squawk().complaints(texts, ASKED)


def said(case: Path) -> dict[str, str]:
    return {key: value for f in files_of(case) for key, value in KEY.findall(f.read_text())}


def lint(case: Path) -> Sequence[Finding]:
    """Judge one case as if it lay in a folder with the base."""
    texts, complaints = read()
    keys = said(case)
    rows = dict([keys["rows"].split("=")]) if "rows" in keys else {}
    around = Around(
        code={str(f.relative_to(CORPUS)): f.read_text() for f in sorted((CORPUS / "code").glob("*.py"))},
        rows={table: int(count) for table, count in rows.items()},
        applied=keys.get("applied", ""),
    )
    base = texts[BASE].model_copy(update={"path": files_of(case)[0].parent / BASE.name})
    found = examine([base, *(texts[f] for f in files_of(case))], complaints, around, root=CORPUS)
    return [f for f in found if not f.file.endswith(BASE.name)]


@pytest.mark.parametrize("case", cases("unsafe"), ids=lambda c: c.name)
def test_an_unsafe_migration_gives_the_rule_it_names(case: Path) -> None:
    rule = said(case)["rule"]

    found = lint(case)

    assert rule in {f.rule for f in found}
    assert unsafe(found) or RULES[rule].severity == "warning"
    assert all(f.why and f.safe_way and f.line > 0 for f in found)


@pytest.mark.parametrize("case", cases("safe"), ids=lambda c: c.name)
def test_a_safe_migration_gives_no_finding(case: Path) -> None:
    found = lint(case)

    assert [f"{f.line} {f.rule}: {f.why}" for f in found if f.severity != "accepted"] == []


def test_the_corpus_is_as_large_as_was_promised() -> None:
    assert len(cases("unsafe")) >= 60
    assert len(cases("safe")) >= 40
    assert {f.suffix for kind in ("unsafe", "safe") for case in cases(kind) for f in files_of(case)} == {".py", ".sql"}


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    named = {said(case)["rule"] for case in cases("unsafe")}

    assert named == set(RULES)


def test_squawk_agrees_case_by_case() -> None:
    _, complaints = read()
    by_squawk = {rule.name for rule in SQUAWK} - {"syntax-error"}

    wanted = {(f, said(case)["rule"]) for case in cases("unsafe") for f in files_of(case)[-1:]}
    seen = {(c.path, c.rule) for c in complaints}

    assert {(f.name, rule) for f, rule in wanted if rule in by_squawk and (f, rule) not in seen} == set()


def test_no_rule_is_both_on_and_off() -> None:
    names = [rule.name for rule in (*OURS, *SQUAWK)]

    assert len(names) == len(set(names))
    assert not set(names) & set(SWITCHED_OFF)
    assert all(SWITCHED_OFF.values())


def test_squawk_knows_every_rule_that_is_asked_of_it_or_switched_off() -> None:
    text = MigrationText(path=Path("x.sql"), text="select 1", statements=read()[0][BASE].statements[:1])

    Squawk().complaints([text], [*ASKED, *SWITCHED_OFF])
