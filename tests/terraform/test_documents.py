"""The scripts inside the SSM documents, run as an agent would run them."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.terraform.conftest import SOURCES

SCRIPTS = SOURCES / "modules/access/scripts"
PROGRAM = b"import sys; print(len(sys.argv), sys.stdin.read())\n"


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def host_script(tmp_path: Path) -> str:
    """The host document's script, with the host's folder moved to where a test may write."""
    return (SCRIPTS / "host.sh").read_text().replace("/usr/local/lib/rmu", str(tmp_path))


def run(script: str, **parameters: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], **{f"SSM_{name}": value for name, value in parameters.items()}}
    return subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_the_host_document_runs_the_callers_program_on_the_request(host_script: str) -> None:
    done = run(host_script, program=packed(gzip.compress(PROGRAM)), request=packed(b'{"verb": "survey"}'))

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '1 {"verb": "survey"}'


def test_a_program_is_kept_once_under_its_checksum(host_script: str, tmp_path: Path) -> None:
    for _ in range(2):
        run(host_script, program=packed(gzip.compress(PROGRAM)), request=packed(b"{}"))

    kept = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert len(kept) == 1 and kept[0].endswith("/rmu_host.py")
    assert not list(tmp_path.rglob(".new-*"))


def test_a_program_that_nobody_called_for_a_week_goes_and_one_that_is_called_again_stays(
    host_script: str, tmp_path: Path
) -> None:
    again, other = packed(gzip.compress(PROGRAM)), packed(gzip.compress(b"pass\n"))
    for program in (again, other):
        run(host_script, program=program, request=packed(b"{}"))
    long_ago = time.time() - 9 * 86400
    for kept in (tmp_path / "versions").iterdir():
        os.utime(kept, (long_ago, long_ago))

    done = run(host_script, program=again, request=packed(b"{}"))

    assert (done.returncode, done.stdout.strip()) == (0, "1 {}")
    left = [p.read_bytes() for p in tmp_path.rglob("rmu_host.py")]
    assert left == [PROGRAM]


def test_a_program_that_arrived_damaged_is_not_run(host_script: str, tmp_path: Path) -> None:
    done = run(host_script, program=packed(gzip.compress(PROGRAM)[:-12]), request=packed(b"{}"))

    assert done.returncode != 0
    assert not list(tmp_path.rglob("rmu_host.py"))


def test_exec_takes_arguments_as_they_are_and_answers_with_the_commands_own_code() -> None:
    argv = ["sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a b", "$(id)", "'"]

    done = run((SCRIPTS / "exec.sh").read_text(), argv=packed(json.dumps(argv).encode()))

    assert (done.stdout, done.returncode) == ("a b|$(id)|'|", 7)


def test_exec_says_what_it_could_not_run() -> None:
    done = run((SCRIPTS / "exec.sh").read_text(), argv=packed(b'["no-such-command"]'))

    assert done.returncode == 1
    assert done.stderr.strip() == "no-such-command: No such file or directory"


@pytest.mark.parametrize(("code", "told"), [("exit 194", 1), ("kill -9 $$", 137), ("exit 195", 195)])
def test_no_command_can_make_the_agent_reboot_the_host(code: str, told: int) -> None:
    argv = json.dumps(["sh", "-c", code]).encode()

    done = run((SCRIPTS / "exec.sh").read_text(), argv=packed(argv))

    assert done.returncode == told
