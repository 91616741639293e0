"""What every planner asks of its world first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.model import Database, Known, Release, RunHeader, SchemaNote, Unknown, World, newest_schema

T = TypeVar("T")
TAKES, TAKES_AT_MOST = timedelta(minutes=45), timedelta(minutes=150)
"""What a restore is assumed to take before one has told, and where its waits give up: credentials that end earlier
would leave it half-way."""
RESTORES = frozenset({"db restore", "dr restore", "dr drill", "migrate rehearse"})
NEWEST = 5
TAKES_LONG = frozenset({"restorable", "restore_database", "database_available", "same_settings", "warm_database"})
"""Kinds of steps that wait for a restored database; what comes after them is a matter of minutes."""


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
    return seen.place


def schema_of(world: World, database: Database) -> SchemaNote | None:
    """Tell the schema a database has by the records: its newest note, else what the live release brought."""
    noted = newest_schema(need(world.schema_notes, "the notes on schemas"), database.identifier)
    if noted is not None:
        return noted
    live = live_release(world)
    if live is None:
        return None
    return SchemaNote(
        at=live.created,
        database=database.identifier,
        head=live.schema_head,
        admits=live.schema_admits,
        run=live.run,
    )


def restore_takes(runs: Sequence[RunHeader]) -> timedelta:
    """Tell what a restore may take: half as long again as the longest of the newest that ended well, within bounds."""
    took = [h.finished - h.started for h in runs if h.verb in RESTORES and h.outcome == "done" and h.finished]
    return min(TAKES_AT_MOST, max([TAKES, *(1.5 * one for one in took[-NEWEST:])]))


def credentials_last(expires: datetime | None, now: datetime, takes: timedelta) -> None:
    """See that credentials outlast a restore. Raises Refused."""
    if expires is not None and expires - now < takes:
        minutes = max(0, int((expires - now).total_seconds()) // 60)
        raise Refused(
            f"these credentials end in {minutes} min, and a restore may take {takes.total_seconds() / 60:.0f}",
            next="log in anew, for a longer session; then the same command",
        )


def still_restores(kinds: Sequence[str], events: Sequence[Any]) -> bool:
    """Tell whether a run has yet to wait for a restored database; one that is on its way back has not."""
    if any(e.kind in {"failed", "cancelled", "abandoned", "undo-started"} for e in events):
        return False
    settled = {e.step for e in events if e.kind in {"done", "found"}}
    return any(kind in TAKES_LONG and n not in settled for n, kind in enumerate(kinds))


def in_service(world: World) -> list[str]:
    """Name the hosts that may be acted on. Raises Unreachable when there is none."""
    ids = sorted(i.id for i in need(world.instances, "the list of hosts") if i.state == "InService")
    if not ids:
        raise Unreachable("no host is in service", next="rmu host list")
    return ids


def members(world: World) -> list[str]:
    """Name every host that serves or will: one that is still booting may have read the pointer already.

    Raises:
        Refused: one stands by, and would come back with what it holds now.
        Unreachable: there is none, or the list could not be read.
    """
    in_service(world)
    staying = [i for i in need(world.instances, "the list of hosts") if not i.leaving]
    apart = [i for i in staying if i.state != "InService" and not i.state.startswith("Pending")]
    if apart:
        raise Refused(
            f"{apart[0].id} is {apart[0].state}: it would come back with the database it holds now",
            next="rmu host list   (put it back into service, or rmu host replace)",
        )
    return sorted(i.id for i in staying)


def schemas_of(world: World, database: str) -> list[SchemaNote]:
    """List the schemas that a database was noted to have, oldest first."""
    return [n for n in need(world.schema_notes, "the notes of schemas") if n.database == database]
