"""Sign up, in and out by forms."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ratemyunit import entrance
from ratemyunit.api.access import Seen
from ratemyunit.entrance import Visitor
from ratemyunit.guard import cookies, csrf
from ratemyunit.web.pages import READS
from ratemyunit.web.render import form, onwards, sentence

HOME = "/account"
# A path of ours and nothing else: `//other.example` and `/\other.example` are other sites to a browser.
OURS = re.compile(r"/(?![/\\])[A-Za-z0-9/_?=&%.-]*")
SIGNED_UP = "If this address had no account, it has one now. Sign in."

router = APIRouter(include_in_schema=False)
checked = [Depends(csrf.form)]
Email = Annotated[str, Form(max_length=1000)]
Password = Annotated[str, Form(max_length=1000)]
Onwards = Annotated[str, Form(max_length=1000)]


@router.api_route("/sign-in", methods=READS)
def show_sign_in(
    request: Request, seen: Seen, to: Annotated[str, Query(max_length=1000)] = "", said: str = ""
) -> Response:
    """Show the form to sign in; who is signed in is led on."""
    if seen:
        return onwards(_ours(to))
    return _sign_in(request, seen, to=to, said=SIGNED_UP if said == "signed-up" else "")


@router.post("/sign-in", dependencies=checked)
def sign_in(request: Request, seen: Seen, email: Email = "", password: Password = "", to: Onwards = "") -> Response:
    """Begin a session."""
    try:
        entered = entrance.sign_in(request, email, password)
    except HTTPException as why:
        return _refused(_sign_in(request, seen, why.status_code, email=email, to=to, error=sentence(why.detail)), why)
    answer = onwards(_ours(to))
    cookies.put(request, answer, entered.token)
    return answer


@router.api_route("/sign-up", methods=READS)
def show_sign_up(request: Request, seen: Seen) -> Response:
    """Show the form to sign up; who is signed in is led on."""
    return onwards(HOME) if seen else _sign_up(request, seen)


@router.post("/sign-up", dependencies=checked)
def sign_up(request: Request, seen: Seen, email: Email = "", password: Password = "") -> Response:
    """Make an account; whether the address had one is told to nobody."""
    try:
        entrance.sign_up(request, email.strip(), password)
    except HTTPException as why:
        return _refused(_sign_up(request, seen, why.status_code, email=email, error=sentence(why.detail)), why)
    return onwards("/sign-in?said=signed-up")


@router.post("/sign-out", dependencies=checked)
def sign_out(request: Request) -> Response:
    """End the session."""
    entrance.sign_out(request)
    answer = onwards("/")
    cookies.clear(request, answer)
    return answer


def _sign_in(
    request: Request,
    seen: Visitor | None,
    status: int = 200,
    *,
    to: str,
    email: str = "",
    error: str = "",
    said: str = "",
) -> Response:
    values = {"email": email, "error": error, "said": said, "to": to if OURS.fullmatch(to) else ""}
    return form(request, "sign_in.html", seen, status=status, **values)


def _sign_up(
    request: Request, seen: Visitor | None, status: int = 200, *, email: str = "", error: str = ""
) -> Response:
    least, most = entrance.PASSWORD
    values = {"email": email, "error": error, "least": least, "most": most, "longest": entrance.LONGEST_EMAIL}
    return form(request, "sign_up.html", seen, status=status, **values)


def _ours(to: str) -> str:
    return to if OURS.fullmatch(to) else HOME


def _refused(answer: Response, why: HTTPException) -> Response:
    answer.headers.update(why.headers or {})
    return answer
