"""rmu.toml: a mistake in it is the operator's to mend, so it is named by line and key and is never a bug of rmu."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest

from ratemyunit_ops import settings
from ratemyunit_ops.errors import Mistyped

GOOD = """\
project = "ratemyunit"
[env.twin]
region = "us-east-1"
front_door = "http://127.0.0.1:4581"
[env.twin.app]
LOG_LEVEL = "INFO"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "rmu.toml"
    path.write_text(GOOD)
    monkeypatch.setenv("RMU_CONFIG", str(path))
    monkeypatch.delenv("RMU_ENV", raising=False)
    return path


def said(file: Path, text: str) -> str:
    """Load what is not well; answer what an operator reads."""
    file.write_text(text)
    with pytest.raises(Mistyped) as why:
        settings.load()
    assert why.value.next == f"edit {file}"
    return why.value.what.removeprefix(str(file))


def test_an_environment_is_picked_and_the_others_may_have_mistakes(file: Path) -> None:
    file.write_text(f"{GOOD}[env.staging]\nregion = 3\n")

    assert settings.load().project == "ratemyunit"
    assert settings.load("twin").env.app == {"LOG_LEVEL": "INFO"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('projct = "x"\n' + GOOD, ", line 1: projct: extra inputs are not permitted"),
        (GOOD + '[environment.twin]\nregion = "x"\n', ", line 7: environment: extra inputs are not permitted"),
        ("project = 3\n[env.twin]\n", ", line 1: project: input should be a valid string"),
        ("env = 3\n", ", line 1: env: input should be a valid dictionary"),
        ("[env]\ntwin = 3\n", ", line 2: env.twin: input should be a valid dictionary"),
        ("env.twin = 3\n", ", line 1: env.twin: input should be a valid dictionary"),
    ],
)
def test_a_key_that_the_file_does_not_have_is_named_with_its_line(file: Path, text: str, told: str) -> None:
    assert said(file, text) == told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('regoin = "x"', ", line 3: [env.twin] regoin: extra inputs are not permitted"),
        ("measure_every = 5", ", line 3: [env.twin] measure_every: input should be greater than or equal to 10"),
        ("allow_critical_findings = [3]", ", line 3: [env.twin] allow_critical_findings.0: input should be a valid"),
    ],
)
def test_a_wrong_key_of_the_environment_is_named_with_its_line(file: Path, wrong: str, told: str) -> None:
    assert said(file, GOOD.replace("[env.twin]\n", f"[env.twin]\n{wrong}\n")).startswith(told)


def test_a_missing_key_is_named_with_the_line_of_its_table(file: Path) -> None:
    without = GOOD.replace('region = "us-east-1"\n', "")

    assert said(file, without) == ", line 2: [env.twin] region: field required"


def test_a_wrong_value_among_the_apps_settings_is_named_with_its_own_line(file: Path) -> None:
    assert said(file, GOOD.replace('"INFO"', "3")).startswith(", line 6: [env.twin] app.LOG_LEVEL: ")


def test_a_file_that_is_not_utf_8_is_named_with_the_line(file: Path) -> None:
    file.write_bytes(GOOD.encode() + "# später\n".encode("latin-1"))

    with pytest.raises(Mistyped, match="line 7: this is not UTF-8"):
        settings.load()


def test_a_file_that_cannot_be_read_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # tests may run as root, whom no mode keeps out

    with pytest.raises(Mistyped, match="cannot be read: Permission denied"):
        settings.load()


def test_a_uid_without_a_name_is_called_as_terraform_calls_it_else_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("USER", "ci")
    named = settings.user()
    monkeypatch.delenv("USER")

    assert named == f"ci@{os.uname().nodename}"
    assert settings.user() == f"{os.getuid()}@{os.uname().nodename}"


@pytest.mark.parametrize("written", ['"90s"', '"PT90S"', "90", '"PT1M30S"'])
def test_a_length_of_time_is_read_as_on_the_command_line_and_as_iso_has_it(file: Path, written: str) -> None:
    file.write_text(GOOD.replace("[env.twin.app]", f"bake = {written}\n[env.twin.app]"))

    assert settings.load().env.bake == timedelta(seconds=90)


def test_a_length_of_time_that_nobody_can_read_is_named(file: Path) -> None:
    told = said(file, GOOD.replace("[env.twin.app]", 'bake = "soon"\n[env.twin.app]'))

    assert told == ", line 5: [env.twin] bake: a length of time is written 30s, 5m, 2h or 7d"
