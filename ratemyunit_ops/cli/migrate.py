"""`rmu migrate`: what a release's migrations are, whether they are safe, and running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Step, Yes

app = typer.Typer(
    help="Migrations: look at them, judge them, run them, rehearse them.\n\n"
    "Example: rmu migrate plan v43 --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Paths = Annotated[list[Path] | None, typer.Argument(help="Revisions, .sql files or folders; else the app's own.")]
Rows = Annotated[list[str] | None, typer.Option("--rows", help="table=number; may be given again.")]
Version = Annotated[str, typer.Argument(help="A version pushed with `rmu image push`.")]
MaybeVersion = Annotated[str | None, typer.Argument(help="A version pushed with `rmu image push`; else the live one.")]
ContractToo = Annotated[bool, typer.Option("--contract", help="Also take away what only older code needs.")]
LiveRows = Annotated[str | None, typer.Option("--env", help="Count the rows of this environment's live database.")]


@app.command(short_help="Find what is unsafe under traffic.")
def lint(paths: Paths = None, rows: Rows = None, env: LiveRows = None, as_json: AsJson = False) -> None:
    """Find what is unsafe in migrations under traffic: each finding says why, and the safe way. Exit 3 when unsafe.

    Example: rmu migrate lint --rows units=2000000
    """
    from ratemyunit_ops.cli import linting

    linting.lint(paths or [], rows or [], env, as_json=as_json)


@app.command(short_help="Show pending revisions, and who can run on the result.")
def plan(version: MaybeVersion = None, env: Env = None, as_json: AsJson = False) -> None:
    """Show what VERSION's migrations would do to the live database, and which releases can run on the result.

    Example: rmu migrate plan v43
    """
    from ratemyunit_ops.cli.migrating import show_plan
    from ratemyunit_ops.cli.wire import wire

    show_plan(wire(env, as_json=as_json), version)


@app.command(short_help="Run pending revisions now.")
def up(
    version: MaybeVersion = None,
    contract: ContractToo = False,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Run VERSION's expand revisions before its deploy, or with --contract what waits until old code is gone.

    Example: rmu migrate up --contract --because "nobody reads that column any more"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.migrating import run_up
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input)
    run_up(w, version, contract=contract, asked=Asked(because, dry_run, yes, step))


@app.command(short_help="Print the checklist, each line with its evidence.")
def checklist(
    version: Version,
    env: Env = None,
    because: Because = None,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Print the checklist before a migration, each line with what was looked up just now; exit 3 while one fails.

    Example: rmu migrate checklist v43 --env production
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.migrating import run_checklist
    from ratemyunit_ops.cli.wire import wire

    run_checklist(wire(env, as_json=as_json, may_ask=not no_input), version, Asked(because, False, yes))


@app.command(short_help="Try a migration on a restored copy, timed.")
def rehearse(
    version: Version,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Restore a copy of the live database beside it, run VERSION's migrations there, time them, and drop it.

    Example: rmu migrate rehearse v43 --env production
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.migrating import run_rehearse
    from ratemyunit_ops.cli.wire import wire

    run_rehearse(wire(env, as_json=as_json, may_ask=not no_input), version, Asked(because, dry_run, yes, step))
