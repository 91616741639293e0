"""Who may ask a route: anybody, who is signed in, who is an admin, or an operator with the token. Dependencies.

A request in a session that changes something wants the session's CSRF token too, whatever else it wants.
"""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyCookie
from starlette.exceptions import HTTPException

from ratemyunit import entrance
from ratemyunit.api.parts import Asked, Authorization, admin_only
from ratemyunit.entrance import Visitor
from ratemyunit.guard import cookies, csrf

OVER = "your session is over; sign in again"


# For the document alone: which cookie it is depends on the request (guard.cookies).
_SESSION = APIKeyCookie(
    name="__Host-session",
    scheme_name="session",
    description="The cookie that a sign-in sets; over plain HTTP it is called `session`. A request in it that changes "
    "something says the session's `csrf` in X-CSRF-Token.",
    auto_error=False,
)
IN_SESSION = Depends(_SESSION)
NOBODYS: dict[str, Any] = {"security": [{}]}
"""What a route adds to its operation where a session is welcome and not needed."""


async def visitor(request: Request, _: Annotated[object, IN_SESSION]) -> Visitor | None:
    """Tell whose session a request is in, if it is in one."""
    # Most requests have no cookie, and need neither a thread nor the database for that.
    return await anyio.to_thread.run_sync(entrance.current, request) if cookies.session(request) else None


Seen = Annotated[Visitor | None, Depends(visitor)]


async def rater(request: Request, seen: Seen) -> Visitor | None:
    """Let anybody rate; but who thinks to be signed in, and is not any more, is told so."""
    if seen is None and cookies.session(request):
        raise HTTPException(401, OVER)
    return seen


async def signed_in(seen: Seen) -> Visitor:
    """Let only who is signed in pass."""
    if seen is None:
        raise HTTPException(401, "sign in first")
    return seen


async def admin(who: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Let only an admin's account pass."""
    if not who.is_admin:
        raise HTTPException(403, "this is for admins")
    return who


async def admin_or_operator(seen: Seen, asked: Asked, authorization: Authorization) -> Visitor | None:
    """Let an admin's account pass, or (None) an operator by the token: somebody has to make the first admin."""
    if authorization:
        await admin_only(asked, authorization)
        return None
    return await admin(await signed_in(seen))


BY_TOKEN = Depends(csrf.by_header)
Rater = Annotated[Visitor | None, Depends(rater)]
SignedIn = Annotated[Visitor, Depends(signed_in)]
Admin = Annotated[Visitor, Depends(admin)]
AdminOrOperator = Annotated[Visitor | None, Depends(admin_or_operator)]
