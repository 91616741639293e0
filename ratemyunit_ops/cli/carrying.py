"""From a plan to its end: show, ask once, carry, show. Also the signals: first Ctrl-C stops between two steps."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import typer
from pydantic import ValidationError

from ratemyunit_ops.cli.wire import Wired, account_is_named
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.ahead import Ahead, if_cancelled, if_resumed
from ratemyunit_ops.engine.journal import Event, read_events
from ratemyunit_ops.errors import Interrupted, Mistyped, Refused, RmuError, RolledBack
from ratemyunit_ops.planning.common import credentials_last, restore_takes, still_restores
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_headers, read_pointer
from ratemyunit_ops.reports.runs import cost_lines, kind_of, nothing_known, report_run
from ratemyunit_ops.show.screen import in_words
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.steps.kinds import parse_plan
from ratemyunit_ops.survey import facts


def new_run_id() -> str:
    """Name a run at plan time: sortable, and not guessable twice within a second."""
    return f"r-{datetime.now(UTC):%y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class Asked:
    """How the operator asked: why, only to look, without questions."""

    because: str | None
    dry_run: bool
    yes: bool
    step: bool = False


def carry_out(
    w: Wired,
    plan: Plan,
    asked: Asked,
    *,
    typed: str = "",
    untyped: Refused | None = None,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Show the plan, ask once where the environment wants it, carry it, do what comes `then`, and show the result.

    `typed` is a word that has to be typed first, whatever the environment wants; `--yes` stands for it, but not where
    there is an `untyped` to raise.
    """
    w.screen.plan(plan)
    if asked.dry_run:
        say_dry_run(w, plan, plan.titles())
        return
    asked = has_typed(w, typed, asked, untyped)
    session = session_of(w, agreed(w, asked, f"{plan.verb} on {plan.environment}?"), step=asked.step)

    def act() -> None:
        runs.execute(w.outside, plan, session)
        then()

    finish(w, plan.run, act, verb=plan.verb)


def plan_begun(run: str, events: Sequence[Event]) -> Plan:
    """Read the plan that a run began with, to look at it alone. Raises Refused where this version of rmu cannot."""
    try:
        return parse_plan(events[0].facts["plan"])
    except ValidationError as why:
        with_its_own = f"rmu show {run}   (then the same with the rmu version that began it)"
        raise Refused(runs.unreadable(run, why).what, next=with_its_own) from why


def show_rest(w: Wired, run: str) -> None:
    """Show what going on with a run would still do, and do nothing."""
    _show_ahead(w, run, "resume", if_resumed)


def show_way_back(w: Wired, run: str) -> None:
    """Show what cancelling a run would do now, and do nothing."""
    _show_ahead(w, run, "cancel", if_cancelled)


def _show_ahead(
    w: Wired, run: str, verb: str, look: Callable[[Outside, str, Callable[[dict[str, Any]], Plan]], Ahead]
) -> None:
    try:
        ahead = look(w.outside, run, parse_plan)
    except ValidationError as why:
        raise runs.unreadable(run, why) from why
    w.screen.steps(f"{verb} {run}", ahead.steps)
    say_dry_run(w, ahead.plan, [title for _, title in ahead.steps])


def say_dry_run(w: Wired, plan: Plan, steps: Sequence[str]) -> None:
    """Say what would be done; nothing was."""
    told = plan.request.get("told", {})
    known = {**nothing_known(plan.verb), "run": plan.run, "outcome": "dry_run", "seconds": None}
    w.screen.result({**known, **told, "steps": list(steps)})


def has_typed(w: Wired, word: str, asked: Asked, untyped: Refused | None = None) -> Asked:
    """Have a word typed, where one is wanted: it is the consent. Raises Refused.

    `--yes` stands for it, but not where there is an `untyped` to raise.
    """
    if not word or (asked.yes and untyped is None):
        return asked
    if w.screen.ask(f"Type {word} to go on") != word:
        raise untyped or Refused(f"{word} was not typed", next="type it on a terminal, or add --yes")
    return replace(asked, yes=True)


def finish(
    w: Wired, run: str, act: Callable[[], None], *, verb: str = "resume", undone_is_success: bool = False
) -> None:
    """Do the work and show how the run ended, whatever way it did; of one that nobody can read, the keys of `verb`."""
    try:
        act()
    except RmuError as why:
        document = _document(w, run, verb)
        if undone_is_success and isinstance(why, RolledBack):
            w.screen.result(document, [f"Run {run} is given up and undone. {why.state}"])
            return
        w.screen.failure(why, document)
        raise typer.Exit(why.exit_code) from why
    report = report_run(w.outside.ledger, run)
    served = f"[green]{report.release}[/] serves. " if report.verb in MOVES else "Done. "
    ended = f"{served}{in_words(report.seconds)}, run {run}."
    costs = cost_lines(report) if report.verb in MOVES else []
    w.screen.result(report.document(), [ended, *costs, *_lines(report.told)])


def resume_it(w: Wired, run: str, asked: Asked) -> None:
    """Finish a run that stopped, and say what its own command would have said at its end."""
    go_on(w, run, session_of(w, agreed(w, asked, f"resume {run}?")))
    plan = read_events(w.outside.ledger, run)[0].facts["plan"]
    if plan["verb"] == "db salvage":
        restore = str(plan["request"]["version"]).split()[0]
        w.screen.note(f"its files are got by: rmu db salvage {restore} --dir salvage")
    if plan["verb"] == "db restore":
        say_adoption(w)


def say_adoption(w: Wired) -> None:
    """Say so when Terraform holds another database than the one that serves."""
    serves, held = read_pointer(w.outside.ledger).database, w.places.get("database", "")
    if serves is not None and held not in ("", serves.identifier):
        w.screen.note(f"Terraform still holds {held}, not {serves.identifier}: rmu infra adopt")


def go_on(w: Wired, run: str, session: runs.Session) -> None:
    """Resume a run and show how it ended; refuse where credentials end before a restore of it would."""
    finish(w, run, lambda: resume_checked(w, run, session))


def resume_checked(w: Wired, run: str, session: runs.Session) -> None:
    """Resume a run. Raises Refused where credentials end before a restore of it would, and what `runs.resume` does."""
    events = read_events(w.outside.ledger, run)
    kinds = [kind_of(s) for s in events[0].facts["plan"]["steps"]] if events else []
    if still_restores(kinds, events):
        takes = restore_takes(read_headers(w.outside.ledger))
        credentials_last(w.outside.identity.expires(), w.outside.clock.now(), takes)
    runs.resume(w.outside, run, session)


MOVES = frozenset({"deploy", "rollback", "db restore"})
"""Verbs after which a release is named as serving."""


SHOWN_BEFORE = frozenset({"version", "lines"})
"""What the checklist has shown as a table already."""


def _lines(told: dict[str, Any]) -> list[str]:
    """Say what a run told beyond the common, a line each."""
    shown = {name: value for name, value in told.items() if value and name not in SHOWN_BEFORE}
    return [f"  {name.replace('_', ' ')}: {_plain(value)}" for name, value in shown.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v)
    return ", ".join(_plain(v) for v in value) if isinstance(value, list) else str(value)


def session_of(w: Wired, because: str, *, step: bool = False) -> runs.Session:
    """Make the session: who acts, how to look, whom to tell, and with `step` whom to ask before each step."""
    began: dict[int, datetime] = {}

    def tell(plan: Plan, event: Event) -> None:
        if event.kind in {"started", "undo-started"} and event.step is not None:
            began[event.step] = event.at
        since = began.get(event.step) if event.step is not None else None
        seconds = (event.at - since).total_seconds() if since else None
        w.screen.event(plan, event.kind, event.step, event.facts, seconds)
        if "warning" in event.facts:
            w.screen.note(f"warning: {event.facts['warning']}")

    return runs.Session(
        who=signed(w),
        because=because,
        login=w.who,
        look_at=facts,
        parse=parse_plan,
        interrupted=listen_for_interrupts(w),
        agree=(lambda title: w.screen.confirm(f"{title}: go on?")) if step else (lambda title: True),
        on_event=tell,
        patience=lambda left: w.screen.waiting("watching whether that run still beats", left),
    )


def signed(w: Wired) -> str:
    """Name who acts as an audit wants it: who typed where, and who that is to the cloud."""
    identity = w.outside.identity.who()
    return w.who if identity == w.who else f"{w.who} as {identity}"


def agreed(w: Wired, asked: Asked, question: str) -> str:
    """Get the reason and the consent the environment wants, while they are good; it has to name its account.

    Raises Mistyped, Refused.
    """
    account_is_named(w)
    because = _agreed(w, asked, question)
    w.still()
    return because


def _agreed(w: Wired, asked: Asked, question: str) -> str:
    if not w.settings.env.confirm:
        return asked.because or ""
    because = asked.because or w.screen.ask("Why?")
    if not because:
        raise Mistyped(f"{w.settings.environment} wants a reason", next="add --because 'WHY'")
    if not asked.yes and not w.screen.confirm(question):
        raise Refused("nobody agreed to it", next="add --yes, or answer y on a terminal")
    return because


def listen_for_interrupts(w: Wired) -> Callable[[], bool]:
    """Catch Ctrl-C and SIGTERM before anything is taken: the first asks to stop after this step, the second quits."""
    asked = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            os._exit(Interrupted.exit_code)
        asked.set()
        w.screen.note("stopping after this step (once more: at once)")

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return asked.is_set


def _document(w: Wired, run: str, verb: str) -> dict[str, object]:
    try:
        report = report_run(w.outside.ledger, run)
    except (RmuError, IndexError):
        return {**nothing_known(verb), "run": run}
    return report.document()
