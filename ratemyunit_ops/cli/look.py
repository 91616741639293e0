"""`rmu status`, `doctor`: looking, never changing."""

from __future__ import annotations

import typer

from ratemyunit_ops.cli.options import AsJson, Env


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(short_help="Show who serves what now.")(status)
    app.command(short_help="Tell what is missing, and what mends it.")(doctor)


def status(env: Env = None, as_json: AsJson = False) -> None:
    """Show who serves what now; always prints, naming what it could not see.

    Example: rmu status --env production
    """
    from ratemyunit_ops.cli.looking import show_status
    from ratemyunit_ops.cli.wire import wire

    show_status(wire(env, as_json=as_json, reach=False, in_folder=True))


def doctor(env: Env = None, as_json: AsJson = False) -> None:
    """Tell what is missing on this machine or in this account, and the command that mends each.

    Example: rmu doctor --env production
    """
    from ratemyunit_ops.cli.diagnosis import tell
    from ratemyunit_ops.cli.wire import wire

    raise typer.Exit(0 if tell(wire(env, as_json=as_json)) else 3)
