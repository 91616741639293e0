"""Rate a unit by a form: what is wrong is said beside its field, and what was typed stays typed."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from ratemyunit import ratings
from ratemyunit.api.access import Rater
from ratemyunit.api.parts import Pool
from ratemyunit.guard import csrf
from ratemyunit.web.pages import READS, unit_page
from ratemyunit.web.render import onwards

LONGEST = 2000
REFUSED = {
    "differs": "This form was sent before, with another rating. Send it again if this is a new one.",
    "rated": "You have rated this unit already. Take that rating back on your account's page to give another.",
}

router = APIRouter(include_in_schema=False)


@router.post("/units/{unit_id}/ratings", dependencies=[Depends(csrf.form)])
def rate(
    request: Request,
    unit_id: UUID,
    id: Annotated[UUID, Form()],
    seen: Rater,
    pool: Pool,
    stars: Annotated[str, Form()] = "",
    comment: Annotated[str, Form()] = "",
) -> Response:
    """Take a rating. Sent twice it is one; with other stars or words under the same id it is drawn again to look at."""
    words = comment.replace("\r\n", "\n").strip()
    errors = wrong(stars, words)
    filled = {"stars": stars, "comment": words}
    if errors:
        with pool.connect() as connection:
            # The id stays: the browser's own "send again" must find it.
            return unit_page(
                request, connection, unit_id, seen, status=422, filled={**filled, "id": str(id)}, errors=errors
            )
    author = seen.id if seen else None
    with pool.begin() as connection:
        taken = ratings.give(connection, ratings.Given(id, unit_id, int(stars), words, author))
        if taken in ("differs", "rated"):
            errors = {"form": REFUSED[taken]}
            return unit_page(request, connection, unit_id, seen, status=409, filled=filled, errors=errors)
        if taken == "no unit":
            return unit_page(request, connection, unit_id, seen)
    return onwards(f"/units/{unit_id}?said={'words' if words else 'stars'}")


@router.api_route("/units/{unit_id}/ratings", methods=READS)
def rated(unit_id: UUID) -> Response:
    """Lead to the unit: its form's address stays in the browser's bar where the form was drawn again."""
    return onwards(f"/units/{unit_id}")


def wrong(stars: str, words: str) -> dict[str, str]:
    """Say what is wrong with a rating, by field."""
    errors = {}
    if stars not in {"1", "2", "3", "4", "5"}:
        errors["stars"] = "Choose one to five stars."
    if len(words) > LONGEST:
        errors["comment"] = f"Your words are {len(words) - LONGEST:,} characters too long; {LONGEST:,} fit."
    elif "\x00" in words:
        errors["comment"] = "Your words hold a character that cannot be stored (NUL)."
    return errors
