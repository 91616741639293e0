"""Search, and one unit with its ratings."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ratemyunit import ratings, units
from ratemyunit.api.parts import NO_NUL, Pool
from ratemyunit.api.ratings import Rating

router = APIRouter(prefix="/api/units")


class Unit(BaseModel):
    """A unit as the API shows it."""

    id: UUID
    code: str
    title: str
    description: str
    university: str
    updated_at: Any


class RatedUnit(Unit):
    """A unit with its ratings, newest first."""

    ratings: list[Rating]


class Units(BaseModel):
    """A search result."""

    units: list[Unit]


@router.get("")
def search(
    pool: Pool,
    search: Annotated[str, Query(max_length=200, pattern=NO_NUL)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Units:
    """Find units by words."""
    with pool.connect() as connection:
        found = units.search(connection, search, most=limit)
    return Units(units=[Unit(**unit) for unit in found])


@router.get("/{unit_id}")
def unit(unit_id: UUID, pool: Pool) -> RatedUnit:
    """Show one unit with its ratings."""
    with pool.connect() as connection:
        found = units.one(connection, unit_id)
        given = ratings.of(connection, unit_id)
    if found is None:
        raise HTTPException(404, "there is no such unit")
    return RatedUnit(**found, ratings=[Rating(**rating) for rating in given])
