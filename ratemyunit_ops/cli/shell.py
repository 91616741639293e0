"""`rmu exec`: one command on a host."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, Env


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="exec", context_settings={"ignore_unknown_options": True})(execute)


def execute(
    argv: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    host: Annotated[str | None, typer.Option("--host", help="One host's id; else every host.")] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="30s, 5m.")] = "1m",
    because: Because = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Run one command on the hosts over SSM: argv, no shell.

    Example: rmu exec -- systemctl status rmu-blue
    """
    from ratemyunit_ops.cli.carrying import Asked, agreed
    from ratemyunit_ops.cli.moves import duration
    from ratemyunit_ops.cli.onhosts import run_argv
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    agreed(w, Asked(because, False, True), "")
    run_argv(w, argv, host, duration(timeout))
