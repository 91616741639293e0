"""The page of figures is what the generator makes of the kept JSON; each figure has its control."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench import bench_quiet, report
from tests.bench.figures import commit
from tests.fresh import kept

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

    command = figures["made"]["command"]
    assert command.startswith("tests/fresh/run ") or command.removeprefix("make ") in TARGETS
    assert figures["control"]["what"]


def test_figures_name_the_commit_that_was_measured() -> None:
    made = {**json.loads((report.KEPT / "flip.json").read_text())["made"], "commit": "5688d20-dirty"}

    assert re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?|no commit", commit())
    assert "` of 5688d20-dirty · " in report.section("Flips", {"made": made}, [])


def test_good_news_that_wakes_somebody_is_counted_in_the_quiet_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str, state: str, topic: str, at: float) -> dict[str, Any]:
        message = json.dumps({"AlarmName": f"rmu-twin-{name}", "NewStateValue": state})
        return {"endpoint": bench_quiet.EMAIL, "at": at, "source": f"rmu-twin-{topic}", "message": message}

    came = [
        told("no-healthy-host", "ALARM", "critical", 5.0),
        told("status-check-failed", "OK", "critical", 15.0),
        told("cpu-high", "OK", "alerts", 15.0),
        {"endpoint": bench_quiet.EMAIL, "at": 16.0, "source": "rmu-twin-critical", "message": "SEV-1 twin: down"},
    ]
    monkeypatch.setattr(bench_quiet, "call", lambda site, what: came)
    stack: Any = SimpleNamespace(site=None)

    woken = bench_quiet.woken(stack, 10.0)

    assert woken == {"rmu-twin-status-check-failed OK": 1, "SEV-1 twin: down": 1}
    assert bench_quiet.heard(stack, 10.0) == {}


def test_a_quiet_hour_that_did_not_count_who_was_woken_does_not_claim_nobody_was() -> None:
    kept = json.loads((report.KEPT / "quiet.json").read_text())

    rows = {name: report.quiet({**kept, "woken": told})[1] for name, told in (("none", {}), ("one", {"x OK": 1}))}
    untold = report.quiet({name: value for name, value in kept.items() if name != "woken"})[1]

    assert (rows["none"].met, rows["one"].met, untold.met) == (True, False, None)
    assert untold.figure == "not counted by this run"


def test_a_control_that_loses_nothing_proves_nothing() -> None:
    figures = json.loads((report.KEPT / "flip.json").read_text())
    assert report.flip(figures)[0].met

    figures["control"]["failed"] = 0

    assert report.flip(figures)[0].met is False


def kept_of(folder: Path, *took: str) -> tuple[str, Any]:
    """Keep what a newborn machine took; answer the file's name and its figures."""
    kept.main("0.5", *took)
    file = next(folder.iterdir())
    return file.stem, json.loads(file.read_text())


def test_a_newborn_machine_is_held_to_what_was_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.figures.OUT", tmp_path)
    name, figures = kept_of(tmp_path, "demo=901", "demo=290", "check=61", "test=1400")

    rows = report.SECTIONS[name][1](figures)

    assert (name, figures["made"]["command"]) == ("fresh", "tests/fresh/run demo demo check test")
    assert [(r.what, r.target, r.met) for r in rows] == [
        ("`make demo`, with all that it has to install, make and build first", "≤ 900 s", False),
        ("`make demo` once more", "≤ 300 s", True),
        ("`make check` after it", "≤ 60 s", False),
        ("`make test` after it", "≤ 1500 s", True),
    ]
    assert rows[1].control == "901 s: the first one" and figures["control"]["what"]


def test_ci_on_a_newborn_machine_is_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.figures.OUT", tmp_path)
    name, figures = kept_of(tmp_path, "ci=4000", "check=50")

    rows = report.SECTIONS[name][1](figures)

    assert (name, figures["made"]["command"]) == ("fresh-ci", "tests/fresh/run ci check")
    assert [(r.what.split(",")[0], r.target, r.met) for r in rows] == [
        ("`.ci/run`", "≤ 1500 s", False),
        ("`make check` after it", "≤ 60 s", True),
    ]
