"""`rmu slo`: objectives, what is left of their budgets, and the alarms they become."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Env

app = typer.Typer(
    help="Objectives: what is left of their budgets, and the alarms they become.\n\n"
    "Example: rmu slo show --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Html = Annotated[Path | None, typer.Option("--html", help="Draw it into this file too, as a page.")]


@app.command(short_help="Show what is left of every budget.")
def show(html: Html = None, env: Env = None, as_json: AsJson = False) -> None:
    """Show each objective: target, window, what was counted, budget left, how fast it burns and when it is gone.

    Example: rmu slo show --env production --html slo.html
    """
    from ratemyunit_ops.cli.budgets import show_budgets
    from ratemyunit_ops.cli.wire import wire

    show_budgets(wire(env, as_json=as_json), html)


@app.command(short_help="Exit 3 when a budget is gone.")
def check(env: Env = None, as_json: AsJson = False) -> None:
    """Say which budgets are gone, and exit with 3 if one is; what could not be read is named and forgiven.

    Example: rmu slo check --env production && rmu deploy v42 --env production --because "new search"
    """
    from ratemyunit_ops.cli.budgets import check_budgets
    from ratemyunit_ops.cli.wire import wire

    raise typer.Exit(check_budgets(wire(env, as_json=as_json)))


@app.command("compile", short_help="Make the alarms of the objectives.")
def compile_(env: Env = None, as_json: AsJson = False) -> None:
    """Make the burn-rate alarms of terraform/slo.yaml, as the values that `rmu infra apply` gives to Terraform.

    Example: rmu slo compile --env production
    """
    from ratemyunit_ops.cli.budgets import compile_alarms
    from ratemyunit_ops.cli.wire import wire

    compile_alarms(wire(env, as_json=as_json, reach=False, in_folder=True))
