"""Rate a unit."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field
from starlette.exceptions import HTTPException

from ratemyunit import ratings
from ratemyunit.api.access import BY_TOKEN, NOBODYS, Rater
from ratemyunit.api.parts import NO_NUL, Pool
from ratemyunit.problems import documented

router = APIRouter(prefix="/api/units")


class Rating(BaseModel):
    """A rating as the API shows it."""

    id: UUID
    stars: int
    comment: str
    created_at: datetime


class Given(BaseModel):
    """A student's rating. The client makes the id, and sends the same one again when it has heard no answer."""

    id: UUID
    stars: Annotated[int, Field(ge=1, le=5, strict=True)]
    comment: Annotated[str, Field(max_length=2000, pattern=NO_NUL), AfterValidator(str.strip)] = ""


ANSWERS = {200: {"description": "It was here already", "model": Rating}, **documented(401, 404, 409)}


@router.post("/{unit_id}/ratings", status_code=201, dependencies=[BY_TOKEN], responses=ANSWERS, openapi_extra=NOBODYS)
def rate(unit_id: UUID, given: Given, response: Response, pool: Pool, who: Rater) -> Rating:
    """Take a rating: 201 for a new one, 200 for one that is here already, 409 where its id names another one.

    It needs no account. Given in a session it is the account's, which has one for each unit.
    """
    rating = ratings.Given(given.id, unit_id, given.stars, given.comment, author=who.id if who else None)
    with pool.begin() as connection:
        taken = ratings.give(connection, rating)
        stored = ratings.one(connection, given.id)
    if taken == "rated":
        raise HTTPException(409, "you have rated this unit already")
    if taken == "no unit" or stored is None:
        raise HTTPException(404, "there is no such unit")
    if taken == "differs":
        raise HTTPException(409, "another rating has this id already; a new rating needs a new id")
    response.status_code = 201 if taken == "new" else 200
    return Rating(**stored)
