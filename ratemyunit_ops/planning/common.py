"""What every planner asks of its world first."""

from __future__ import annotations

from typing import TypeVar

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.model import Database, Known, Release, Unknown, World

T = TypeVar("T")


def need(field: Known[T] | Unknown, what: str) -> T:
    """Demand a field this verb relies on. Raises Unreachable when it could not be read."""
    if isinstance(field, Unknown):
        raise Unreachable(f"{what} could not be read: {field.why}", next="rmu doctor")
    return field.value


def live_release(world: World) -> Release | None:
    """Find the record of the release that the pointer names; None before the first deploy."""
    live = need(world.pointer, "the live pointer").release
    return next((r for r in need(world.releases, "the list of releases") if r.version == live), None)


def database_of(world: World) -> Database:
    """Name the database that the next release is to use: the pointer's, else the one Terraform made."""
    pointer = need(world.pointer, "the live pointer")
    if pointer.database is not None:
        return pointer.database
    seen = need(world.database, "the database")
    return Database(identifier=seen.identifier, address=seen.address, port=seen.port)


def in_service(world: World) -> list[str]:
    """Name the hosts that may be acted on. Raises Unreachable when there is none."""
    ids = sorted(i.id for i in need(world.instances, "the list of hosts") if i.state == "InService")
    if not ids:
        raise Unreachable("no host is in service", next="rmu host list")
    return ids
