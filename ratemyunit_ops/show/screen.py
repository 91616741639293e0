"""The screen: progress and frame on stderr, results on stdout. The only place where rich is used.

With `json`, stdout gets one JSON document and stderr gets progress as JSON lines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.status import Status
from rich.table import Table

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import Facts
from ratemyunit_ops.show.loglines import LogLines
from ratemyunit_ops.steps.base import Plan

MARKS = {
    "done": "[green]✓[/]",
    "found": "[green]=[/]",
    "failed": "[red]✗[/]",
    "undone": "[yellow]↶[/]",
}


class Screen:
    """Where a command shows what it does. `as_json` is for programs, `may_ask` is false under --no-input."""

    def __init__(self, *, as_json: bool = False, may_ask: bool = True) -> None:
        self.as_json = as_json
        self.may_ask = may_ask and sys.stdin.isatty() and not as_json
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._out = Console(highlight=False, soft_wrap=True)
        self._frame = ""
        self._doing = ""
        self._status: Status | None = None

    def frame(self, environment: str, account: str, front_door: str) -> None:
        """Print the first line: which environment, account and front door this is about; kept for the last."""
        self._frame = f"environment {environment} · account {account} · {front_door}"
        if not self.as_json:
            self._err.print(f"[dim]{escape(self._frame)}[/]")

    def end(self) -> None:
        """Print the frame again as the last line."""
        if self._frame and not self.as_json:
            self._err.print(f"[dim]{escape(self._frame)}[/]")

    def plan(self, plan: Plan) -> None:
        """Show what would be done, numbered."""
        self.steps(f"{plan.verb} · run {plan.run}", tuple(enumerate(plan.titles(), start=1)))

    def steps(self, heading: str, steps: Sequence[tuple[int, str]]) -> None:
        """Show steps, each with its number in its plan."""
        if self.as_json:
            return
        self._err.print(f"[bold]{escape(heading)}[/]")
        for n, title in steps:
            self._err.print(f"  {n:>2}  {escape(title)}")

    def event(self, plan: Plan, kind: str, step: int | None, facts: Facts, seconds: float | None) -> None:
        """Show one journal event as it is written."""
        if self.as_json:
            title = None if step is None else plan.steps[step].title()
            self._tell_program(
                {"event": kind, "step": None if step is None else step + 1, "title": title, "run": plan.run}
            )
            return
        self._spin(None)
        if step is None:
            if kind not in {"planned", "closed"}:
                self._err.print(f"  [yellow]{kind}[/]")
            return
        title = plan.steps[step].title()
        if kind in {"started", "undo-started"}:
            self._spin(f"{'undoing ' if kind == 'undo-started' else ''}{title}")
        elif kind in MARKS:
            took = f" [dim]{in_words(seconds)}[/]" if seconds is not None else ""
            self._err.print(f"  {MARKS[kind]} {step + 1:>2}  {escape(title)}{took}")

    def note(self, text: str) -> None:
        """Say something about progress."""
        if self.as_json:
            self._tell_program({"note": text})
        else:
            self._spin(None)
            self._err.print(f"  {escape(text)}")

    def detail(self, text: str) -> None:
        """Show one line of what a long piece of work says, under what is being worked on."""
        if self.as_json:
            self._tell_program({"detail": text})
        elif self._status is not None:
            self._status.update(escape(f"{self._doing} · {text.strip()[:60]}"))

    def waiting(self, text: str, left: float) -> None:
        """Count a wait down on a terminal; elsewhere say once that it has begun."""
        if not self.as_json and self._err.is_terminal:
            self._spin(f"{text}, {left:.0f} s more")
        elif text != self._doing:
            self.note(f"{text}, {left:.0f} s")
        self._doing = text

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show that something takes its time."""
        if self.as_json:
            self._tell_program({"note": text})
            yield
            return
        self._spin(text)
        try:
            yield
        finally:
            self._spin(None)

    def result(self, document: dict[str, Any], lines: Sequence[str] = ()) -> None:
        """Print the result: one JSON document, or lines for people (rich markup)."""
        self._spin(None)
        if self.as_json:
            self._document(document)
            return
        for line in lines:
            self._out.print(line)

    def log_lines(self, now: datetime) -> LogLines:
        """Make who spells log lines; they are wrapped for a terminal, and left as they are for a file."""
        return LogLines(today=now.date(), width=self._out.width if self._out.is_terminal else None)

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines for people as they come (rich markup)."""
        for line in lines:
            self._out.print(line)

    def json_line(self, document: dict[str, Any]) -> None:
        """Print one document of many, a line each."""
        sys.stdout.write(json.dumps(document, default=_plain) + "\n")
        sys.stdout.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table for people."""
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=number == 0)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        Console(highlight=False).print(table)

    def failure(self, why: RmuError, document: dict[str, Any] | None = None) -> None:
        """Print a failure in its three parts: what happened, what state we are in, what to type next."""
        self._spin(None)
        if self.as_json:
            parts = {"what": why.what, "state": why.state, "next": why.next}
            self._tell_program(parts)
            self._document({**(document or {}), "outcome": why.outcome, **parts})
            return
        self._err.print(f"[red]{escape(why.what)}[/]")
        if why.state:
            self._err.print(escape(why.state))
        self._err.print(f"next: [bold]{escape(why.next)}[/]")

    def confirm(self, question: str) -> bool:
        """Ask yes or no; no where nobody can be asked."""
        return self.may_ask and Confirm.ask(question, console=self._err, default=False)

    def ask(self, question: str) -> str:
        """Ask for a line of text; empty where nobody can be asked."""
        return Prompt.ask(question, console=self._err) if self.may_ask else ""

    def _spin(self, text: str | None) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        self._doing = text or ""
        if text is not None and self._err.is_terminal:
            self._status = self._err.status(escape(text))
            self._status.start()

    def _tell_program(self, value: dict[str, Any]) -> None:
        sys.stderr.write(json.dumps(value) + "\n")
        sys.stderr.flush()

    def _document(self, value: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def in_words(seconds: float) -> str:
    """Say a duration in words: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def on_both_clocks(moment: datetime) -> str:
    """Say a moment in UTC, and by this machine's own clock where that is another."""
    utc, here = f"{moment:%Y-%m-%d %H:%M:%S} UTC", moment.astimezone()
    return f"{utc} = {here:%Y-%m-%d %H:%M:%S %Z} here" if here.utcoffset() else utc


def plain(text: str) -> str:
    """Let a line of a result be shown as it is, whatever people wrote in it."""
    return escape(text)


def at(moment: datetime) -> str:
    """Print a time in UTC with its zone, short enough for a column."""
    return moment.strftime("%m-%d %H:%M UTC")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
