"""The account's page: one's own ratings, and the way out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from ratemyunit import ratings
from ratemyunit.api import account
from ratemyunit.api.access import SignedIn
from ratemyunit.api.parts import Pool
from ratemyunit.guard import csrf
from ratemyunit.web.pages import READS
from ratemyunit.web.render import form, onwards

SAID = {"gone": "The rating is taken back."}

router = APIRouter(prefix="/account", include_in_schema=False)


@router.api_route("", methods=READS)
def own(request: Request, who: SignedIn, pool: Pool, said: str = "") -> Response:
    """Show whose account this is and what it has rated."""
    with pool.connect() as connection:
        given = ratings.by(connection, who.id)
    return form(request, "account.html", who, ratings=given, said=SAID.get(said, ""))


@router.post("/take-back", dependencies=[Depends(csrf.form)])
def take_back(rating: Annotated[UUID, Form()], who: SignedIn, pool: Pool) -> Response:
    """Delete a rating of one's own."""
    account.take_back(rating, who, pool)
    return onwards("/account?said=gone")
