"""`rmu queue`: how the app's queue stands; pause it, resume it."""

from __future__ import annotations

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Yes

app = typer.Typer(
    help="Look at the queue, pause or resume it.\n\nExample: rmu queue status --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(short_help="Show how the queue stands, and who paused it.")
def status(env: Env = None, as_json: AsJson = False) -> None:
    """Show how many jobs wait, run and failed, how long the oldest has been due, and who paused the queue.

    Example: rmu queue status --env production
    """
    from ratemyunit_ops.cli.queues import in_lines
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    stands = w.outside.queue.status()
    w.screen.result(stands.model_dump(mode="json"), in_lines(stands))


@app.command(short_help="Let no worker take a job until it is resumed.")
def pause(
    ctx: typer.Context,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Let no worker take a job until the queue is resumed. Jobs in hand are finished; none is lost.

    Example: rmu queue pause --because "the catalogue of North is down"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.queues import set_queue
    from ratemyunit_ops.cli.wire import wire

    set_queue(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), "pause", Asked(because, dry_run, yes))


@app.command(short_help="Let workers take jobs again.")
def resume(
    ctx: typer.Context,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Let workers take jobs again.

    Example: rmu queue resume --because "North answers again"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.queues import set_queue
    from ratemyunit_ops.cli.wire import wire

    set_queue(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), "resume", Asked(because, dry_run, yes))
