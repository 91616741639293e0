"""`rmu migrate`: what a release's migrations are, whether they are safe, and running them."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Migrations: look at them, judge them, run them, rehearse them.", no_args_is_help=True, rich_markup_mode=None
)
