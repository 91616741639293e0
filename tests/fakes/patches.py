"""The places of the product that tests must hold still: lease threads, run ids, files that hundreds of cases read."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path

import pytest

from ratemyunit_ops.cli import carrying, drills, machines, migrating, moves, queues, restoring, runbooks, secrets
from ratemyunit_ops.documents import Document, read_documents
from ratemyunit_ops.engine import lease
from ratemyunit_ops.runbooks import reading
from tests.fakes.world import ProcessClock


@cache
def _read(path: Path, changed: int) -> tuple[Document, ...]:
    return read_documents(path)


def _read_once(path: Path) -> tuple[Document, ...]:
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else read_documents(path)


def own_the_time(patch: pytest.MonkeyPatch) -> None:
    """Let leases beat by the fake clock.

    Patched, because the product's thread waits by the wall clock on purpose (a frozen laptop must stop beating):
    a bake of five fake minutes would pass without a beat, and a killed process would go on beating.
    """

    def start(self: lease.Lease) -> lease.Lease:
        clock = self._o.clock
        assert isinstance(clock, ProcessClock)
        clock.every(lease.BEAT_EVERY.total_seconds(), self.tick)
        return self

    patch.setattr(lease.Lease, "start", start)


def type_commands(patch: pytest.MonkeyPatch) -> None:
    """Let commands run in one process: run ids sort by the wall clock's second, and signals are pytest's own."""
    numbers = count(1)
    for module in (moves, machines, migrating, restoring, drills, runbooks, queues, secrets):
        patch.setattr(module, "new_run_id", lambda: f"r-{next(numbers):03d}")
    patch.setattr(carrying, "listen_for_interrupts", lambda w: w.screen.interrupted)
    patch.setattr(reading, "read_documents", _read_once)
