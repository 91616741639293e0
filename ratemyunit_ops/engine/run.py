"""The four ways to work on a run: execute, resume, abandon, cancel. Each takes the lease first, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from ratemyunit_ops.engine.carry import Carrier, LookAt, carry, unwind
from ratemyunit_ops.engine.journal import Event, Journal, ask_cancel, begin, outline, reopen
from ratemyunit_ops.engine.lease import LET_GO, STALE_AFTER, Lease, acquire, clear, take, take_over
from ratemyunit_ops.errors import Busy, HalfWay, LedgerDown, Refused, RmuError, RolledBack
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import held, holder, read_header, read_lease
from ratemyunit_ops.steps.base import Plan


@dataclass(frozen=True)
class Session:
    """What every way needs besides the outside: who acts, how to look and parse, whom to tell."""

    who: str
    because: str
    look_at: LookAt
    parse: Callable[[dict[str, Any]], Plan]
    interrupted: Callable[[], bool] = lambda: False
    agree: Callable[[str], bool] = lambda title: True
    login: str = ""
    on_event: Callable[[Plan, Event], None] = lambda plan, event: None
    patience: Callable[[float], None] = lambda seconds: None


def execute(o: Outside, plan: Plan, s: Session) -> None:
    """Take the free lease, write the plan down and carry it.

    Raises Busy, whatever `carry` raises, and HalfWay when the plan was written but the answer that says so was lost.
    """
    _clear_leftover(o, s)
    lease = acquire(o, plan.run, s.who)
    try:
        journal = begin(o, plan, token=lease.view.token, who=s.who, because=s.because, login=s.login)
    except LedgerDown as why:
        raise _perhaps_begun(o, lease, plan.run, why) from why
    except RmuError:
        lease.let_go()
        raise
    carry(_carrier(o, s, lease, journal))


def _perhaps_begun(o: Outside, lease: Lease, run: str, why: LedgerDown) -> RmuError:
    """Tell a plan that was never written from one whose answer was lost."""
    with suppress(RmuError):
        if read_header(o.ledger, run) is None:
            lease.free()  # from here on a straggler cannot write it any more, so the second look is the last word
            if read_header(o.ledger, run) is None:
                return why
    lease.let_go()
    return HalfWay(
        why.what,
        state=f"Run {run} may have been written down; none of its steps was begun.",
        next=f"rmu resume {run}   (or: rmu abandon {run})",
    )


def resume(o: Outside, run: str, s: Session) -> None:
    """Take over a dead or interrupted run and carry it to its end.

    Raises:
        Refused: no such run, or it has ended.
        Busy: it is alive.
        HalfWay: a step still to do is not known to this version of rmu.
    """
    _clear_leftover(o, s)
    _is_open(o, run)
    lease = take_over(o, run, s.who, patience=s.patience)
    try:
        journal = reopen(o, run, token=lease.view.token, parse=s.parse)
    except ValidationError as why:
        lease.let_go()
        raise unreadable(run, why) from why
    journal.on_event = lambda event: s.on_event(journal.plan, event)
    journal.write("resumed", facts={"who": s.who, "because": s.because, "login": s.login})
    carry(_carrier(o, s, lease, journal))


def abandon(o: Outside, run: str, s: Session, *, watched: LeaseView | None = None) -> None:
    """Take over a dead or interrupted run and undo what it started; `watched` is its lease, seen standing still.

    Raises:
        RolledBack: all of it is undone.
        HalfWay: it is closed, but this version of rmu cannot read a step of it, or it is past its fence.
    """
    _clear_leftover(o, s)
    _is_open(o, run)
    lease = take(o, watched, run, s.who) if watched else take_over(o, run, s.who, patience=s.patience)
    try:
        journal = reopen(o, run, token=lease.view.token, parse=s.parse)
    except ValidationError as why:
        journal = reopen(o, run, token=lease.view.token, parse=outline)
        journal.write("abandoned", facts={"because": s.because, "unreadable": str(why.errors()[0]["loc"])})
        journal.close("half_way")
        lease.free()
        raise unreadable(run, why) from why
    unwind(_carrier(o, s, lease, journal), s.because or "abandoned")


def cancel(o: Outside, run: str, s: Session, *, within: timedelta = timedelta(minutes=15)) -> str:
    """Ask a run to unwind and wait for it; unwind it ourselves when its carrier is dead. Answers its outcome."""
    ask_cancel(o, run, who=s.who, because=s.because or "rolled back")
    until = o.clock.monotonic() + within.total_seconds()
    beat, since = None, o.clock.monotonic()
    while o.clock.monotonic() < until:
        header = read_header(o.ledger, run)
        if header is not None and header.outcome is not None:
            return header.outcome
        seen = read_lease(o.ledger)
        now = (seen.token, seen.heartbeat) if seen else None
        if now != beat:
            beat, since = now, o.clock.monotonic()
        if seen is not None and (
            seen.heartbeat == LET_GO or o.clock.monotonic() - since >= STALE_AFTER.total_seconds()
        ):
            return _unwind_the_dead(o, seen, s)
        o.clock.sleep(0.5)
    raise Busy(f"run {run} was asked to unwind but has not ended", next=f"rmu show {run}")


def _unwind_the_dead(o: Outside, watched: LeaseView, s: Session) -> str:
    with suppress(RolledBack):
        abandon(o, watched.run, s, watched=watched)
    header = read_header(o.ledger, watched.run)
    return header.outcome or "half_way" if header else "half_way"


def _clear_leftover(o: Outside, s: Session) -> None:
    """Free a lease whose process died just before its plan was written, or just after its run was closed."""
    seen = read_lease(o.ledger)
    if seen is None or not held(seen):
        return
    header = read_header(o.ledger, seen.run)
    if header is None or header.outcome is not None:
        clear(o, seen, ended=header is not None, patience=s.patience)


def open_run(o: Outside) -> str | None:
    """Name the run that holds the environment, alive or not."""
    seen = holder(o.ledger)
    return seen.run if seen is not None else None


def _is_open(o: Outside, run: str) -> None:
    header = read_header(o.ledger, run)
    if header is None:
        raise Refused(f"there is no run {run}", next="rmu history")
    if header.outcome is not None:
        raise Refused(f"run {run} has ended: {header.outcome}", next=f"rmu show {run}")


def _carrier(o: Outside, s: Session, lease: Lease, journal: Journal) -> Carrier:
    journal.on_event = lambda event: s.on_event(journal.plan, event)
    return Carrier(o=o, lease=lease, journal=journal, look_at=s.look_at, interrupted=s.interrupted, agree=s.agree)


def unreadable(run: str, why: ValidationError) -> HalfWay:
    """Say which step of a run this version of rmu does not know."""
    first = why.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    return HalfWay(
        f"this rmu cannot read a step of run {run}: {where}: {first['msg']}",
        state="Nothing more was done.",
        next=f"rmu show {run}   (then finish it with the rmu version that began it)",
    )
