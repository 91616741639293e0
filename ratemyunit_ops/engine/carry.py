"""The only loop: look, write, act, write. Carries a plan forward, and back when it must.

Knows steps by their base. A failure before the fence unwinds everything that was started, newest first; after the
fence it stops and names what to type.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from ratemyunit_ops.engine.journal import Event, Journal, read_cancel
from ratemyunit_ops.engine.lease import ACT_WITHIN, Lease
from ratemyunit_ops.errors import (
    NOTHING_CHANGED,
    Bug,
    Failed,
    HalfWay,
    Interrupted,
    LeaseLost,
    LedgerDown,
    Refused,
    RmuError,
    RolledBack,
)
from ratemyunit_ops.model import Facts, Fence
from ratemyunit_ops.ports import Clock, Outside
from ratemyunit_ops.steps.base import Change, Check, Plan

T = TypeVar("T")
LookAt = Callable[[Outside, Iterable[str]], Facts]
"""Reads named facts of the world (live, hosts, database, serving), to hold a plan's `expects` and `holds` against."""


@dataclass(frozen=True)
class Carrier:
    """What the loop needs besides the plan."""

    o: Outside
    lease: Lease
    journal: Journal
    look_at: LookAt
    interrupted: Callable[[], bool] = lambda: False
    agree: Callable[[str], bool] = lambda title: True


class Cancelled(Failed):
    """Somebody else asked this run to stop and unwind."""


def carry(c: Carrier) -> None:
    """Carry the run to its end and close it.

    Raises:
        Refused: a check failed before anything was changed.
        RolledBack: a step failed or the run was cancelled; all it had started is undone.
        HalfWay: it failed after the fence, or an undo failed.
        Interrupted: the operator asked to stop between two steps.
        LeaseLost: someone took over; nothing more was done.
    """
    with _stopping(c):
        if is_unwinding(c.journal) and not past_the_fence(c.journal):
            _unwind(c, Failed("the run had failed before", state="", next="rmu status"), outcome="rolled_back")
        _carry_on(c)
        c.journal.close("done")
        c.lease.free()


@contextmanager
def _stopping(c: Carrier) -> Iterator[None]:
    """Let go where the lease or the ledger is lost, and say what the run had done until then."""
    try:
        yield
    except LeaseLost as why:
        c.lease.let_go()
        if why.state == NOTHING_CHANGED and _any_change_started(c.journal):
            why.state = f"Run {c.journal.plan.run} is no longer ours; what it had done until then is in its journal."
        raise
    except LedgerDown as why:
        c.lease.let_go()
        run = c.journal.plan.run
        raise HalfWay(why.what, state=f"Run {run} stopped where it was.", next=f"rmu resume {run}") from why


def _carry_on(c: Carrier) -> None:
    try:
        _forward(c)
    except (LedgerDown, LeaseLost):
        raise
    except (Interrupted, HalfWay):
        c.lease.let_go()
        raise
    except RmuError as why:
        _stop_or_unwind(c, why)
    except Exception as why:  # noqa: BLE001  a bug in a step is a failed step: journal, unwind, then 70
        _stop_or_unwind(c, _as_failure(why, c.journal.plan.run), bug=why)


def unwind(c: Carrier, because: str) -> None:
    """Give a run up: undo what it started and close it.

    Raises:
        RolledBack: all is undone.
        HalfWay: an undo failed, or the run is past its fence and stays as it is.
        LeaseLost: someone took over; nothing more was undone.
    """
    with _stopping(c):
        if not c.journal.has("abandoned"):
            c.journal.write("abandoned", facts={"because": because})
        if past_the_fence(c.journal):
            _must_go_on(c, because)
            _leave_as_it_is(c, because)
        _unwind(c, Failed(because, state="", next="rmu status"), outcome="rolled_back")


def _must_go_on(c: Carrier, because: str) -> None:
    """Refuse to give a run up past its fence whose flip is still to come: who is served by whom must be settled."""
    if not _flip_to_come(c.journal):
        return
    c.lease.let_go()
    run = c.journal.plan.run
    raise HalfWay(
        because,
        state=f"Run {run} is past the point of no return and in the middle of moving traffic: it can only go on.",
        next=f"rmu resume {run}",
    )


def _flip_to_come(journal: Journal) -> bool:
    steps = enumerate(journal.plan.steps)
    return any(s.flips() and journal.last(n) not in {"done", "found"} for n, s in steps if isinstance(s, Change))


def _leave_as_it_is(c: Carrier, because: str) -> NoReturn:
    c.journal.close("half_way")
    c.lease.free()
    raise HalfWay(
        because,
        state=f"Run {c.journal.plan.run} is past the point of no return: it is closed, and nothing of it was undone.",
        next="rmu status",
    )


def _forward(c: Carrier) -> None:
    resuming = c.journal.has("resumed")
    if not resuming:
        _same_world(c, c.journal.plan.expects, "changed between the plan and its begin")
    for n, step in enumerate(c.journal.plan.steps):
        if c.journal.last(n) in {"done", "found"}:
            continue
        _may_go_on(c, n)
        if resuming:
            resuming = False
            if _frontier_is_settled(c, n):
                continue
        if isinstance(step, Check):
            _check(c, n, step)
        elif isinstance(step, Change):
            _still_holds(c, n, step)
            _change(c, n, step)


def _may_go_on(c: Carrier, n: int) -> None:
    """See between two steps whether anyone cancelled, interrupted, or took the lease."""
    title = c.journal.plan.steps[n].title()
    if not _goes_on_at_once(c.journal.plan, n) and (c.interrupted() or not c.agree(title)):
        c.journal.write("interrupted", facts={"before": title})
        raise Interrupted(
            f"interrupted before: {title}",
            state=f"Everything before it is done and journaled as run {c.journal.plan.run}.",
            next=f"rmu resume {c.journal.plan.run}   (or: rmu abandon {c.journal.plan.run})",
        )
    _end_if_cancelled(c)  # after the question: a person may think for an hour, and meanwhile another one cancels
    if not c.lease.may_act():
        raise LeaseLost(
            f"the ledger could not be reached for {ACT_WITHIN.total_seconds():.0f} s, so no further step was started",
            state=f"Run {c.journal.plan.run} stopped before: {title}",
            next=f"rmu resume {c.journal.plan.run}",
        )
    c.lease.beat(title)


def _goes_on_at_once(plan: Plan, n: int) -> bool:
    """Tell whether a step follows one that nobody may stop after: requests would wait, or be refused, meanwhile."""
    before = plan.steps[n - 1] if n else None
    return isinstance(before, Change) and before.unbroken


def _end_if_cancelled(c: Carrier) -> None:
    """Journal somebody's cancel and stop; past the fence it comes too late."""
    cancel = read_cancel(c.o.ledger, c.journal.plan.run)
    if cancel is None or past_the_fence(c.journal):
        return
    c.journal.write("cancelled", facts=cancel.model_dump(mode="json"))
    raise Cancelled(f"{cancel.who} cancelled this run: {cancel.because}", state="", next="rmu status")


def _frontier_is_settled(c: Carrier, n: int) -> bool:
    """Look at a resume's frontier: the held facts, what should serve, and whether the step is true already."""
    if not past_the_fence(c.journal):  # after it there is only forward, whatever has changed
        _same_world(c, c.journal.plan.holds, "changed while the run was dead")
    step = c.journal.plan.steps[n]
    started = c.journal.ever(n, "started")
    moving = isinstance(step, Change) and started and step.serves()
    if not moving and not (past_the_fence(c.journal) and _flip_to_come(c.journal)):
        _same_world(c, _serving_by_the_journal(c.journal), "is not what this run left")
    if not isinstance(step, Change) or not _look(c, lambda: step.done(c.o)):
        return False
    if started and _has_entries(step):
        return False  # its ledger items belong to its own `done`: do it again, it is safe to repeat
    c.journal.write("done" if started else "found", n, {"seen": "already true"})
    return True


def _has_entries(step: Change) -> bool:
    return type(step).entries is not Change.entries


def _serving_by_the_journal(journal: Journal) -> Facts:
    serving: Facts = {}
    for n, step in enumerate(journal.plan.steps):
        if isinstance(step, Change) and journal.last(n) in {"done", "found"}:
            serving |= step.serves()
    if serving:
        return serving
    return {"serving": journal.plan.expects["live"]} if "live" in journal.plan.expects else {}


def _same_world(c: Carrier, expected: Facts, how: str) -> None:
    if not expected:
        return
    different = _difference(expected, _look(c, lambda: c.look_at(c.o, tuple(expected))))
    if different is None:
        return
    name, before, now = different
    run = c.journal.plan.run
    if not _any_change_started(c.journal):
        raise Failed(f"{name} {how}: planned on {before}, now {now}", state="", next=f"rmu show {run}")
    raise HalfWay(
        f"{name} {how}: {before} is now {now}",
        state=f"Run {run} stopped and did nothing more.",
        next=f"rmu abandon {run}",
    )


def _look(c: Carrier, ask: Callable[[], T]) -> T:
    """Look before anything more is done. What cannot be seen is no reason to unwind: stop, and look again later."""
    try:
        return ask()
    except LedgerDown:
        raise
    except RmuError as why:
        if not _any_change_started(c.journal):
            raise
        run = c.journal.plan.run
        raise HalfWay(why.what, state=f"Run {run} stopped and did nothing more.", next=f"rmu resume {run}") from why


def _difference(expected: Facts, seen: Facts) -> tuple[str, Any, Any] | None:
    """Name the first fact that is not as expected, what it was and what it is."""
    return next(((k, v, seen.get(k)) for k, v in expected.items() if seen.get(k) != v), None)


def _still_holds(c: Carrier, n: int, step: Change) -> None:
    """Look at the held facts before requests are held, traffic is moved or a record written.

    A host born since the plan has booted what the pointer named then: the last moment to notice it is before the
    pointer changes, after that nobody would.
    """
    holds = c.journal.plan.holds
    matters = step.serves() or _has_entries(step) or (step.unbroken and not _goes_on_at_once(c.journal.plan, n))
    if not holds or not matters or past_the_fence(c.journal):
        return
    different = _difference(holds, c.look_at(c.o, tuple(holds)))
    if different is not None:
        name, before, now = different
        raise Failed(f"{name} changed in the middle of the run: {before} is now {now}", state="", next="rmu status")


def _check(c: Carrier, n: int, step: Check) -> None:
    c.journal.write("started", n)
    c.journal.write("done", n, _looking_out_for_cancel(c, step))


def _looking_out_for_cancel(c: Carrier, step: Check) -> Facts:
    """Run a check with a clock that reads the cancel item at every poll."""
    return step.look(_with_clock(c.o, _CancelClock(c)))


class _CancelClock:
    """A clock whose sleep ends with the check when somebody cancels the run."""

    def __init__(self, c: Carrier) -> None:
        self._c = c
        self._clock: Clock = c.o.clock
        self.now = self._clock.now
        self.monotonic = self._clock.monotonic

    def sleep(self, seconds: float) -> None:
        """Sleep, then raise Cancelled when somebody asked."""
        self._clock.sleep(seconds)
        _end_if_cancelled(self._c)


def _with_clock(o: Outside, clock: Clock) -> Outside:
    return replace(o, clock=clock)


def _change(c: Carrier, n: int, step: Change) -> None:
    event = c.journal.write("started", n)
    facts = step.do(_bound(c, event))
    c.journal.write("done", n, facts, entries=step.entries(facts))


def _bound(c: Carrier, event: Event) -> Outside:
    """Make the ports that may act, in the name of one event and of everyone who carried this run."""
    fence = Fence(generation=c.lease.view.generation, sequence=event.number)
    return replace(c.o.at(fence), carriers=c.journal.carriers())


def _stop_or_unwind(c: Carrier, why: RmuError, *, bug: Exception | None = None) -> None:
    n = _current(c.journal)
    if n is not None and c.journal.last(n) == "started":
        facts = {"what": why.what, "next": why.next}
        if bug is not None:
            facts["traceback"] = "".join(traceback.format_exception(bug))
        c.journal.write("failed", n, facts)
    if bug is None and not isinstance(why, Cancelled) and not _any_change_started(c.journal):
        c.journal.close("refused")
        c.lease.free()
        raise Refused(why.what, next=why.next) from why
    if past_the_fence(c.journal):
        c.lease.let_go()
        raise _stopped_past_the_fence(c.journal, why) from why
    _unwind(c, why, outcome="rolled_back", bug=bug)


def _stopped_past_the_fence(journal: Journal, why: RmuError) -> HalfWay:
    """Say that there is only forward, what helps the step that failed, and what is so meanwhile."""
    run = journal.plan.run
    refused = " Requests are refused until it goes on." if _flip_to_come(journal) else ""
    hint = "" if why.next.startswith("rmu resume") else f"({why.next}) "
    state = f"Run {run} is past the point of no return and was not unwound.{refused}"
    return HalfWay(why.what, state=state, next=f"{hint}rmu resume {run}")


def _current(journal: Journal) -> int | None:
    return next((e.step for e in reversed(journal.events) if e.step is not None), None)


def _any_change_started(journal: Journal) -> bool:
    return any(isinstance(s, Change) and journal.ever(n, "started") for n, s in enumerate(journal.plan.steps))


def past_the_fence(journal: Journal) -> bool:
    """Tell whether there is only forward."""
    fences = ((n, s) for n, s in enumerate(journal.plan.steps) if isinstance(s, Change) and s.fence)
    return any(journal.ever(n, "done" if s.by_entries else "started") for n, s in fences)


def is_unwinding(journal: Journal) -> bool:
    """Tell whether the run has turned back."""
    return any(journal.has(kind) for kind in ("failed", "cancelled", "abandoned", "undo-started"))


def _unwind(c: Carrier, why: RmuError, *, outcome: str, bug: Exception | None = None) -> None:
    """Undo everything that was started, newest first; `found` was never ours."""
    undone = [n for n in reversed(range(len(c.journal.plan.steps))) if _undo_one(c, n, why)]
    c.journal.close(outcome)
    c.lease.free()
    run = c.journal.plan.run
    if bug is not None:
        raise Bug(why.what, state=f"Run {run} is rolled back.", next=f"rmu show {run}") from bug
    steps = "1 step" if len(undone) == 1 else f"{len(undone)} steps"
    serving = _serving_before(c.journal.plan)
    state = f"Run {run} is rolled back ({steps} undone){serving}"
    raise RolledBack(why.what, state=state, next=why.next) from why


def undo_of(journal: Journal, n: int) -> Change | None:
    """Name what takes a step back that was started; None where there is nothing to take back, or it is undone."""
    step = journal.plan.steps[n]
    if not isinstance(step, Change) or not journal.ever(n, "started") or journal.ever(n, "undone"):
        return None
    return step.undo()


def _serving_before(plan: Plan) -> str:
    if "live" not in plan.expects:
        return "."
    return f"; {plan.expects['live'] or 'nothing'} still serves {plan.environment}."


def _undo_one(c: Carrier, n: int, why: RmuError) -> bool:
    step, undo = c.journal.plan.steps[n], undo_of(c.journal, n)
    if undo is None:
        return False
    event = c.journal.write("undo-started", n)
    try:
        facts = undo.do(_bound(c, event))
        c.journal.write("undone", n, facts, entries=undo.entries(facts))
    except (LeaseLost, LedgerDown):
        raise
    except Exception as second:
        c.lease.let_go()
        run = c.journal.plan.run
        raise HalfWay(
            f"{why.what}; then undoing “{step.title()}” failed too: {_as_failure(second, run).what}",
            state=f"Run {run} is half undone.",
            next=f"rmu resume {run}   (tries the undoing again)",
        ) from second
    return True


def _as_failure(why: Exception, run: str) -> RmuError:
    if isinstance(why, RmuError):
        return why
    return Failed(f"a bug in rmu: {type(why).__name__}: {why}", state="", next=f"rmu show {run}")
