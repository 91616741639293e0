"""Runbooks as data: what a file may say, what it may not, and what its evidence proves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratemyunit_ops.runbooks.reading import Page, read_or_complain
from ratemyunit_ops.shipped import shipped

FILES = sorted(shipped("runbooks").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_runbook_is_readable(path: Path) -> None:
    assert isinstance(read_or_complain(path), Page)
