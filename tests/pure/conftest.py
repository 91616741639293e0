"""Pure tests own the time."""

from __future__ import annotations

import pytest

from ratemyunit_ops.engine import lease
from tests.fakes import ProcessClock


@pytest.fixture(autouse=True)
def _beats_follow_the_fake_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases beat by the fake clock.

    Patched, because the product's thread waits by the wall clock on purpose (a frozen laptop must stop beating):
    a bake of five fake minutes would pass without a beat, and a killed process would go on beating.
    """

    def start(self: lease.Lease) -> lease.Lease:
        clock = self._o.clock
        assert isinstance(clock, ProcessClock)
        clock.every(lease.BEAT_EVERY.total_seconds(), self.tick)
        return self

    monkeypatch.setattr(lease.Lease, "start", start)
