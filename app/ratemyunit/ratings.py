"""Ratings in PostgreSQL. The client makes the id, so a rating that is sent again is the same rating.

Stars count at once. What others read of the words is `comment` once a moderator has shown them, and empty before.
"""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, and_, case, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import ratings, units

MOST_SHOWN = 100

Taken = Literal["new", "known", "differs", "rated", "no unit"]

_told = (ratings.c.id, ratings.c.unit_id, ratings.c.stars, ratings.c.created_at)
_columns = (*_told, ratings.c.comment, ratings.c.author_id, ratings.c.review)
_public = (*_told, case((ratings.c.review == "shown", ratings.c.comment), else_="").label("comment"))
_shown = and_(ratings.c.review == "shown", ratings.c.comment != "")
_newest = (ratings.c.created_at.desc(), ratings.c.id)


@dataclass(frozen=True)
class Given:
    """One rating as a client gives it."""

    id: UUID
    unit: UUID
    stars: int
    comment: str
    author: UUID | None = None
    """The account that gives it, if it was given in a session."""


def give(connection: Connection, given: Given) -> Taken:
    """Store a rating unless it is here already.

    `differs` where its id names another one, `rated` where its author has rated the unit before.
    """
    if not connection.scalar(select(exists().where(units.c.id == given.unit))):
        return "no unit"
    row = {"id": given.id, "unit_id": given.unit, "stars": given.stars, "comment": given.comment}
    row["author_id"] = given.author
    # The other of two that come at once is waited for here, so what it stored is seen below.
    put = insert(ratings).values(row).on_conflict_do_nothing().returning(ratings.c.id)
    if connection.execute(put).first():
        return "new"
    stored = one(connection, given.id)
    if stored is None:
        return "rated"
    return "known" if all(stored[name] == value for name, value in row.items()) else "differs"


def one(connection: Connection, rating: UUID) -> RowMapping | None:
    """Find one rating by its id, with all its words: for who gave it."""
    return connection.execute(select(*_columns).where(ratings.c.id == rating)).mappings().first()


def of(connection: Connection, unit: UUID) -> list[RowMapping]:
    """List a unit's ratings as everybody may read them, newest first.

    Where there are more than `MOST_SHOWN`, stars without words are left out before words that are shown.
    """
    kept = select(ratings.c.id).where(ratings.c.unit_id == unit)
    kept = kept.order_by(_shown.desc(), *_newest).limit(MOST_SHOWN)
    query = select(*_public).where(ratings.c.id.in_(kept)).order_by(*_newest)
    return list(connection.execute(query).mappings())


def spread(connection: Connection, unit: UUID) -> dict[int, int]:
    """Count a unit's ratings by their stars; stars that nobody gave are left out."""
    query = select(ratings.c.stars, func.count().label("given")).where(ratings.c.unit_id == unit)
    return {row.stars: row.given for row in connection.execute(query.group_by(ratings.c.stars))}


def by(connection: Connection, author: UUID) -> list[RowMapping]:
    """List an account's own ratings with their units, newest first."""
    query = select(*_columns, units.c.code, units.c.title).join_from(ratings, units)
    query = query.where(ratings.c.author_id == author)
    query = query.order_by(*_newest).limit(MOST_SHOWN)
    return list(connection.execute(query).mappings())


def take_back(connection: Connection, rating: UUID, author: UUID) -> bool:
    """Delete a rating of an account's own; answer whether it was one."""
    mine = delete(ratings).where(ratings.c.id == rating, ratings.c.author_id == author)
    return bool(connection.execute(mine).rowcount)
