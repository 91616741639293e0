"""The installed wheel alone, in a folder of its own: no checkout, no Terraform and no podman on PATH."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.twin.driver import CHECKOUT, Answer, Running, Stack

pytestmark = pytest.mark.twin


def install(where: Path) -> Path:
    """Build the wheel, install it into a new environment; what it depends on is taken from this one."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(where / "dist"), str(CHECKOUT)]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(where / "venv")], check=True, capture_output=True)
    (wheel,) = (where / "dist").glob("*.whl")
    pip = [str(where / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return where / "venv" / "bin"


def test_a_rollback_needs_the_installed_wheel_and_nothing_else(stack: Stack, tmp_path: Path) -> None:
    old, new = stack.live(), stack.push()
    stack.deploy(new)
    bin = install(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environ = {**stack.environ(), "PATH": str(bin), "PYTHONPATH": sysconfig.get_path("purelib")}
    from_where = [str(bin / "python"), "-c", "import ratemyunit_ops; print(ratemyunit_ops.__file__)"]
    package = subprocess.run(from_where, check=True, capture_output=True, text=True, env=environ, cwd=elsewhere).stdout

    def rmu(*words: str) -> Answer:
        answer = Running([str(bin / "rmu"), *words, "--json"], environ, elsewhere).end()
        assert answer.code == 0, answer.says()
        return answer

    with stack.no_drop():
        back = rmu("rollback", "--yes")
    dry = rmu("deploy", new, "--dry-run")
    books = rmu("runbook", "list")

    assert Path(package.strip()).is_relative_to(tmp_path)
    assert (back["outcome"], back["release"]) == ("done", old)
    assert "disk-full" in {book["name"] for book in books["runbooks"]}
    assert dry["outcome"] == "dry_run"  # the wheel brings what goes to hosts: they were just asked
    stack.serves_alone(old)
