"""Reviews, as moderators see them: an admin's account, since who decided is kept."""

import logging
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel
from starlette.exceptions import HTTPException

from ratemyunit import moderation
from ratemyunit.api.access import BY_TOKEN, Admin
from ratemyunit.api.parts import NO_NUL, Pool, Reading
from ratemyunit.cursors import CursorWrong
from ratemyunit.moderation import Review, Verdict
from ratemyunit.problems import documented

router = APIRouter(prefix="/api/admin/reviews", dependencies=[BY_TOKEN])

log = logging.getLogger("ratemyunit.api")


class Reviewed(BaseModel):
    """A review, and what was decided of it by whom."""

    id: UUID
    unit_id: UUID
    code: str
    title: str
    stars: int
    comment: str
    review: Review
    created_at: datetime
    moderated_by: UUID | None
    moderated_at: datetime | None


class Reviews(BaseModel):
    """A page of reviews in one state: of those that wait the oldest first, of others the newest.

    `next` is the cursor of the page after it, null on the last.
    """

    reviews: list[Reviewed]
    next: str | None


class Judged(BaseModel):
    """What is to become of a review's words; `created_at` is the review's own, and says which words were read."""

    review: Verdict
    created_at: AwareDatetime


@router.get("", responses=documented(401, 403))
def reviews(
    who: Admin,
    reading: Reading,
    state: Review = "pending",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str, Query(max_length=200, pattern=NO_NUL, description="`next` of the page before")] = "",
) -> Reviews:
    """List reviews that wait, or were shown or hidden."""
    try:
        after = moderation.place(cursor) if cursor else None
    except CursorWrong as why:
        raise HTTPException(422, str(why)) from why
    with reading.connect() as connection:
        found = moderation.listed(connection, state, most=limit + 1, after=after)
    page = [Reviewed(**review) for review in found[:limit]]
    more = len(found) > limit
    return Reviews(reviews=page, next=moderation.Place(page[-1].created_at, page[-1].id).cursor() if more else None)


@router.post("/{rating_id}", status_code=204, responses=documented(401, 404, 409))
def judge(rating_id: UUID, wish: Judged, who: Admin, pool: Pool) -> None:
    """Show or hide a review's words: 409 where they are not those that were read."""
    with pool.begin() as connection:
        judged = moderation.judge(connection, rating_id, wish.created_at, wish.review, who.id)
    if judged == "no review":
        raise HTTPException(404, "there is no such review")
    if judged == "changed":
        raise HTTPException(409, "this review has changed since you read it; read it again")
    fields = {"event": "review", "review": wish.review, "rating": str(rating_id), "by": str(who.id)}
    log.info("review judged", extra={"fields": fields})
