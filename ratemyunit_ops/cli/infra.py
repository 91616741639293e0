"""`rmu infra`: Terraform under the lease."""

from __future__ import annotations

import typer

from ratemyunit_ops.cli.options import AsJson, Because, DryRun, Env, NoInput, Yes

app = typer.Typer(
    help="Make the places: Terraform, its changes under the lease.\n\nExample: rmu infra plan --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(short_help="Make state bucket, table and first secrets.")
def bootstrap(
    env: Env = None, dry_run: DryRun = False, yes: Yes = False, no_input: NoInput = False, as_json: AsJson = False
) -> None:
    """Make the state bucket, the ledger table and the first secrets; safe to repeat.

    Example: rmu infra bootstrap --env production

    The one effect without journal and lease, and so without a reason: it makes the table that they stand in. Terraform
    locks its state against a second one, once the bucket is there.
    """
    from ratemyunit_ops.cli.places import bootstrap_it
    from ratemyunit_ops.cli.wire import wire

    bootstrap_it(wire(env, as_json=as_json, may_ask=not no_input), yes=yes, dry_run=dry_run)


@app.command()
def plan(env: Env = None, as_json: AsJson = False) -> None:
    """Show what `apply` would do, as counts and names.

    Example: rmu infra plan --env production

    Takes no lease, for it changes nothing. Terraform's own lock keeps it and an apply apart: on one machine it waits,
    from another it is busy.
    """
    from ratemyunit_ops.cli.places import show_plan
    from ratemyunit_ops.cli.wire import wire

    show_plan(wire(env, as_json=as_json))


@app.command(short_help="Bring the stack to what Terraform says.")
def apply(
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Bring the stack to what Terraform says, wait for hosts, make the database roles.

    Example: rmu infra apply --env production --because "bigger host"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.places import apply_it
    from ratemyunit_ops.cli.wire import wire

    apply_it(wire(env, as_json=as_json, may_ask=not no_input), Asked(because, dry_run, yes))


@app.command(short_help="Exit 3 when the world has drifted.")
def drift(env: Env = None, as_json: AsJson = False) -> None:
    """Tell whether the world still is what Terraform says; exit 3 when not.

    Example: rmu infra drift --env production

    Takes no lease, for it changes nothing. Terraform's own lock keeps it and an apply apart: on one machine it waits,
    from another it is busy.
    """
    from ratemyunit_ops.cli.places import show_drift
    from ratemyunit_ops.cli.wire import wire

    show_drift(wire(env, as_json=as_json))


@app.command()
def output(env: Env = None, as_json: AsJson = False) -> None:
    """Print what Terraform made, by name.

    Example: rmu infra output --json
    """
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    found = dict(w.outside.infra.output("stack"))
    w.screen.result({"output": found}, [f"{name} = {value}" for name, value in sorted(found.items())])


@app.command(short_help="Take a restored database into Terraform's state.")
def adopt(
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Take the database that a restore made live into Terraform's state; the old one stays, for `rmu db forget`.

    Example: rmu infra adopt --env production --because "after the restore of Tuesday"
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.places import adopt_it
    from ratemyunit_ops.cli.wire import wire

    adopt_it(wire(env, as_json=as_json, may_ask=not no_input), Asked(because, dry_run, yes))


@app.command(short_help="Destroy the stack, unless it is protected.")
def destroy(
    env: Env = None,
    because: Because = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_input: NoInput = False,
    as_json: AsJson = False,
) -> None:
    """Destroy the stack; refused while the database is protected from deletion.

    Example: rmu infra destroy --env staging
    """
    from ratemyunit_ops.cli.carrying import Asked
    from ratemyunit_ops.cli.places import destroy_it
    from ratemyunit_ops.cli.wire import wire

    destroy_it(wire(env, as_json=as_json, may_ask=not no_input), Asked(because, dry_run, yes))
