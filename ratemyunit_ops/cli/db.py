"""`rmu db`: bring the data of a moment back, give back what that left behind, let the old instance go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, RunId, Step, Yes

app = typer.Typer(
    help="Restore the database to a moment, and salvage what was written since.\n\n"
    'Example: rmu db restore --before r-261127-031500-ab12 --env production --because "0003 broke search"',
    no_args_is_help=True,
    rich_markup_mode=None,
)
To = Annotated[str | None, typer.Option("--to", help="A moment, with its zone: '2026-11-27 14:05 UTC', or '12m ago'.")]
Before = Annotated[str | None, typer.Option("--before", help="The moment before a run changed the schema.")]
Latest = Annotated[bool, typer.Option("--latest", help="The latest moment there is.")]
Into = Annotated[Path, typer.Option("--dir", help="Folder for the SQL files.")]


@app.command(short_help="Bring the data of a moment back.")
def restore(
    ctx: typer.Context,
    to: To = None,
    before: Before = None,
    latest: Latest = False,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Restore the database to a moment beside what serves, run the right release on it, and move traffic there.

    Example: rmu db restore --before r-261127-031500-ab12 --env production --because "0003 broke search"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.restoring import Moment, restore_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj)
    restore_it(w, Moment(to=to, before=before, latest=latest), Asked(because, dry_run, yes, step))


@app.command(short_help="Find the rows a restore left behind.")
def salvage(
    ctx: typer.Context,
    run: RunId,
    folder: Into = Path("salvage"),
    apply: Annotated[bool, typer.Option("--apply", help="Give the rows back at once, each one once.")] = False,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Find the rows that a restore left behind, as SQL files to read and to apply; safe to repeat.

    Example: rmu db salvage r-261127-031500-ab12 --dir left-behind
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.restoring import salvage_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj)
    salvage_it(w, run, folder=folder, apply=apply, asked=Asked(because, dry_run, yes))


@app.command(short_help="Delete a database that a restore superseded.")
def forget(
    name: Annotated[str, typer.Argument(help="The superseded instance, as `rmu status` names it.")],
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Cut a superseded database off, take a final snapshot and delete it; its automated backups are retained.

    Example: rmu db forget rmu-production-db-1 --env production --because "all rows are back"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.restoring import forget_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input)
    forget_it(w, name, Asked(because, dry_run, yes))
