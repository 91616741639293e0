"""Signing up, in and out, as the JSON API and the pages both do it. Neither tells whether an address has an account."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import ParamSpec, TypeVar
from uuid import UUID

import anyio.from_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ratemyunit import accounts, passwords, sessions
from ratemyunit.guard import cookies

P = ParamSpec("P")
T = TypeVar("T")

# The rule by which a browser takes a text for an e-mail address (HTML, "valid e-mail address").
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})+$"
LONGEST_EMAIL = 254
PASSWORD = (10, 200)
WRONG = "this address and this password do not belong together"


@dataclass(frozen=True)
class Visitor:
    """Whose session a request is in."""

    id: UUID
    email: str
    role: str

    @property
    def is_admin(self) -> bool:
        """Tell whether they may decide over others."""
        return self.role == "admin"


@dataclass(frozen=True)
class Entered:
    """A new session: its token, for the cookie, and whose it is."""

    token: str
    visitor: Visitor


def sign_up(request: Request, email: str, password: str) -> None:
    """Make an account. An address that has one keeps it, and the answer is the same.

    Raises:
        HTTPException: 422, the address or the password will not do; 503, too many at once.
    """
    if why := unfit(email, password):
        raise HTTPException(422, why)
    stored = _in_turn(passwords.hashed, password)
    with request.app.state.engine.begin() as connection:
        accounts.add(connection, email, stored)


def sign_in(request: Request, email: str, password: str) -> Entered:
    """Begin a session, and end the one that the browser brought.

    Raises:
        HTTPException: 401, address and password do not belong together; 403, they do, and the account is locked;
            429, too many tries at this account; 503, too many at once.
    """
    _not_too_often(request, email)
    with request.app.state.reading.connect() as connection:
        found = accounts.by_email(connection, email)
    # No connection is held meanwhile: there are fewer of them than may wait here.
    if not _in_turn(passwords.fits, found["password_hash"] if found else None, password) or found is None:
        raise HTTPException(401, WRONG)
    if found["locked_at"]:
        raise HTTPException(403, "this account is locked")
    with request.app.state.engine.begin() as connection:
        sessions.end(connection, cookies.session(request))
        token = sessions.start(connection, found["id"])
    return Entered(token, Visitor(found["id"], found["email"], found["role"]))


def sign_out(request: Request) -> None:
    """End the session that the browser brought, if it brought one."""
    with request.app.state.engine.begin() as connection:
        sessions.end(connection, cookies.session(request))


def current(request: Request) -> Visitor | None:
    """Tell whose session a request is in; None without a cookie, or where the session is over."""
    token = cookies.session(request)
    if not token:
        return None
    with request.app.state.reading.connect() as connection:
        found = sessions.visitor(connection, token)
    return Visitor(**found) if found else None


def unfit(email: str, password: str) -> str | None:
    """Say what is wrong with what somebody wants to sign up with; None where nothing is."""
    if len(email) > LONGEST_EMAIL or not re.fullmatch(EMAIL, email):
        return "this is no e-mail address"
    least, most = PASSWORD
    if not least <= len(password) <= most:
        return f"a password has {least} to {most} characters"
    if accounts.spelled(password) == accounts.spelled(email):
        return "a password is not one's address"
    return None


def _in_turn(act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    try:
        return act(*args, **named)
    except passwords.Crowded:
        raise HTTPException(503, "too many are at the door; try again in a moment", {"Retry-After": "1"}) from None


def _not_too_often(request: Request, email: str) -> None:
    # Hashed: a cache needs no addresses. Unknown addresses are counted like known ones.
    who = sha256(accounts.spelled(email).encode("utf-8", "replace")).hexdigest()
    stands = anyio.from_thread.run(request.app.state.counters.hit, "account", who)
    if stands and not stands.allowed:
        raise HTTPException(
            429, "too many tries at this account; try again later", {"Retry-After": str(stands.reset_s)}
        )
