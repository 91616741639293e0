"""Time that tests own: sleeping moves it. Threads of the product become callbacks on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Due:
    """Something that happens at a moment, once or again and again until it answers False."""

    at: float
    do: Callable[[], object]
    every: float | None = None
    owner: object = None


class FakeClock:
    """The one clock of a fake world."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._due: list[Due] = []
        self._actors: Actors | None = None

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass, and let happen what is due in it."""
        assert seconds >= 0
        if self._actors is not None:
            self._actors.wait_until(self.seconds + seconds)
        else:
            self.move_to(self.seconds + seconds)

    def move_to(self, end: float) -> None:
        while due := min((d for d in self._due if d.at <= end), key=lambda d: d.at, default=None):
            self._due.remove(due)
            self.seconds = max(self.seconds, due.at)
            goes_on = due.do()
            if due.every is not None and goes_on is not False:
                self._due.append(Due(due.at + due.every, due.do, due.every, due.owner))
        self.seconds = max(self.seconds, end)

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Let something happen in so many seconds."""
        self._due.append(Due(self.seconds + seconds, do))

    def every(self, seconds: float, do: Callable[[], object], owner: object) -> None:
        """Let something happen again and again, until it answers False or its owner dies."""
        self._due.append(Due(self.seconds + seconds, do, seconds, owner))

    def forget(self, owner: object) -> None:
        """Drop all that a dead process had going."""
        self._due = [d for d in self._due if d.owner is not owner]

    def together(self, *actors: Callable[[], object]) -> list[object]:
        """Run several people at once, one moving at a time; who sleeps lets the others go on."""
        self._actors = Actors(self, actors)
        try:
            return self._actors.run()
        finally:
            self._actors = None


class Actors:
    """Threads that take turns by the fake clock: always the earliest sleeper wakes. The same order every time."""

    def __init__(self, clock: FakeClock, actors: tuple[Callable[[], object], ...]) -> None:
        self._clock = clock
        self._turn = threading.Condition()
        self._wake: dict[int, float] = {n: clock.seconds + n * 1e-6 for n in range(len(actors))}
        self._now: int | None = None
        self._results: list[object] = [None] * len(actors)
        self._threads = [threading.Thread(target=self._act, args=(n, a), daemon=True) for n, a in enumerate(actors)]
        self._number: dict[int, int] = {}

    def run(self) -> list[object]:
        for thread in self._threads:
            thread.start()
        with self._turn:
            self._next()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive(), "an actor never ended"
        return self._results

    def wait_until(self, moment: float) -> None:
        me = self._number[threading.get_ident()]
        with self._turn:
            self._wake[me] = moment
            self._next()
            self._turn.wait_for(lambda: self._now == me)

    def _act(self, n: int, actor: Callable[[], object]) -> None:
        self._number[threading.get_ident()] = n
        with self._turn:
            self._turn.wait_for(lambda: self._now == n)
        try:
            self._results[n] = actor()
        except BaseException as why:  # noqa: BLE001  (the test judges every way an actor may end)
            self._results[n] = why
        with self._turn:
            del self._wake[n]
            self._next()

    def _next(self) -> None:
        """Give the turn to who wakes first. Called with the lock held, by the one whose turn it was."""
        if not self._wake:
            return
        n = min(self._wake, key=lambda k: (self._wake[k], k))
        self._clock.move_to(self._wake[n])
        self._now = n
        self._turn.notify_all()
