"""`rmu secret`: what holds an older value, give a new one, start anew what holds the old one."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Yes

app = typer.Typer(
    help="Secrets by name; no value is ever shown.\n\nExample: rmu secret list --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Secret = Annotated[
    str, typer.Argument(metavar="NAME", help="app/NAME or db/ROLE_password, as `rmu secret list` shows.")
]


@app.command(name="list")
def list_secrets(env: Env = None, as_json: AsJson = False) -> None:
    """List the secrets, and what still runs with an older value of one.

    Example: rmu secret list
    """
    from ratemyunit_ops.cli.secrets import show_secrets
    from ratemyunit_ops.cli.wire import wire

    show_secrets(wire(env, as_json=as_json))


@app.command(short_help="Give a secret a new value, and everything that runs with it.")
def rotate(
    ctx: typer.Context,
    name: Secret,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Give a secret a new value, and start anew what holds the old one: the release before serves meanwhile.

    Example: rmu secret rotate app/admin_token --because "it was in a mail"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.secrets import renew_it
    from ratemyunit_ops.cli.wire import wire

    renew_it(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), name, Asked(because, dry_run, yes))


@app.command(short_help="Start anew what holds an older value of a secret.")
def renew(
    ctx: typer.Context,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Start anew whatever holds an older value of a secret: the release before serves meanwhile.

    Example: rmu secret renew --because "the password was changed by hand"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.secrets import renew_it
    from ratemyunit_ops.cli.wire import wire

    renew_it(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), None, Asked(because, dry_run, yes))
