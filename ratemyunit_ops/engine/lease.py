"""Who may act on an environment: one ledger item, a heartbeat, and take-over by someone who watched it stand still.

A run that ends well frees the item. A run that stops resumably lets go: the item still names the run, its
heartbeat says so, and only that run (or its end) may come next.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from ratemyunit_ops.errors import Busy, LeaseLost, RmuError
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import held, read_lease

BEAT_EVERY = timedelta(seconds=5)
STALE_AFTER = timedelta(seconds=30)
ACT_WITHIN = timedelta(seconds=20)
FREE: dict[str, str | int] = {"token": "", "step": "", "run": ""}
LET_GO = -1
"""The heartbeat of a run that stopped resumably."""


class Lease:
    """A lease we hold. Beats in a thread of its own until freed or let go."""

    def __init__(self, o: Outside, view: LeaseView) -> None:
        self._o = o
        self._view = view
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last_beat = o.clock.monotonic()
        self._lost = False
        self._thread = threading.Thread(target=self._beat_on, name="lease", daemon=True)

    @property
    def view(self) -> LeaseView:
        """Show what we hold."""
        return self._view

    def start(self) -> Lease:
        """Begin to beat."""
        self._thread.start()
        return self

    def may_act(self) -> bool:
        """Tell whether a beat succeeded within the last 20 s; without one no further step may start."""
        return not self._lost and self._o.clock.monotonic() - self._last_beat < ACT_WITHIN.total_seconds()

    def beat(self, step: str | None = None) -> None:
        """Beat once now. Raises LeaseLost when someone took over."""
        with self._lock:
            step = self._view.step if step is None else step
            new = self._view.model_copy(update={"heartbeat": self._view.heartbeat + 1, "step": step})
            self._put(new)
            self._last_beat = self._o.clock.monotonic()

    def free(self) -> None:
        """End the lease: the next run may come."""
        self._end(FREE)

    def let_go(self) -> None:
        """Stop beating, keeping the item in the run's name: it is to be resumed or abandoned."""
        self._end({"heartbeat": LET_GO})

    def _end(self, update: dict[str, str | int]) -> None:
        self._ended.set()
        with self._lock, suppress(RmuError):  # one that cannot be written now goes stale; who comes next sees to it
            self._put(self._view.model_copy(update=update))

    def _put(self, new: LeaseView) -> None:
        try:
            self._o.ledger.put_lease(new, seen=self._view)
        except LeaseLost:
            self._lost = True
            raise
        self._view = new

    def tick(self) -> bool:
        """Beat unless it ended; answer whether to go on beating."""
        if self._ended.is_set():
            return False
        try:
            self.beat()
        except LeaseLost:
            return False
        except RmuError:
            pass  # the ledger did not answer; may_act() turns false by itself after 20 s
        return True

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_EVERY.total_seconds()) and self.tick():
            pass


def acquire(o: Outside, run: str, owner: str) -> Lease:
    """Take the free lease for a run.

    Raises:
        Busy: another run holds it, alive or waiting to be resumed.
    """
    seen = read_lease(o.ledger)
    if seen is not None and held(seen):
        raise busy(seen)
    return take(o, seen, run, owner)


def take_over(o: Outside, run: str, owner: str, *, patience: Callable[[float], None] = lambda seconds: None) -> Lease:
    """Take the lease of a run that let go or whose heartbeat stood still for 30 s by our own clock.

    `patience` is told the seconds still to watch. Raises Busy when the run is alive, LeaseLost
    when somebody was faster.
    """
    seen = read_lease(o.ledger)
    if seen is None or not held(seen):
        return take(o, seen, run, owner)
    if seen.run != run:
        raise busy(seen)
    if seen.heartbeat != LET_GO:
        _watch_it_stand_still(o, seen, patience)
    return take(o, seen, run, owner)


def _watch_it_stand_still(o: Outside, seen: LeaseView, patience: Callable[[float], None]) -> None:
    begin = o.clock.monotonic()
    while (left := STALE_AFTER.total_seconds() - (o.clock.monotonic() - begin)) > 0:
        patience(left)
        o.clock.sleep(min(1.0, left))
        now = read_lease(o.ledger)
        if now is not None and now.token == seen.token and now.heartbeat == LET_GO:
            return
        if now is None or (now.token, now.heartbeat) != (seen.token, seen.heartbeat):
            raise busy(now or seen)


def clear(o: Outside, seen: LeaseView, *, ended: bool, patience: Callable[[float], None]) -> None:
    """Free the lease of a run that will never act: it has ended, or it died before its plan was written.

    Raises:
        Busy: it has not ended and is alive.
        LeaseLost: somebody was faster.
    """
    if not ended and seen.heartbeat != LET_GO:
        _watch_it_stand_still(o, seen, patience)
    o.ledger.put_lease(seen.model_copy(update=FREE), seen=seen)


def take(o: Outside, seen: LeaseView | None, run: str, owner: str) -> Lease:
    """Take the lease for a run if it still is what was seen: free, let go, or standing still. Raises LeaseLost."""
    new = LeaseView(
        run=run,
        owner=owner,
        token=secrets.token_hex(16),
        generation=(seen.generation if seen else 0) + 1,
        heartbeat=0,
    )
    o.ledger.put_lease(new, seen=seen)
    return Lease(o, new).start()


def busy(view: LeaseView) -> Busy:
    """Say who holds the environment and what to type."""
    if view.heartbeat == LET_GO:
        return Busy(
            f"run {view.run} of {view.owner} was left half-done at: {view.step or 'its begin'}",
            next=f"rmu resume {view.run}   (or: rmu abandon {view.run})",
        )
    return Busy(
        f"{view.owner} holds this environment: run {view.run}, now at: {view.step or 'its begin'}",
        next=f"rmu show {view.run}   (if it is dead: rmu resume {view.run})",
    )
