"""`rmu resume`, `abandon`, `history`, `show`: working on runs and reading them."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, Env, NoInput, RunId, Yes

MaybeRun = Annotated[str | None, typer.Argument(help="The run; else the one that holds the environment.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(short_help="Finish a run that was killed or interrupted.")(resume)
    app.command(short_help="Give a dead run up: undo what it started.")(abandon)
    app.command(short_help="List past runs, newest first.")(history)
    app.command(short_help="Show one run's timeline.")(show)


def resume(
    ctx: typer.Context,
    run: MaybeRun = None,
    env: Env = None,
    because: Because = None,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Finish a run that was killed, interrupted, or stopped half-way.

    Example: rmu resume r-261124-031500-ab12
    """
    from ratemyunit_ops.cli.carrying import Asked, resume_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, in_folder=True, still=ctx.obj)
    resume_it(w.vouching(yes), run or w.open_run(), Asked(because, False, yes))


def abandon(
    ctx: typer.Context,
    run: RunId,
    env: Env = None,
    because: Because = None,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Give a dead run up: undo what it started.

    Example: rmu abandon r-261124-031500-ab12 --because "wrong version"
    """
    from ratemyunit_ops.cli.carrying import Asked, agreed, finish, session_of
    from ratemyunit_ops.cli.wire import wire
    from ratemyunit_ops.engine import run as runs

    w = wire(env, as_json=as_json, may_ask=not no_input, in_folder=True, still=ctx.obj)
    session = session_of(w, agreed(w, Asked(because, False, yes), f"abandon {run}?"))
    finish(w, run, lambda: runs.abandon(w.outside, run, session), undone_is_success=True)


def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 20,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="What was done on hosts by exec and console.")] = False,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """List past runs, newest first: who did what, when, why, and how it ended.

    Example: rmu history --limit 5

    Example: rmu history --by-hand
    """
    from ratemyunit_ops.cli.byhand import show_deeds
    from ratemyunit_ops.cli.wire import wire
    from ratemyunit_ops.records import read_headers
    from ratemyunit_ops.show.screen import at

    w = wire(env, as_json=as_json, in_folder=True)
    if by_hand:
        show_deeds(w, limit)
        return
    found = read_headers(w.outside.ledger)[::-1][:limit]
    if as_json:
        w.screen.result({"runs": [h.model_dump(mode="json") for h in found]})
        return
    rows = [(h.run, h.verb, h.outcome or "open", h.who, h.because, at(h.started)) for h in found]
    w.screen.table("", ("run", "verb", "outcome", "who", "because", "started"), rows)


def show(run: RunId, env: Env = None, as_json: AsJson = False) -> None:
    """Show one run's timeline: every event, when, and what was seen.

    Example: rmu show r-261124-031500-ab12
    """
    from ratemyunit_ops.cli.wire import wire
    from ratemyunit_ops.errors import Mistyped
    from ratemyunit_ops.reports.runs import report_run, timeline

    w = wire(env, as_json=as_json, in_folder=True)
    lines = timeline(w.outside.ledger, run)
    if not lines:
        raise Mistyped(f"there is no run {run}", next="rmu history")
    if as_json:
        report = report_run(w.outside.ledger, run).model_dump()
        w.screen.result({**report, "events": [line.model_dump(mode="json") for line in lines]})
        return
    step = [("" if line.step is None else str(line.step + 1)) for line in lines]
    rows = [
        (f"{line.at:%H:%M:%S.%f}"[:-3], n, line.kind, line.title, str(line.facts.get("what", "")))
        for line, n in zip(lines, step, strict=True)
    ]
    w.screen.table(f"run {run} (UTC, {lines[0].at:%Y-%m-%d})", ("at", "step", "event", "what", ""), rows)
