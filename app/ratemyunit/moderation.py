"""What becomes of a review's words: they wait, until an admin shows or hides them; who decided, and when, is kept.

Stars count from the first moment. Every review waits, whoever wrote it: an account costs a spammer nothing either.
Who judges says when the words they read were given: under one id others may have come since.
"""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, RowMapping, and_, exists, func, select, tuple_, update

from ratemyunit.cursors import CursorWrong, packed, unpacked
from ratemyunit.schema import ratings, units

Review = Literal["pending", "shown", "hidden"]
Verdict = Literal["shown", "hidden"]
Judged = Literal["judged", "changed", "no review"]

_columns = (
    ratings.c.id,
    ratings.c.unit_id,
    units.c.code,
    units.c.title,
    ratings.c.stars,
    ratings.c.comment,
    ratings.c.review,
    ratings.c.created_at,
    ratings.c.moderated_by,
    ratings.c.moderated_at,
)


class Place(NamedTuple):
    """Where a page ended: the next one begins after it."""

    created_at: datetime
    id: UUID

    def cursor(self) -> str:
        """Spell it for a client to hand back."""
        return packed(f"{self.created_at.isoformat()} {self.id}")


def place(cursor: str) -> Place:
    """Read a cursor.

    Raises:
        CursorWrong: it is not one that a list of reviews has given.
    """
    try:
        moment, _, rating = unpacked(cursor).decode().partition(" ")
        found = Place(datetime.fromisoformat(moment), UUID(rating))
    except ValueError as why:
        raise CursorWrong("the cursor is not one that a list of reviews has given") from why
    return found


def listed(
    connection: Connection, state: Review = "pending", *, most: int = 50, after: Place | None = None
) -> list[RowMapping]:
    """List reviews in a state: of those that wait the oldest first, of those that were judged the newest.

    A rating without words is no review.
    """
    query = select(*_columns).join_from(ratings, units).where(ratings.c.review == state, ratings.c.comment != "")
    key = (ratings.c.created_at, ratings.c.id)
    waiting = state == "pending"
    if after:
        query = query.where(tuple_(*key) > after if waiting else tuple_(*key) < after)
    query = query.order_by(*(column if waiting else column.desc() for column in key))
    return list(connection.execute(query.limit(most)).mappings())


def judge(connection: Connection, rating: UUID, created_at: datetime, verdict: Verdict, by: UUID) -> Judged:
    """Show or hide the words that were given under an id at a time. The last verdict is the one that holds.

    `changed` where the author took those words back and gave others under the same id.
    """
    review = and_(ratings.c.id == rating, ratings.c.comment != "")
    values = {"review": verdict, "moderated_by": by, "moderated_at": func.now()}
    judged = update(ratings).where(review, ratings.c.created_at == created_at).values(values)
    if connection.execute(judged).rowcount:
        return "judged"
    return "changed" if connection.scalar(select(exists().where(review))) else "no review"
