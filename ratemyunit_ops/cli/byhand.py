"""What `exec` and `console` do, and how it is told again: done by hand, beside all plans, and kept."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import typer

from ratemyunit_ops.cli.carrying import new_run_id, signed
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine.deeds import kept
from ratemyunit_ops.errors import Mistyped, RmuError
from ratemyunit_ops.model import Deed
from ratemyunit_ops.planning.common import in_service
from ratemyunit_ops.records import read_deeds
from ratemyunit_ops.show.screen import at, in_words
from ratemyunit_ops.survey import survey


@dataclass(frozen=True)
class By:
    """How hosts are reached, and why."""

    transport: Literal["ssm", "ssh"]
    because: str


def run_argv(w: Wired, argv: Sequence[str], host: str | None, deadline: timedelta, by: By) -> None:
    """Run one command on a host, or on every host, keep that it was, and pass its exit code on."""
    hosts = [host] if host else _hosts(w)
    deed = _deed(w, "exec", by, hosts, argv)
    with kept(w.outside, deed, lambda why: _unheard(w, why)) as ended:
        answers = w.outside.shell.run(list(argv), hosts=hosts, deadline=deadline)
        ended(", ".join(f"{a.host} exit {a.exit_code}" for a in answers))
    document = {"deed": deed.id, "transport": by.transport, "answers": [a.model_dump() for a in answers]}
    w.screen.result(document, [f"{a.host}: exit {a.exit_code}\n{a.stdout}{a.stderr}" for a in answers])
    if max(a.exit_code for a in answers):
        raise typer.Exit(6)


def open_console(w: Wired, host: str | None, by: By) -> None:
    """Lend the terminal to a shell on a host; keep when it began and ended."""
    from ratemyunit_ops.outside import terminal
    from ratemyunit_ops.outside.ssh import unbroken

    if not terminal.is_one():
        raise Mistyped("a console wants a terminal", next="rmu exec --transport ssh -- COMMAND")
    name = host or _only(_hosts(w))
    deed = _deed(w, "console", by, [name], ())
    with kept(w.outside, deed, lambda why: _unheard(w, why)) as ended, w.ssh.connected(name) as way:
        w.screen.note(f"{name}, as rmu; sudo works; Ctrl-D ends it. It is kept as {deed.id}.")
        with unbroken(name):
            ended(f"exit {terminal.lend(way)}")
    w.screen.note(f"{name} is left again, after {in_words((w.outside.clock.now() - deed.began).total_seconds())}.")


def show_deeds(w: Wired, limit: int) -> None:
    """List what was done on hosts by hand, newest first."""
    found = read_deeds(w.outside.ledger)[::-1][:limit]
    if w.screen.as_json:
        w.screen.result({"by_hand": [d.model_dump(mode="json") for d in found]})
        return
    rows = [(at(d.began), d.who, d.because, typed(d), d.outcome or "not ended") for d in found]
    w.screen.table("", ("began", "who", "because", "what", "outcome"), rows)


def typed(deed: Deed) -> str:
    """Say what was typed."""
    return f"{deed.verb} over {deed.transport} {shlex.join(deed.argv)}".strip()


def _hosts(w: Wired) -> list[str]:
    return in_service(survey(w.outside, w.settings.environment, {"instances"}))


def _only(hosts: Sequence[str]) -> str:
    if len(hosts) > 1:
        raise Mistyped(f"there are {len(hosts)} hosts: {', '.join(hosts)}", next=f"rmu console --host {hosts[0]}")
    return hosts[0]


def _deed(w: Wired, verb: Literal["exec", "console"], by: By, hosts: Sequence[str], argv: Sequence[str]) -> Deed:
    return Deed(
        id=new_run_id().replace("r-", "d-", 1),
        verb=verb,
        transport=by.transport,
        who=signed(w),
        because=by.because,
        hosts=tuple(hosts),
        argv=tuple(argv),
        began=w.outside.clock.now(),
    )


def _unheard(w: Wired, why: RmuError) -> None:
    w.screen.note(f"that it has ended could not be written down: {why.what}")
