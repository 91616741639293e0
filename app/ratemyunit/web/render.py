"""Templates to answers: autoescaped, strict about names, and never kept by a cache that may not.

A page without a form is revalidated by its ETag. One with a form is not stored at all: its hidden fields are good for
one browser and one sending.
"""

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from ratemyunit.entrance import Visitor
from ratemyunit.guard import csrf
from ratemyunit.web import assets

REVALIDATED = "private, no-cache"
NOT_STORED = "no-store"


def page(request: Request, template: str, visitor: Visitor | None, **values: Any) -> Response:
    """Answer a page without a form: a browser may keep it, and asks each time whether it is still the same."""
    body = text(template, path=request.url.path, visitor=visitor, **values).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": REVALIDATED, "ETag": tag, "Vary": "Cookie"}
    if tag in (given.strip().removeprefix("W/") for given in request.headers.get("If-None-Match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(body, headers=headers)


def form(request: Request, template: str, visitor: Visitor | None, *, status: int = 200, **values: Any) -> Response:
    """Answer a page with a form, which repeats this browser's token."""
    # The token may come with a cookie, and is needed before there is a body to send the cookie with.
    cookies = Response()
    token = csrf.token(request, cookies)
    body = text(template, path=request.url.path, visitor=visitor, csrf=token, **values)
    answer = HTMLResponse(body, status, headers={"Cache-Control": NOT_STORED})
    answer.raw_headers += [header for header in cookies.raw_headers if header[0] == b"set-cookie"]
    return answer


def onwards(to: str) -> Response:
    """Lead from a form that was taken to a page: loading that again sends nothing again."""
    return RedirectResponse(to, 303, headers={"Cache-Control": NOT_STORED})


def text(template: str, **values: Any) -> str:
    """Render one template."""
    return environment().get_template(template).render(**values)


def sentence(words: str) -> str:
    """Make a sentence of what an error says of itself."""
    return f"{words[:1].upper()}{words[1:]}."


@cache
def environment() -> Environment:
    """Make the templates' environment, once."""
    made = Environment(
        loader=PackageLoader("ratemyunit.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["asset"] = assets.url
    made.filters["day"] = day
    made.filters["many"] = many
    return made


def day(moment: datetime) -> str:
    """Spell a date so that no country reads it as another."""
    return f"{moment.astimezone(UTC):%-d %B %Y}"


def many(count: int, what: str) -> str:
    """Spell a number of things: 1 rating, 1,204 ratings."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
