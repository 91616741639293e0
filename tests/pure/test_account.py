"""The guard against the wrong account: an environment of AWS itself that names none is looked at, and never changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.cli import wire as wiring
from ratemyunit_ops.cli.main import main
from ratemyunit_ops.errors import Mistyped
from tests.fakes import FakeWorld
from tests.fakes.operator import SETTINGS, Operator

CHANGES = [
    "deploy v2 --yes --because x",
    "rollback --yes --because x",
    "infra bootstrap --yes",
    "infra apply --yes --because x",
    "image push v3",
    "db restore --latest --yes --because x",
    "host reboot i-1 --yes --because x",
    "queue pause --yes --because x",
    "incident open --title x --severity SEV-3",
    "incident ack",
    "incident note x",
    "incident escalate --because x",
    "incident close --because x",
    "exec --because x -- true",
]


@pytest.fixture
def world() -> FakeWorld:
    """Make a world where v1 serves and v2 is pushed."""
    world = FakeWorld()
    for version in ("v0", "v1", "v2"):
        world.push(version)
    world.live("v0")
    assert Operator(world).deploy("v1").code == 0
    return world


@pytest.fixture
def nameless(world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    """Let commands speak to that world as to AWS itself, by settings that name no account."""
    config = tmp_path / "rmu.toml"
    config.write_text('[env.production]\nregion = "eu-central-1"\nfront_door = "http://front.example"\n')
    monkeypatch.setenv("RMU_CONFIG", str(config))
    monkeypatch.setenv("RMU_ENV", "production")
    # Real adapters would speak to AWS, and each command would print its last line at the end of all tests.
    monkeypatch.setattr(wiring, "compose", lambda settings, people: world.outside())
    monkeypatch.setattr(wiring.atexit, "register", lambda at_end: None)
    return world


def typed(words: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("sys.argv", ["rmu", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("words", CHANGES)
def test_nothing_is_changed_in_an_account_that_nobody_named(
    words: str, nameless: FakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = nameless.everything()
    with_json = words.replace("--because x --", "--because x --json --") if " -- " in words else f"{words} --json"

    code = typed(with_json, monkeypatch)

    document = json.loads(capsys.readouterr().out)
    assert (code, document["what"]) == (
        Mistyped.exit_code,
        "rmu.toml does not say which account production is; these credentials reach 123456789012",
    )
    assert document["next"] == 'add account = "123456789012" to [env.production] of rmu.toml, if that is the one'
    assert nameless.everything() == before


@pytest.mark.parametrize("words", ["status", "deploy v2 --dry-run", "history"])
def test_looking_needs_no_name_and_shows_the_account_that_sts_told(
    words: str, nameless: FakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not typed(words, monkeypatch)

    frame = "environment production · account 123456789012, which rmu.toml does not name · http://front.example"
    assert frame in capsys.readouterr().err.splitlines()


def test_an_endpoint_is_no_account_of_aws(world: FakeWorld) -> None:
    env = SETTINGS.env.model_copy(update={"account": None, "endpoint": "http://127.0.0.1:4580"})

    assert Operator(world, settings=SETTINGS.model_copy(update={"env": env})).deploy("v2").code == 0
