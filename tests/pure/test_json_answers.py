"""However a command ends, programs read every key: refused before there was a run, failed, or only tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.cli.main import main
from ratemyunit_ops.errors import Failed, Mistyped
from ratemyunit_ops.reports.runs import nothing_known
from ratemyunit_ops.reports.schemas import DOCUMENTS, schema
from ratemyunit_ops.show.screen import Screen
from tests.fakes import FakeWorld
from tests.fakes.operator import Ended, Operator
from tests.pure.test_drill import serving

REFUSED = {
    "deploy v42": "run",
    "rollback": "run",
    "resume r-1": "run",
    "abandon r-1": "run",
    "db restore --latest": "db-restore",
    "db salvage r-1": "db-salvage",
    "dr drill": "dr-drill",
    "dr restore": "dr-drill",
    "status": "failure",
    "history": "failure",
}
"""Commands that find no settings, and the schema their answer has."""


@pytest.fixture
def world() -> FakeWorld:
    """v41 serves, deployed by a run that noted a restore point; v42 is pushed."""
    world = FakeWorld()
    for version in ("v40", "v41", "v42"):
        world.push(version)
    world.live("v40")
    assert Operator(world).deploy("v41").code == 0
    world.clock.sleep(3600)
    return world


@pytest.fixture
def cornered() -> FakeWorld:
    """v41 serves, and the stack has a corner for drills."""
    return serving()


def fits(document: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """See that a document has every key that its schema lists first, and is valid by it."""
    assert document is not None
    model = DOCUMENTS[name]
    model.model_validate(document)
    told = {"what", "state", "next", "steps"} if name != "failure" else set()
    assert set(schema(name)["properties"]) - told <= set(document)
    return document


def printed(ended: Ended, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Print a failure as a command under --json does; answer the document, and the lines on stderr."""
    Screen(as_json=True).failure(ended.failure, ended.screen.document)
    out, err = capsys.readouterr()
    return json.loads(out), [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_before_there_is_a_run_has_every_key_and_json_lines_on_stderr(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RMU_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["rmu", *words.split(), "--json"])

    with pytest.raises(SystemExit) as ended:
        main()

    out, err = capsys.readouterr()
    document = fits(json.loads(out), REFUSED[words])
    assert (ended.value.code, document["outcome"]) == (Mistyped.exit_code, "refused")
    assert [json.loads(line)["what"] for line in err.splitlines()] == [document["what"]]


def test_people_read_no_json_of_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RMU_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr("sys.argv", ["rmu", "status"])

    with pytest.raises(SystemExit):
        main()

    out, err = capsys.readouterr()
    assert (out, "next: " in err, "{" in err) == ("", True, False)


def test_a_deploy_that_failed_has_every_key(world: FakeWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.smoke_fails.add("v42")

    document, lines = printed(Operator(world).deploy("v42"), capsys)

    assert fits(document, "run")["outcome"] == "rolled_back"
    assert [line["what"] for line in lines] == [document["what"]]


def test_a_restore_that_failed_has_every_key(world: FakeWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.sequences_stuck = True

    document, _ = printed(Operator(world).restore(latest=True), capsys)

    assert fits(document, "db-restore")["outcome"] == "rolled_back"


def test_a_drill_that_failed_has_every_key(
    cornered: FakeWorld, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cornered.fail("corner.launch", Failed("no capacity", state="", next="rmu dr drill"))

    document, _ = printed(Operator(cornered).drill(tmp_path), capsys)

    assert fits(document, "dr-drill")["outcome"] in {"rolled_back", "half_way", "refused"}


def test_what_is_only_tried_has_every_key(world: FakeWorld, cornered: FakeWorld, tmp_path: Path) -> None:
    ann = Operator(world)

    tried = {
        "run": [ann.deploy("v42", dry_run=True), ann.rollback(dry_run=True)],
        "db-restore": [ann.restore(latest=True, dry_run=True)],
        "dr-drill": [Operator(cornered).drill(tmp_path, dry_run=True)],
    }

    for name, answers in tried.items():
        for answered in answers:
            document = fits(answered.screen.document, name)
            assert (answered.code, document["outcome"]) == (0, "dry_run")
            assert document["steps"]


def test_a_salvage_that_is_only_tried_has_every_key_and_writes_no_file(world: FakeWorld, tmp_path: Path) -> None:
    ann = Operator(world)
    restored = ann.restore(latest=True).screen.document
    assert restored is not None and restored["outcome"] == "done"

    ended = ann.salvage(restored["run"], tmp_path, dry_run=True)

    assert fits(ended.screen.document, "db-salvage")["outcome"] == "dry_run"
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_only_looks_has_no_keys_of_a_run() -> None:
    assert nothing_known("status") == {}
