"""Ctrl-C and SIGTERM where no run listens to them: each is answered in three parts, and says what goes on by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Interrupted
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.terraform import Folders, Terraform
from ratemyunit_ops.reports.schemas import DOCUMENTS
from tests.fakes import FakeWorld

# A shell's background job ignores SIGINT, and so would all that it starts.
STOPPED = """
import os, signal, sys
from ratemyunit_ops import settings
from ratemyunit_ops.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
number = int(sys.argv.pop())
settings.load = lambda env: os.kill(os.getpid(), number)
main()
"""
TERRAFORM = """#!/bin/sh
echo '{"type": "apply_start", "hook": {"action": "create", "resource": {"addr": "aws_s3_bucket.state"}}}'
sleep 0.5
touch ended
"""


def stopped(number: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a command that gets a signal while it reads its settings."""
    argv = [sys.executable, "-c", STOPPED, *words, str(number)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_stopped_before_its_run_began_says_so_to_people(number: int) -> None:
    ended = stopped(number, "deploy", "v1", "--because", "new search")

    assert (ended.returncode, ended.stdout) == (Interrupted.exit_code, "")
    what, state, after = ended.stderr.splitlines()
    assert what == "stopped by Ctrl-C or SIGTERM, before a run began"
    assert "nothing to resume" in state
    assert after == "next: rmu deploy v1 --because 'new search'   (the same again)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("words", "schema"), [("deploy v1", "run"), ("status", "failure")])
def test_a_command_stopped_before_its_run_began_says_so_to_programs(number: int, words: str, schema: str) -> None:
    ended = stopped(number, *words.split(), "--json")

    document = json.loads(ended.stdout)
    DOCUMENTS[schema].model_validate(document)
    assert (ended.returncode, document["outcome"]) == (Interrupted.exit_code, "interrupted")
    assert [json.loads(line)["what"] for line in ended.stderr.splitlines()] == [document["what"]]


def test_who_stops_a_bootstrap_is_told_that_terraform_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(TERRAFORM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    account = Account(region="us-east-1")
    terraform = Terraform("test", account, FakeWorld().outside().identity, Folders(sources=tmp_path, work=tmp_path))
    home = tmp_path / "test"
    sources = home / "src" / "live" / "bootstrap"
    sources.mkdir(parents=True)

    def press(name: str, action: str, seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as told, terraform._alone():
        terraform._change("bootstrap", "apply", on_event=press)

    assert str(home / "bootstrap-apply.log") in told.value.state and "goes on by itself" in told.value.state
    assert told.value.next == "rmu infra bootstrap --env test"
    os.waitpid(int((home / "terraform.pid").read_text()), 0)
    assert (sources / "ended").exists()
