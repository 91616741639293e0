"""The wire between one rmu process and the fake world: where calls fail, are cut off, or the process is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from ratemyunit_ops.errors import LeaseLost

T = TypeVar("T")
When = Literal["before", "between", "after"]


class Killed(BaseException):
    """kill -9: no except clause of the product may catch it."""


@dataclass
class Fault:
    """One thing that goes wrong, once: at the nth call of a port's verb (`*` is any that changes the world)."""

    call: str
    when: When
    raises: BaseException
    nth: int = 1


@dataclass
class Faults:
    """What is going to go wrong, and what was called."""

    waiting: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    heard: list[tuple[str, int, Callable[[], object]]] = field(default_factory=list)
    """What happens in the world after the nth call of a name."""
    watch: Callable[[], object] = lambda: None
    """Looks at the world after every call, whatever became of it."""

    def add(self, call: str, when: When, raises: BaseException, *, nth: int = 1) -> None:
        self.waiting.append(Fault(call, when, raises, nth))

    def count(self, names: tuple[str, ...]) -> None:
        """A call begins: the nth one of its name is the one to break."""
        self.calls.append(names[0])
        for fault in self.waiting:
            if fault.call in names:
                fault.nth -= 1

    def hear(self, name: str) -> None:
        """A call has ended: let happen what was to come after it."""
        for entry in [h for h in self.heard if (h[0], h[1]) == (name, self.calls.count(name))]:
            self.heard.remove(entry)
            entry[2]()

    def take(self, names: tuple[str, ...], when: When) -> BaseException | None:
        due = next((f for f in self.waiting if f.call in names and f.nth <= 0 and f.when == when), None)
        if due is None:
            return None
        self.waiting.remove(due)
        return due.raises


class Line:
    """One process. Once killed it does nothing any more, its heartbeat included."""

    def __init__(self, faults: Faults, on_death: Callable[[Line], None]) -> None:
        self._faults = faults
        self._on_death = on_death
        self.dead = False

    def call(self, name: str, act: Callable[[], T], *, changes: bool = False, also: tuple[str, ...] = ()) -> T:
        """Do one call of a port, with all that is to go wrong in it."""
        self.alive()
        names = (name, *also, *(("*",) if changes else ()))
        self._faults.count(names)
        self._break(names, "before")
        answer = act()
        self._faults.watch()
        if changes:
            self._break(names, "between")
        self._break(names, "after")
        self._faults.hear(name)
        return answer

    def between(self, name: str) -> None:
        """Stand between two hosts of one call."""
        self._break((name, "*"), "between")

    def alive(self) -> None:
        """Raise where the process is dead; a LeaseLost, since only a heartbeat's callback can still ask."""
        if self.dead:
            raise LeaseLost("this process is dead", next="")

    def _break(self, names: tuple[str, ...], when: When) -> None:
        why = self._faults.take(names, when)
        if why is None:
            return
        if isinstance(why, Killed):
            self.dead = True
            self._on_death(self)
        raise why
