"""Search, the universities to search in, and one unit with its ratings."""

import json
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from ratemyunit import ratings, search, units
from ratemyunit.api.parts import NO_NUL, Kept, Reading
from ratemyunit.api.ratings import Rating
from ratemyunit.cursors import CursorWrong
from ratemyunit.problems import documented

router = APIRouter(prefix="/api")


class Unit(BaseModel):
    """A unit as the API shows it. Nobody has rated it: the average is null."""

    id: UUID
    code: str
    title: str
    description: str
    university: str
    university_id: UUID
    updated_at: datetime
    rating_count: int
    rating_average: float | None


class RatedUnit(Unit):
    """A unit with its ratings, newest first. Of more than a hundred, those without words are left out first."""

    ratings: list[Rating]


class Units(BaseModel):
    """A page of what a search found, best first; `next` is the cursor of the page after it, null on the last."""

    units: list[Unit]
    next: str | None


class University(BaseModel):
    """A university that units belong to."""

    id: UUID
    name: str


class Universities(BaseModel):
    """The universities, by name."""

    universities: list[University]


@router.get("/units", response_model=Units)
def find(
    reading: Reading,
    kept: Kept,
    search_for: Annotated[str, Query(alias="search", max_length=200, pattern=NO_NUL)] = "",
    university: UUID | None = None,
    level: Annotated[int | None, Query(ge=0, le=9, description="the first digit of the unit's code")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str, Query(max_length=1000, pattern=NO_NUL, description="`next` of the page before")] = "",
) -> Response:
    """Find units by words, in spite of misspellings; without words, list them by code."""
    asked = search.Asked(search_for, university, level)
    question = json.dumps(["units", asked.words, str(university), level, limit, cursor])
    with reading.connect() as connection:
        return _json(kept.of(connection, question, lambda: _page(connection, asked, limit, cursor)))


@router.get("/universities", response_model=Universities)
def universities(reading: Reading, kept: Kept) -> Response:
    """List the universities that a search can be kept to."""
    with reading.connect() as connection:
        return _json(kept.of(connection, "universities", lambda: _universities(connection)))


@router.get("/units/{unit_id}", responses=documented(404))
def unit(unit_id: UUID, reading: Reading) -> RatedUnit:
    """Show one unit with its ratings."""
    with reading.connect() as connection:
        found = units.one(connection, unit_id)
        given = ratings.of(connection, unit_id)
    if found is None:
        raise HTTPException(404, "there is no such unit")
    return RatedUnit(**found, ratings=[Rating(**rating) for rating in given])


def _page(connection: Connection, asked: search.Asked, limit: int, cursor: str) -> str:
    try:
        page = search.find(connection, asked, most=limit, cursor=cursor)
    except CursorWrong as why:
        raise HTTPException(422, str(why)) from why
    found = [Unit.model_validate(one, from_attributes=True) for one in page.units]
    return Units(units=found, next=page.next).model_dump_json()


def _universities(connection: Connection) -> str:
    found = [University.model_validate(dict(one)) for one in units.all_universities(connection)]
    return Universities(universities=found).model_dump_json()


def _json(body: str) -> Response:
    return Response(body, media_type="application/json")
