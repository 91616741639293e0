"""`rmu host`: list, reboot, replace, prune."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Yes

app = typer.Typer(
    help="Look at hosts, reboot or replace one.\n\nExample: rmu host list --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Host = Annotated[str, typer.Argument(help="An instance id, as shown by `rmu host list`.")]


@app.command(name="list")
def list_hosts(env: Env = None, as_json: AsJson = False) -> None:
    """List the hosts and their state in the group.

    Example: rmu host list
    """
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    found, addresses = w.outside.fleet.instances(), w.outside.fleet.addresses()
    rows = [(i.id, addresses.get(i.id, ""), i.state) for i in found]
    if as_json:
        w.screen.result({"hosts": [dict(zip(("id", "address", "state"), row, strict=True)) for row in rows]})
        return
    w.screen.table("", ("host", "address", "state"), rows)


@app.command(short_help="Reboot one host.")
def reboot(
    ctx: typer.Context,
    host: Host,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Reboot one host: out of service, reboot, back in service, proven.

    Example: rmu host reboot i-0abc --because "kernel"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.machines import reboot_it
    from ratemyunit_ops.cli.wire import wire

    reboot_it(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), host, Asked(because, dry_run, yes))


@app.command(short_help="End one host; its group makes a new one.")
def replace(
    ctx: typer.Context,
    host: Host,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """End one host; its group makes a new one, which boots the live release by itself.

    Example: rmu host replace i-0abc --because "frozen"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.machines import replace_it
    from ratemyunit_ops.cli.wire import wire

    replace_it(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), host, Asked(because, dry_run, yes))


@app.command(short_help="Remove images that nothing needs.")
def prune(
    ctx: typer.Context,
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Remove images that no slot and no worker holds, on every host. What serves or is warm keeps its image.

    Example: rmu host prune --because "the disk is full"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.machines import prune_hosts
    from ratemyunit_ops.cli.wire import wire

    prune_hosts(wire(env, as_json=as_json, may_ask=not no_input, still=ctx.obj), Asked(because, dry_run, yes))
