"""`rmu runbook`: list, show, run, lint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Step, Transport, Yes

app = typer.Typer(
    help="What to do when it breaks: look, pick, mend.\n\n"
    "Example: rmu runbook run database-connections --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="A runbook, as an alarm or `rmu runbook list` names it.")]
Paths = Annotated[list[Path] | None, typer.Argument(help="Runbooks or folders of them; else those of rmu.")]
Remedy = Annotated[str | None, typer.Option("--remedy", help="The remedy you pick; else you are asked, or only told.")]
Inputs = Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE; what is not said is looked up.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="As a page of the docs.")]


@app.command(name="list", short_help="List the runbooks.")
def list_runbooks(as_json: AsJson = False) -> None:
    """List the runbooks: severity, what they are for, the alarms that name them.

    Example: rmu runbook list
    """
    from ratemyunit_ops.cli.runbooks import list_them
    from ratemyunit_ops.show.screen import Screen

    list_them(Screen(as_json=as_json))


@app.command(short_help="Show one runbook.")
def show(name: Name, markdown: Markdown = False, as_json: AsJson = False) -> None:
    """Show one runbook: symptoms, what is looked at, what it may be, and the remedies.

    Example: rmu runbook show database-connections
    """
    from ratemyunit_ops.cli.runbooks import show_it
    from ratemyunit_ops.show.screen import Screen

    show_it(Screen(as_json=as_json), name, markdown=markdown)


@app.command(short_help="Look, name the likeliest cause, and carry the remedy that you pick.")
def run(
    name: Name,
    remedy: Remedy = None,
    inputs: Inputs = None,
    transport: Transport = "ssm",
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Gather the evidence and name the likeliest cause. Nothing is changed until you pick a remedy.

    Example: rmu runbook run database-connections --env production
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.runbooks import Wanted, run_it

    wanted = Wanted(
        name=name,
        remedy=remedy,
        inputs=tuple(inputs or ()),
        env=env,
        transport=transport,
        as_json=as_json,
        no_input=no_input,
    )
    run_it(wanted, Asked(because, dry_run, yes, step))


@app.command(short_help="Find what is wrong with runbooks.")
def lint(paths: Paths = None, as_json: AsJson = False) -> None:
    """Find what is wrong with runbooks: file, line and key of each. Exit 3 when something is.

    Example: rmu runbook lint runbooks/disk-full.yaml
    """
    from ratemyunit_ops.cli.runbooks import lint_them
    from ratemyunit_ops.show.screen import Screen

    lint_them(Screen(as_json=as_json), paths or [])
