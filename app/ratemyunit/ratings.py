"""Ratings in PostgreSQL. The client makes the id, so a rating that is sent again is the same rating."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, exists, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import ratings, units

MOST_SHOWN = 100

Taken = Literal["new", "known", "differs", "no unit"]

_columns = (ratings.c.id, ratings.c.unit_id, ratings.c.stars, ratings.c.comment, ratings.c.created_at)


@dataclass(frozen=True)
class Given:
    """One rating as a client gives it."""

    id: UUID
    unit: UUID
    stars: int
    comment: str


def give(connection: Connection, given: Given) -> Taken:
    """Store a rating unless it is here already; `differs` where its id names another one."""
    if not connection.scalar(select(exists().where(units.c.id == given.unit))):
        return "no unit"
    row = {"id": given.id, "unit_id": given.unit, "stars": given.stars, "comment": given.comment}
    # The other of two that come at once is waited for here, so what it stored is seen below.
    put = insert(ratings).values(row).on_conflict_do_nothing().returning(ratings.c.id)
    if connection.execute(put).first():
        return "new"
    return "known" if _same(one(connection, given.id), row) else "differs"


def one(connection: Connection, rating: UUID) -> RowMapping | None:
    """Find one rating by its id."""
    return connection.execute(select(*_columns).where(ratings.c.id == rating)).mappings().first()


def of(connection: Connection, unit: UUID) -> list[RowMapping]:
    """List a unit's ratings, newest first."""
    query = select(*_columns).where(ratings.c.unit_id == unit)
    query = query.order_by(ratings.c.created_at.desc(), ratings.c.id).limit(MOST_SHOWN)
    return list(connection.execute(query).mappings())


def _same(stored: RowMapping | None, row: dict[str, object]) -> bool:
    return stored is not None and all(stored[name] == value for name, value in row.items())
