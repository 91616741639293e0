"""`rmu exec`, `rmu console`: one command on hosts, or a session on one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, Env, Transport

Journal = Annotated[
    Path | None, typer.Option("--journal", help="Keep it in this folder: for the day the ledger does not answer.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="exec", context_settings={"ignore_unknown_options": True}, short_help="Run one command on hosts.")(
        execute
    )
    app.command(short_help="Open a shell on a host over SSH.")(console)


def execute(
    ctx: typer.Context,
    argv: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    host: Annotated[str | None, typer.Option("--host", help="One host's id; else every host.")] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="30s, 5m.")] = "1m",
    transport: Transport = "ssm",
    journal: Journal = None,
    because: Because = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Run one command on the hosts as root: argv, no shell. Who typed what, when and why is kept in the ledger.

    Example: rmu exec -- systemctl status rmu-blue

    Example: rmu exec --transport ssh --because "SSM is silent" -- systemctl restart amazon-ssm-agent
    """
    from ratemyunit_ops.cli.byhand import By, run_argv
    from ratemyunit_ops.cli.carrying import Asked, agreed
    from ratemyunit_ops.cli.moves import duration
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, journal=journal, in_folder=True, transport=transport, still=ctx.obj)
    why = agreed(w, Asked(because, False, True), "")
    run_argv(w, argv, host, duration(timeout, "--timeout"), By(transport, why))


def console(
    host: Annotated[str | None, typer.Option("--host", help="Which host, where there are several.")] = None,
    journal: Journal = None,
    because: Because = None,
    env: Env = None,
) -> None:
    """Open a shell on a host over SSH, as rmu, who may sudo. Its beginning and its end are kept in the ledger.

    Example: rmu console --host i-0abc --because "SSM is silent"
    """
    from ratemyunit_ops.cli.byhand import By, open_console
    from ratemyunit_ops.cli.carrying import Asked, agreed
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, journal=journal, in_folder=True, transport="ssh")
    why = agreed(w, Asked(because, False, True), "")
    open_console(w, host, By("ssh", why))
