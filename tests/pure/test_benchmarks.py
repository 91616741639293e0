"""The page of figures is what the generator makes of the kept JSON; each figure has its control."""

from __future__ import annotations

import json
import re

import pytest

from tests.bench import report
from tests.bench.figures import commit

TARGETS = [
    word for line in (report.HERE / "Makefile").read_text().splitlines() for word in line.partition(":")[0].split()
]


def test_the_page_is_what_the_generator_makes_of_the_kept_json() -> None:
    assert report.PAGE.read_text() == report.page(report.KEPT)


@pytest.mark.parametrize("name", report.SECTIONS)
def test_every_bench_has_kept_figures_beside_a_control_and_the_command_that_made_them(name: str) -> None:
    kept = report.KEPT / f"{name}.json"
    if not kept.exists():
        pytest.skip(f"no run of the bench “{name}” is kept yet: what it would measure is unproven")
    figures = json.loads(kept.read_text())

    assert figures["made"]["command"].removeprefix("make ") in TARGETS
    assert figures["control"]["what"]


def test_figures_name_the_commit_that_was_measured() -> None:
    made = {**json.loads((report.KEPT / "flip.json").read_text())["made"], "commit": "5688d20-dirty"}

    assert re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?|no commit", commit())
    assert "` of 5688d20-dirty · " in report.section("Flips", {"made": made}, [])


def test_a_control_that_loses_nothing_proves_nothing() -> None:
    figures = json.loads((report.KEPT / "flip.json").read_text())
    assert report.flip(figures)[0].met

    figures["control"]["failed"] = 0

    assert report.flip(figures)[0].met is False
