"""What steps look up by name: a plan names a database before it is made, and knows no address of it yet."""

from __future__ import annotations

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import Database
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_database


def placed(o: Outside, database: Database) -> Database:
    """Complete a planned database with its address. Raises Unreachable, and Absent where it is not made yet."""
    if database.address:
        return database
    seen = o.databases.view(database.identifier)
    return seen.place


def resource_of(o: Outside, identifier: str) -> str:
    """Tell an instance's resource id: by what was noted, else by the control plane; empty where neither can tell.

    A rollback needs neither to answer, so a database that is down does not stop one.
    """
    noted = read_database(o.ledger, identifier)
    if noted is not None:
        return noted.resource_id
    try:
        return o.databases.view(identifier).resource_id
    except RmuError:
        return ""
