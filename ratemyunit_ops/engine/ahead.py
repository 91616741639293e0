"""What lies ahead of a run that has not ended, by its journal alone: for who looks before they act. Nothing is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ratemyunit_ops.engine.carry import is_unwinding, past_the_fence, undo_of
from ratemyunit_ops.engine.journal import Journal, reopen
from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Plan


class Ahead(Frozen):
    """What would be done: titles by the number of their step, counted from 1, in the order of doing."""

    plan: Plan
    steps: tuple[tuple[int, str], ...]


def if_resumed(o: Outside, run: str, parse: Callable[[dict[str, Any]], Plan]) -> Ahead:
    """Tell what a resume would still do. Raises pydantic.ValidationError when the plan cannot be parsed."""
    journal = _read(o, run, parse)
    back = is_unwinding(journal) and not past_the_fence(journal)
    return Ahead(plan=journal.plan, steps=tuple(_undoing(journal) if back else _left(journal)))


def if_cancelled(o: Outside, run: str, parse: Callable[[dict[str, Any]], Plan]) -> Ahead:
    """Tell what a cancel would do now: undo what was started, or past the fence, where it comes too late, go on.

    Raises pydantic.ValidationError when the plan cannot be parsed.
    """
    journal = _read(o, run, parse)
    return Ahead(plan=journal.plan, steps=tuple(_left(journal) if past_the_fence(journal) else _undoing(journal)))


def _read(o: Outside, run: str, parse: Callable[[dict[str, Any]], Plan]) -> Journal:
    return reopen(o, run, token=run, parse=parse)  # no lease has that token: what is only read cannot be written


def _left(journal: Journal) -> Iterator[tuple[int, str]]:
    titles = enumerate(journal.plan.titles())
    return ((n + 1, title) for n, title in titles if journal.last(n) not in {"done", "found"})


def _undoing(journal: Journal) -> Iterator[tuple[int, str]]:
    for n in reversed(range(len(journal.plan.steps))):
        undo = undo_of(journal, n)
        if undo is not None:
            yield n + 1, undo.title().partition(" [undo:")[0]  # nobody undoes an undo
