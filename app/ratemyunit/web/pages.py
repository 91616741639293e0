"""The pages that everybody may read: front page, search, one unit; and the static files that they name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID, uuid4

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from ratemyunit import ratings, units
from ratemyunit.api.access import Seen
from ratemyunit.api.parts import NO_NUL, Reading
from ratemyunit.cursors import CursorWrong
from ratemyunit.entrance import Visitor
from ratemyunit.search import Asked, find
from ratemyunit.web import assets
from ratemyunit.web.render import form, page

FIRST = 6
A_PAGE = 24
READS = ["GET", "HEAD"]
FOR_EVER = "public, max-age=31536000, immutable"
SAID = {
    "stars": "Thank you. Your stars count now.",
    "words": "Thank you. Your stars count now; your words appear when a moderator has read them.",
}


@asynccontextmanager
async def _published(app: FastAPI) -> AsyncIterator[None]:
    publisher = assets.Publisher(app.state.engine)
    publisher.start()
    yield
    await anyio.to_thread.run_sync(publisher.stop)


router = APIRouter(include_in_schema=False, lifespan=_published)


@router.api_route("/", methods=READS)
def home(request: Request, seen: Seen, pool: Reading) -> Response:
    """Show the way to search, and a few units."""
    with pool.connect() as connection:
        found = find(connection, Asked(), most=FIRST)
    return page(request, "home.html", seen, units=found.units)


@router.api_route("/search", methods=READS)
def search(
    request: Request,
    seen: Seen,
    pool: Reading,
    q: Annotated[str, Query(max_length=200, pattern=NO_NUL)] = "",
    university: Annotated[str, Query(max_length=36)] = "",
    level: Annotated[str, Query(max_length=1)] = "",
    cursor: Annotated[str, Query(max_length=1000, pattern=NO_NUL)] = "",
) -> Response:
    """Find units by words and filters, a page at a time. A filter that is no filter filters nothing."""
    asked = Asked(q, _university(university), int(level) if level.isdecimal() else None)
    with pool.connect() as connection:
        try:
            found = find(connection, asked, most=A_PAGE, cursor=cursor)
        except CursorWrong as why:
            raise HTTPException(422, str(why)) from why
        names = units.all_universities(connection)
    kept = {name: value for name, value in (("q", q), ("university", university), ("level", level)) if value}
    return page(
        request,
        "search.html",
        seen,
        asked=asked,
        begun=bool(cursor),
        units=found.units,
        universities=names,
        first=f"/search?{urlencode(kept)}",
        further=f"/search?{urlencode(kept | {'cursor': found.next})}" if found.next else "",
    )


@router.api_route("/units/{unit_id}", methods=READS)
def unit(request: Request, unit_id: UUID, seen: Seen, pool: Reading, said: str = "") -> Response:
    """Show one unit with its ratings, and the form to rate it."""
    with pool.connect() as connection:
        return unit_page(request, connection, unit_id, seen, said=SAID.get(said, ""))


def unit_page(
    request: Request,
    connection: Connection,
    unit_id: UUID,
    seen: Visitor | None,
    *,
    status: int = 200,
    said: str = "",
    filled: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    """Draw a unit's page, with what somebody has filled in, and what is wrong with it. Raises HTTPException 404."""
    found = units.one(connection, unit_id)
    if found is None:
        raise HTTPException(404, "there is no such unit")
    spread = ratings.spread(connection, unit_id)
    # The id is made with the form: a form that is sent twice is one rating.
    fresh = {"id": str(uuid4()), "stars": "", "comment": ""}
    return form(
        request,
        "unit.html",
        seen,
        status=status,
        unit=found,
        reviews=[one for one in ratings.of(connection, unit_id) if one.comment],
        spread=[(stars, spread.get(stars, 0)) for stars in range(5, 0, -1)],
        said=said,
        filled=fresh | (filled or {}),
        errors=errors or {},
    )


@router.api_route("/static/{name}", methods=READS)
def static(name: str, pool: Reading) -> Response:
    """Serve a file by its hashed name: this release's own, or one of another release whose pages are still open."""
    found = assets.ours(name)
    if found is None and assets.NAME.fullmatch(name):
        with pool.connect() as connection:
            found = assets.find(connection, name)
    if found is None:
        raise HTTPException(404, "there is no such file")
    return Response(found.body, media_type=found.media_type, headers={"Cache-Control": FOR_EVER})


def _university(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
