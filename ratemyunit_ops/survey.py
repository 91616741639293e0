"""LOOK: ports -> World. Read-only. A field that could not be read becomes Unknown(why), never a guess."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ratemyunit_ops.errors import NoAnswer, RmuError
from ratemyunit_ops.model import Facts, Known, RestorePoint, RunHeader, Unknown, World
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import (
    database_name,
    holder,
    read_bodies,
    read_databases,
    read_header,
    read_headers,
    read_live_notes,
    read_open_incident,
    read_pointer,
    read_releases,
    read_schema_notes,
)

T = TypeVar("T")

DEPLOY = frozenset({"pointer", "releases", "lease", "instances", "hosts", "database", "image", "schema_notes"})
ROLLBACK = frozenset({"pointer", "releases", "lease", "instances", "front_door", "last_run", "schema_notes"})
STATUS = frozenset(
    {"pointer", "releases", "lease", "instances", "hosts", "addresses", "front_door", "database", "database_notes"}
    | {"last_drill", "fenced", "in_terraform", "incident", "schema_notes", "leftovers"}
)
RESTORE = frozenset(
    {"pointer", "releases", "lease", "instances", "database", "windows", "settings"}
    | {"live_notes", "schema_notes", "database_notes"}
)
SALVAGE = frozenset({"pointer", "lease", "database_notes"})


def survey(o: Outside, environment: str, needs: Iterable[str], *, version: str | None = None) -> World:
    """Read just what a verb needs. `version` is whose image is meant. Never raises for a field it could not read."""
    readers: dict[str, Callable[[], Any]] = {
        "pointer": lambda: read_pointer(o.ledger),
        "releases": lambda: read_releases(o.ledger),
        "lease": lambda: holder(o.ledger),
        "instances": o.fleet.instances,
        "hosts": o.fleet.survey,
        "addresses": o.fleet.addresses,
        "front_door": o.traffic.look,
        "image": lambda: o.registry.image(version or ""),
        "last_run": lambda: last_run(o),
        "last_drill": lambda: last_drill(o),
        "fenced": lambda: fenced_databases(o),
        "leftovers": lambda: o.group.leftovers(),
        "queue": lambda: o.queue.status(),
        "in_terraform": lambda: o.places.all().get("database", ""),
        "incident": lambda: read_open_incident(o.ledger),
        "live_notes": lambda: read_live_notes(o.ledger),
        "schema_notes": lambda: read_schema_notes(o.ledger),
        "database_notes": lambda: read_databases(o.ledger),
        "windows": o.databases.windows,
        "settings": lambda: o.databases.settings(database_name(o)),
        "database": lambda: o.databases.view(database_name(o)),
    }
    fields = {name: _read(o, readers[name]) for name in needs}
    return World(environment=environment, at=o.clock.now(), **fields)


def survey_since(o: Outside, world: World, point: RestorePoint, version: str) -> World:
    """Read what a restore to a point would leave behind, and whether the image it would run is there."""
    database = world.pointer.value.database if isinstance(world.pointer, Known) else None
    more: dict[str, Any] = {"image": _read(o, lambda: o.registry.image(version))}
    if database is not None:
        more["data"] = _read(o, lambda: o.data.look(database, since=point.at))
    return world.model_copy(update=more)


def point_before(o: Outside, run: str) -> tuple[RestorePoint, str | None] | None:
    """Read the restore point that a run noted, and which release was live when it began; None where it noted none."""
    bodies = read_bodies(o.ledger, run)
    noted = [b["facts"] for b in bodies if b["kind"] == "done" and b["facts"].get("restore_point")]
    if not noted:
        return None
    live = bodies[0]["facts"]["plan"].get("expects", {}).get("live")
    return RestorePoint.model_validate(noted[0]["restore_point"]), live


def facts(o: Outside, names: Iterable[str]) -> Facts:
    """Read named facts now, for a plan's `expects` and `holds`: live, database, hosts, members, serving."""
    readers: dict[str, Callable[[], Any]] = {
        "live": lambda: read_pointer(o.ledger).release,
        "database": lambda: database_name(o),
        "hosts": lambda: sorted(i.id for i in o.fleet.instances() if i.state == "InService"),
        "members": lambda: sorted(i.id for i in o.fleet.instances() if not i.leaving),
        "serving": lambda: o.traffic.look().version,
    }
    return {name: readers[name]() for name in names}


def lease_age(o: Outside, world: World) -> float | None:
    """Tell for how many seconds the run that holds the environment has been going; None where none does."""
    lease = world.lease.value if isinstance(world.lease, Known) else None
    header = read_header(o.ledger, lease.run) if lease else None
    return round((o.clock.now() - header.started).total_seconds(), 1) if header else None


def last_run(o: Outside) -> RunHeader | None:
    """Read the newest run that moved traffic."""
    moving = {"deploy", "rollback", "db restore"}
    return next((r for r in reversed(read_headers(o.ledger)) if r.verb in moving and r.outcome == "done"), None)


def fenced_databases(o: Outside) -> tuple[str, ...]:
    """Name the databases that traffic is sent to and that take no writes. Only a run that is open leaves one so."""
    if holder(o.ledger) is None:
        return ()
    slots = [h.slots[h.live_slot] for h in o.fleet.survey() if h.live_slot]
    served = sorted({s.database for s in slots if s.database})
    views = [o.databases.view(name) for name in served]
    return tuple(view.identifier for view in views if o.data.fenced(view.place))


def last_drill(o: Outside) -> RunHeader | None:
    """Read the newest drill that ended well; None where there never was one."""
    drills = (r for r in reversed(read_headers(o.ledger)) if (r.verb, r.outcome) == ("dr drill", "done"))
    return next(drills, None)


def warm_release(o: Outside) -> str | None:
    """Name the release that the newest run left started beside the live one, by the journal alone."""
    headers = read_headers(o.ledger)
    if not headers or headers[-1].outcome != "done":
        return None
    bodies = read_bodies(o.ledger, headers[-1].run)
    retired = [b["facts"] for b in bodies if b["kind"] == "done" and "retired" in b["facts"]]
    warm = next((str(f["retired"]) for f in retired if f["state"] == "warm"), None)
    # A host that was born since holds the live release alone.
    return warm if warm and facts(o, ("hosts",)).items() <= bodies[0]["facts"]["plan"]["holds"].items() else None


def _read(o: Outside, reader: Callable[[], T]) -> Known[T] | Unknown:
    try:
        return Known(value=reader(), at=o.clock.now())
    except RmuError as why:
        return Unknown(why=why.what, mute=isinstance(why, NoAnswer))
