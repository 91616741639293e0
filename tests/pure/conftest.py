"""Pure tests own the time."""

from __future__ import annotations

import pytest

from tests.fakes.patches import own_the_time, type_commands


@pytest.fixture(autouse=True)
def _fake_time_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    own_the_time(monkeypatch)
    type_commands(monkeypatch)
