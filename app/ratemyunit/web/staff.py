"""The admin's pages: the queue, reviews that wait, accounts. What they do, they do by the API's own functions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, ValidationError
from starlette.exceptions import HTTPException

from ratemyunit import moderation
from ratemyunit.accounts import Role
from ratemyunit.api import admin, queue, reviews, users
from ratemyunit.api.access import Admin
from ratemyunit.api.parts import NO_NUL, Asked, Cache, Pool
from ratemyunit.entrance import Visitor
from ratemyunit.guard import csrf
from ratemyunit.moderation import Review, Verdict
from ratemyunit.web.pages import READS
from ratemyunit.web.render import form, onwards, sentence

SAID = {
    "paused": "The queue is paused; jobs in hand are finished.",
    "resumed": "Workers take jobs again.",
    "scraping": "The scrape is in the queue.",
    "shown": "The review is shown.",
    "hidden": "The review is hidden.",
    "role": "The role is changed.",
    "locked": "The account is locked, and its sessions are over.",
    "unlocked": "The account may sign in again.",
}
STATES = {"pending": "Waiting", "shown": "Shown", "hidden": "Hidden"}

router = APIRouter(prefix="/admin", include_in_schema=False)
checked = [Depends(csrf.form)]
Said = Annotated[str, Query(max_length=20)]


@router.api_route("", methods=READS)
def overview(request: Request, who: Admin, pool: Pool, said: Said = "") -> Response:
    """Show how the queue stands."""
    return _overview(request, who, pool, said=SAID.get(said, ""))


@router.post("/queue/pause", dependencies=checked)
def pause(request: Request, who: Admin, pool: Pool, because: Annotated[str, Form()] = "") -> Response:
    """Pause the queue in this admin's name."""
    try:
        wish = queue.Pausing(by=who.email, because=because)
    except ValidationError:
        return _overview(request, who, pool, status=422, errors={"because": "A reason has at most 500 characters."})
    queue.pause(wish, pool)
    return onwards("/admin?said=paused")


@router.post("/queue/resume", dependencies=checked)
def resume(who: Admin, pool: Pool) -> Response:
    """Let the queue run."""
    queue.resume(queue.Resuming(by=who.email), pool)
    return onwards("/admin?said=resumed")


@router.post("/scrape", dependencies=checked)
def scrape(
    request: Request,
    who: Admin,
    pool: Pool,
    redis: Cache,
    asked: Asked,
    url: Annotated[str, Form()] = "",
    university: Annotated[str, Form()] = "",
) -> Response:
    """Put a scrape into the queue, or say beside the form why not."""
    filled = {"url": url.strip(), "university": university.strip()}
    try:
        admin.scrape(admin.Scrape.model_validate(filled), pool, redis, asked)
    except ValidationError as why:
        errors = {str(e["loc"][0]): e["msg"] for e in why.errors()}
    except HTTPException as why:
        errors = {"url": sentence(why.detail)}
    else:
        return onwards("/admin?said=scraping")
    return _overview(request, who, pool, status=422, errors=errors, filled=filled)


@router.api_route("/reviews", methods=READS)
def show_reviews(
    request: Request,
    who: Admin,
    pool: Pool,
    state: Review = "pending",
    cursor: Annotated[str, Query(max_length=200, pattern=NO_NUL)] = "",
    said: Said = "",
) -> Response:
    """Show the reviews in one state, a page at a time."""
    found = reviews.reviews(who, pool, state, limit=50, cursor=cursor)
    return form(
        request,
        "admin/reviews.html",
        who,
        reviews=found.reviews,
        further=found.next,
        state=state,
        states=STATES,
        said=SAID.get(said, ""),
    )


@router.post("/reviews/{rating_id}", dependencies=checked)
def judge(
    rating_id: UUID,
    who: Admin,
    pool: Pool,
    verdict: Annotated[Verdict, Form()],
    created_at: Annotated[AwareDatetime, Form()],
    state: Annotated[Review, Form()] = "pending",
) -> Response:
    """Show or hide a review's words."""
    reviews.judge(rating_id, reviews.Judged(review=verdict, created_at=created_at), who, pool)
    return onwards(f"/admin/reviews?state={state}&said={verdict}")


@router.api_route("/users", methods=READS)
def show_users(
    request: Request,
    who: Admin,
    pool: Pool,
    search: Annotated[str, Query(max_length=254, pattern=NO_NUL)] = "",
    after: UUID | None = None,
    said: Said = "",
) -> Response:
    """Show accounts, a page at a time."""
    found = users.users(who, pool, search, after, 50)
    told = SAID.get(said, "")
    return form(request, "admin/users.html", who, users=found.users, further=found.next, search=search, said=told)


@router.post("/users/{user_id}/role", dependencies=checked)
def role(user_id: UUID, who: Admin, pool: Pool, role: Annotated[Role, Form()]) -> Response:
    """Make an account an admin's, or a student's again."""
    users.role(user_id, users.Roled(role=role), who, pool)
    return onwards("/admin/users?said=role")


@router.post("/users/{user_id}/lock", dependencies=checked)
def lock(user_id: UUID, who: Admin, pool: Pool) -> Response:
    """Lock an account out."""
    users.lock(user_id, who, pool)
    return onwards("/admin/users?said=locked")


@router.post("/users/{user_id}/unlock", dependencies=checked)
def unlock(user_id: UUID, who: Admin, pool: Pool) -> Response:
    """Let an account in again."""
    users.unlock(user_id, who, pool)
    return onwards("/admin/users?said=unlocked")


def _overview(
    request: Request,
    who: Visitor,
    pool: Pool,
    *,
    status: int = 200,
    said: str = "",
    errors: dict[str, str] | None = None,
    filled: dict[str, str] | None = None,
) -> Response:
    stands = queue.status(Response(), pool)
    with pool.connect() as connection:
        waiting = len(moderation.listed(connection))
    return form(
        request,
        "admin/overview.html",
        who,
        status=status,
        queue=stands,
        waiting=waiting,
        said=said,
        errors=errors or {},
        filled={"url": "", "university": ""} | (filled or {}),
    )
