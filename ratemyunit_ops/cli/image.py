"""`rmu image`: build, push, list, scan."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson, Env

app = typer.Typer(
    help="Build, push and look at the product image.\n\nExample: rmu image push v42 --env production",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Version = Annotated[str, typer.Argument(help="The version to be, e.g. v42.")]


@app.command(short_help="Build the checked-out app/.")
def build(version: Version, env: Env = None, as_json: AsJson = False) -> None:
    """Build the checked-out app/; a tree that was built before is found by its key.

    Example: rmu image build v42
    """
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json, reach=False)
    with w.screen.working(f"building {version}"):
        built = w.builder().build(w.settings.root / "app", on_line=w.screen.detail)
    how = "built" if built.built else "known already"
    w.screen.result(
        {"version": version, **built.model_dump()}, [f"{version}: {built.digest} ({built.size / 2**20:.0f} MiB, {how})"]
    )


@app.command(short_help="Push under VERSION, building if need be.")
def push(version: Version, env: Env = None, as_json: AsJson = False) -> None:
    """Build if need be and push under VERSION; a version that is there with another digest is refused.

    Example: rmu image push v42 --env production
    """
    from ratemyunit_ops.cli.images import push_version
    from ratemyunit_ops.cli.wire import wire

    push_version(wire(env, as_json=as_json, changes=True), version)


@app.command(name="list", short_help="List the images in the registry.")
def list_images(env: Env = None, as_json: AsJson = False) -> None:
    """List the images in the registry, and which ones are protected from expiry.

    Example: rmu image list --env production
    """
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    images = w.outside.registry.images()
    if as_json:
        w.screen.result({"images": [i.model_dump(mode="json") for i in images]})
        return
    rows = [(i.digest[7:19], f"{i.size / 2**20:.0f} MiB", i.scan, ", ".join(i.tags)) for i in images]
    w.screen.table("", ("digest", "size", "scan", "tags"), rows)


@app.command(short_help="Show what the scan found in VERSION.")
def scan(version: Version, env: Env = None, as_json: AsJson = False) -> None:
    """Show what the registry's scan found in VERSION; exit 3 when CRITICAL, unless rmu.toml waives it.

    Example: rmu image scan v42 --env production
    """
    from ratemyunit_ops.cli.images import scan_version
    from ratemyunit_ops.cli.wire import wire

    scan_version(wire(env, as_json=as_json), version)
