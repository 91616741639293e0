"""`rmu deploy` and `rmu rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Step, Yes

Version = Annotated[str, typer.Argument(help="A version pushed with `rmu image push`.")]
Bake = Annotated[
    str | None, typer.Option("--bake", help="How long to watch before the old release is let go: 30s, 5m.")
]
Base = Annotated[str | None, typer.Option("--base", help="Refuse unless this version is live now (CI).")]
NoProbe = Annotated[bool, typer.Option("--no-probe", help="Do not measure dropped requests from the hosts.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(short_help="Bring VERSION live without dropping a request.")(deploy)
    app.command(short_help="Send traffic back, or cancel a running deploy.")(rollback)


def deploy(
    ctx: typer.Context,
    version: Version,
    env: Env = None,
    bake: Bake = None,
    base: Base = None,
    no_probe: NoProbe = False,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Bring VERSION live beside what serves, prove it, and move traffic without dropping a request.

    Example: rmu deploy v42 --env production --because "new search"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.moves import deploy_it
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj)
    deploy_it(w, version, bake=bake, base=base, probe=not no_probe, asked=Asked(because, dry_run, yes, step))


def rollback(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Argument(help="A release to go back to; else the newest good one.")] = None,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    step: Step = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Send traffic back to the previous good release, or to VERSION. During a deploy: unwind it, then go on to VERSION.

    Example: rmu rollback --env production --because "search is empty"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.moves import roll_back
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj)
    roll_back(w, version, asked=Asked(because, dry_run, yes, step))
