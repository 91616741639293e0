"""Sign up, in and out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ratemyunit import entrance
from ratemyunit.api.access import BY_TOKEN, IN_SESSION, NOBODYS, SignedIn
from ratemyunit.api.parts import NO_NUL
from ratemyunit.guard import cookies, csrf
from ratemyunit.problems import documented

router = APIRouter(prefix="/api/auth")


class New(BaseModel):
    """An account to be."""

    email: Annotated[str, Field(max_length=entrance.LONGEST_EMAIL, pattern=entrance.EMAIL)]
    password: Annotated[
        str, Field(min_length=entrance.PASSWORD[0], max_length=entrance.PASSWORD[1], pattern=NO_NUL, repr=False)
    ]


class Known(BaseModel):
    """An address and a password, as somebody remembers them."""

    email: Annotated[str, Field(max_length=entrance.LONGEST_EMAIL, pattern=NO_NUL)]
    password: Annotated[str, Field(max_length=entrance.PASSWORD[1], pattern=NO_NUL, repr=False)]


class SignedUp(BaseModel):
    """The one answer to who signs up: whether the address had an account already is nobody's business."""

    next: Literal["sign in"] = "sign in"


class Session(BaseModel):
    """Whose session it is, and the token that each request in it which changes something says in X-CSRF-Token."""

    email: str
    role: str
    csrf: str


@router.post("/sign-up", status_code=202)
def sign_up(new: New, request: Request) -> SignedUp:
    """Make an account, unless the address has one."""
    entrance.sign_up(request, new.email, new.password)
    return SignedUp()


@router.post("/sign-in", responses=documented(401))
def sign_in(known: Known, request: Request, response: Response) -> Session:
    """Begin a session, in a cookie; one that was there before ends."""
    entered = entrance.sign_in(request, known.email, known.password)
    cookies.put(request, response, entered.token)
    response.headers["Cache-Control"] = "no-store"
    return Session(email=entered.visitor.email, role=entered.visitor.role, csrf=csrf.of(entered.token))


@router.post("/sign-out", status_code=204, dependencies=[BY_TOKEN, IN_SESSION], openapi_extra=NOBODYS)
def sign_out(request: Request, response: Response) -> None:
    """End the session; none to end is as good."""
    entrance.sign_out(request)
    cookies.clear(request, response)


@router.get("/session", responses=documented(401))
async def session(request: Request, who: SignedIn) -> Session:
    """Tell whose session this is."""
    return Session(email=who.email, role=who.role, csrf=csrf.of(cookies.session(request)))
