"""`rmu migrate`: what a release's migrations are, whether they are safe, and running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson

app = typer.Typer(
    help="Migrations: look at them, judge them, run them, rehearse them.", no_args_is_help=True, rich_markup_mode=None
)

Paths = Annotated[list[Path] | None, typer.Argument(help="Revisions, .sql files or folders; else the app's own.")]
Rows = Annotated[list[str] | None, typer.Option("--rows", help="table=number; may be given again.")]
LiveRows = Annotated[str | None, typer.Option("--env", help="Count the rows of this environment's live database.")]


@app.command(short_help="Find what is unsafe under traffic.")
def lint(paths: Paths = None, rows: Rows = None, env: LiveRows = None, as_json: AsJson = False) -> None:
    """Find what is unsafe in migrations under traffic: each finding says why, and the safe way. Exit 3 when unsafe.

    Example: rmu migrate lint --rows units=2000000
    """
    from ratemyunit_ops.cli import linting

    linting.lint(paths or [], rows or [], env, as_json=as_json)
