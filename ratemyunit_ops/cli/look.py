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
    from ratemyunit_ops.cli.wire import wire
    from ratemyunit_ops.reports.status import report_status, status_lines
    from ratemyunit_ops.show.screen import plain
    from ratemyunit_ops.survey import STATUS, lease_age, survey

    w = wire(env, as_json=as_json, in_folder=True)
    world = survey(w.outside, w.settings.environment, STATUS)
    report = report_status(world, w.settings.env.front_door, lease_age(w.outside, world))
    w.screen.result(report.model_dump(mode="json"), [plain(line) for line in status_lines(report)])


def doctor(env: Env = None, as_json: AsJson = False) -> None:
    """Tell what is missing on this machine or in this account, and the command that mends each.

    Example: rmu doctor --env production
    """
    from ratemyunit_ops.cli.diagnosis import tell
    from ratemyunit_ops.cli.wire import wire

    raise typer.Exit(0 if tell(wire(env, as_json=as_json)) else 3)
