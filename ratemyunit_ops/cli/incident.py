"""`rmu incident`: somebody is woken, says that they have it, and what happened is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Env

app = typer.Typer(
    help="Open, acknowledge, escalate and close an incident; its postmortem.\n\n"
    'Example: rmu incident open --severity SEV-1 --title "502 for everybody" --env production',
    no_args_is_help=True,
    rich_markup_mode=None,
)

Sev = Annotated[
    str | None,
    typer.Option("--severity", help="SEV-1: full outage, pages at once. SEV-2: partial. SEV-3: degraded."),
]
Named = Annotated[str | None, typer.Option("--incident", help="An incident; else the one that is open, or the newest.")]


@app.command("open", short_help="Open an incident and tell people.")
def open_(
    title: Annotated[str | None, typer.Option("--title", help="What is seen, in a few words.")] = None,
    severity: Sev = None,
    alarm: Annotated[str | None, typer.Option("--alarm", help="An alarm: its words, severity and runbook.")] = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Open an incident: page whom its severity wants, and page again until somebody acknowledges.

    Example: rmu incident open --severity SEV-1 --title "502 for everybody" --env production
    """
    from ratemyunit_ops.cli.incidents import open_it
    from ratemyunit_ops.cli.wire import wire

    open_it(wire(env, as_json=as_json, in_folder=True, changes=True), title=title, severity=severity, alarm=alarm)


@app.command(short_help="Say that you have it; paging stops.")
def ack(incident: Named = None, env: Env = None, as_json: AsJson = False) -> None:
    """Acknowledge the incident: you have it, and nobody is paged again.

    Example: rmu incident ack --env production
    """
    from ratemyunit_ops.cli.incidents import ack_it
    from ratemyunit_ops.cli.wire import wire

    ack_it(wire(env, as_json=as_json, in_folder=True, changes=True), incident)


@app.command(short_help="Write down what you see or do.")
def note(
    text: Annotated[str, typer.Argument(help="What you see or do; it stands in the postmortem, so no secrets.")],
    incident: Named = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Write a line into the incident's timeline. After its end too, with --incident.

    Example: rmu incident note "students report 502 since ten past three"
    """
    from ratemyunit_ops.cli.incidents import note_it
    from ratemyunit_ops.cli.wire import wire

    note_it(wire(env, as_json=as_json, in_folder=True, changes=True), incident, text)


@app.command(short_help="Ask for more people: one severity up, and a page.")
def escalate(
    severity: Sev = None,
    because: Annotated[str | None, typer.Option("--because", help="Why; it stands in the page.")] = None,
    incident: Named = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Raise the severity by one, or to the one named, and page again until somebody acknowledges.

    Example: rmu incident escalate --because "the database is gone too"
    """
    from ratemyunit_ops.cli.incidents import escalate_it
    from ratemyunit_ops.cli.wire import wire

    escalate_it(wire(env, as_json=as_json, in_folder=True, changes=True), incident, severity, because or "")


@app.command(short_help="Close the incident; refused while an alarm is red.")
def close(
    because: Annotated[
        str | None, typer.Option("--because", help="Why it is over, where an alarm is still red.")
    ] = None,
    incident: Named = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Close the incident, and tell how long it took.

    Example: rmu incident close
    """
    from ratemyunit_ops.cli.incidents import close_it
    from ratemyunit_ops.cli.wire import wire

    close_it(wire(env, as_json=as_json, in_folder=True, changes=True), incident, because or "")


@app.command(short_help="Write the postmortem's draft.")
def report(
    incident: Annotated[str | None, typer.Argument(help="An incident; else the open or the newest one.")] = None,
    folder: Annotated[Path, typer.Option("--dir", help="Where HTML and Markdown are written.")] = Path("incidents"),
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Write the draft of a postmortem: the timeline, the figures, and three blanks to fill.

    Example: rmu incident report --dir incidents --env production
    """
    from ratemyunit_ops.cli.postmortem import report_it
    from ratemyunit_ops.cli.wire import wire

    report_it(wire(env, as_json=as_json, in_folder=True), incident, folder)
