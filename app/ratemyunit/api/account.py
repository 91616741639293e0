"""What an account sees of its own."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ratemyunit import ratings
from ratemyunit.api.access import BY_TOKEN, SignedIn
from ratemyunit.api.parts import Pool, Reading
from ratemyunit.moderation import Review
from ratemyunit.problems import documented

router = APIRouter(prefix="/api/account", dependencies=[BY_TOKEN])


class Own(BaseModel):
    """A rating as who gave it sees it: with its words, and whether others see them."""

    id: UUID
    unit_id: UUID
    code: str
    title: str
    stars: int
    comment: str
    review: Review
    created_at: datetime


class Owned(BaseModel):
    """An account's ratings, newest first."""

    ratings: list[Own]


@router.get("/ratings", responses=documented(401))
def own(who: SignedIn, reading: Reading) -> Owned:
    """List the ratings of this session's account."""
    with reading.connect() as connection:
        found = ratings.by(connection, who.id)
    return Owned(ratings=[Own(**rating) for rating in found])


@router.delete("/ratings/{rating_id}", status_code=204, responses=documented(401, 404))
def take_back(rating_id: UUID, who: SignedIn, pool: Pool) -> None:
    """Delete a rating of one's own. Another's is answered like one that is not there."""
    with pool.begin() as connection:
        gone = ratings.take_back(connection, rating_id, who.id)
    if not gone:
        raise HTTPException(404, "you have given no such rating")
