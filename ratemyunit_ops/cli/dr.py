"""`rmu dr`: restore from backups alone, rehearse that, and report on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, RunId, Step, Yes

app = typer.Typer(
    help="Restore from backups alone, beside what serves; drills and their reports.\n\n"
    'Example: rmu dr drill --env production --because "quarterly"',
    no_args_is_help=True,
    rich_markup_mode=None,
)
To = Annotated[str | None, typer.Option("--to", help="A moment with its zone, or '12m ago'; else the latest.")]
Latest = Annotated[bool, typer.Option("--latest", help="The latest moment there is (the default).")]
Version = Annotated[str | None, typer.Option("--release", help="Which release to run on it; else the one of then.")]
Database = Annotated[str | None, typer.Option("--database", help="Whose backups, where several instances left some.")]
FromImage = Annotated[bool, typer.Option("--from-image", help="Boot the host from the newest image of a host.")]
Journal = Annotated[Path | None, typer.Option("--journal", help="Keep the journal in a folder: the table is gone.")]
Into = Annotated[Path, typer.Option("--dir", help="Folder for the reports.")]
REPORTS = Path("dr-reports")


@app.command(short_help="Restore from backups, beside what serves.")
def restore(
    ctx: typer.Context,
    to: To = None,
    latest: Latest = False,
    release: Version = None,
    database: Database = None,
    from_image: FromImage = False,
    cut_over: Annotated[
        bool, typer.Option("--cut-over", help="Then let it serve: the source is gone, or dead.")
    ] = False,
    journal: Journal = None,
    folder: Into = REPORTS,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Restore from backups alone into a corner of the network, boot the app on it and prove it; it stays for a look.

    Example: rmu dr restore --latest --cut-over --env production --because "the database is gone"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.drills import Typed, restore_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, journal=journal, in_folder=True, still=ctx.obj)
    typed = Typed("dr restore", _moment(to, latest), release, database, from_image, cut_over, folder)
    restore_it(w, typed, Asked(because, dry_run, yes, step))


@app.command(short_help="Rehearse a restore, measure it, tear it down.")
def drill(
    to: To = None,
    latest: Latest = False,
    release: Version = None,
    database: Database = None,
    from_image: FromImage = False,
    journal: Journal = None,
    folder: Into = REPORTS,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Restore from backups beside what serves, prove it, measure it, and tear it down again, whatever happens.

    Example: rmu dr drill --env production --because "quarterly"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.drills import Typed, restore_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, journal=journal, in_folder=True)
    typed = Typed("dr drill", _moment(to, latest), release, database, from_image, False, folder)
    restore_it(w, typed, Asked(because, dry_run, yes, step))


@app.command(short_help="Write a drill's report again.")
def report(
    run: Annotated[str | None, typer.Argument(help="A drill or a restore; else the newest.")] = None,
    journal: Journal = None,
    folder: Into = REPORTS,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a drill again, from its journal alone.

    Example: rmu dr report --dir reports
    """
    from ratemyunit_ops.cli.drills import report_it
    from ratemyunit_ops.cli.wire import wire

    report_it(wire(env, as_json=as_json, journal=journal, in_folder=True), run, folder)


@app.command(short_help="Take away what a restore left standing.")
def end(
    run: RunId,
    journal: Journal = None,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """End the host of a restore and drop its database, once it has been looked at.

    Example: rmu dr end r-261127-031500-ab12 --env production --because "looked at it"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.drills import end_it
    from ratemyunit_ops.cli.wire import wire

    end_it(
        wire(env, as_json=as_json, may_ask=not no_input, journal=journal, in_folder=True),
        run,
        Asked(because, dry_run, yes),
    )


def _moment(to: str | None, latest: bool) -> str | None:
    from ratemyunit_ops.errors import Mistyped

    if to and latest:
        raise Mistyped("--to and --latest are two moments", next="rmu dr restore --latest")
    return to
