"""What a host runs by itself (at boot, before a slot starts) is the program of its last caller, never an older one."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from rmu_host.slots import prepare
from rmu_host.units import PROGRAM

from tests.fakes.host_machine import DATABASE, App, FakeCloud, FakeMachine, release


def test_f23_a_host_runs_the_program_of_its_last_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m, cloud = FakeMachine(tmp_path / "host"), FakeCloud()
    m.apps = {"sha256:v1": App("v1")}
    m.write(PROGRAM, "the program of a year ago")
    caller = tmp_path / "rmu_host.pyz"
    with zipfile.ZipFile(caller, "w") as archive:
        archive.writestr("__main__.py", "")
    monkeypatch.setattr(sys, "argv", [str(caller)])  # how the document calls it

    prepare(m, release("v1"), DATABASE, cloud)

    assert m.path(PROGRAM).read_bytes() == caller.read_bytes()
