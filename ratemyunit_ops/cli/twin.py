"""`rmu twin`: start, stop, show and break the local AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratemyunit_ops.cli.options import AsJson

if TYPE_CHECKING:
    from ratemyunit_ops.twin.site import Site

app = typer.Typer(
    help="The local AWS that deploys are rehearsed on.\n\nExample: rmu twin up",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str | None, typer.Option("--name", help="Which twin; else RMU_TWIN, else twin.")]
PortBase = Annotated[int | None, typer.Option("--port-base", help="First loopback port; else 4580.")]


@app.command()
def up(name: Name = None, port_base: PortBase = None, as_json: AsJson = False) -> None:
    """Start the local AWS, or whatever of it does not run; an empty account at first.

    Example: rmu twin up
    """
    from ratemyunit_ops.show.screen import Screen
    from ratemyunit_ops.twin.status import status as describe
    from ratemyunit_ops.twin.up import bring_up

    screen, site = Screen(as_json=as_json), _site(name, port_base)
    bring_up(site, screen.note)
    found = describe(site)
    screen.result(found, [f"{found['endpoint']}  (front door {found['front_door']}, registry {found['registry']})"])


@app.command()
def down(name: Name = None, port_base: PortBase = None, as_json: AsJson = False) -> None:
    """Stop the local AWS and wipe it; only caches stay.

    Example: rmu twin down
    """
    from ratemyunit_ops.show.screen import Screen
    from ratemyunit_ops.twin.down import lower_ground

    screen, site = Screen(as_json=as_json), _site(name, port_base)
    lower_ground(site)
    screen.result({"name": site.name, "outcome": "done"}, [f"the twin {site.name} is gone; caches are kept"])


@app.command()
def status(name: Name = None, port_base: PortBase = None, as_json: AsJson = False) -> None:
    """Show the twin's addresses, hosts and databases.

    Example: rmu twin status --json
    """
    from ratemyunit_ops.show.screen import Screen
    from ratemyunit_ops.twin.status import status as describe

    screen, found = Screen(as_json=as_json), describe(_site(name, port_base))
    if as_json:
        screen.result(found)
        return
    screen.table("", ("", ""), [(key, str(found[key])) for key in ("endpoint", "region", "front_door", "registry")])
    screen.table(
        "", ("host", "address", "state"), [(h["id"], h["address"], h["lifecycle"] or "") for h in found["hosts"]]
    )
    rows = [(d["identifier"], d["status"], d["url"] or "no role yet") for d in found["databases"]]
    screen.table("", ("database", "status", "url"), rows)


@app.command()
def fault(
    what: Annotated[str | None, typer.Argument(metavar="NAME", help="A fault, as shown by --list.")] = None,
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="A host, a database, or a number.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Mend it again.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
    name: Name = None,
    port_base: PortBase = None,
    as_json: AsJson = False,
) -> None:
    """Break something in the twin on purpose.

    Example: rmu twin fault kill-host
    """
    from ratemyunit_ops.show.screen import Screen
    from ratemyunit_ops.twin import fault as faults

    screen, site = Screen(as_json=as_json), _site(name, port_base)
    if show or what is None:
        known = {one: it.says for one, it in faults.faults().items()}
        screen.result({"faults": known}, [f"{one:18} {says}" for one, says in known.items()])
        return
    said = (faults.clear if clear else faults.make)(site, what, target)
    screen.result({"fault": what, "cleared": clear, "said": said}, [said])


def _site(name: str | None, port_base: int | None) -> Site:
    from dataclasses import replace

    from ratemyunit_ops.twin.site import Site

    site = Site.from_env()
    return replace(site, name=name or site.name, port_base=port_base or site.port_base)
