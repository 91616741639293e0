"""What went wrong, as a page, for who asks for pages. It needs neither database nor session: they may be what fails."""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from ratemyunit.web.render import NOT_STORED, sentence, text

HEADINGS = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Nothing is here",
    405: "Not that way",
    409: "That does not fit",
    413: "That is too much",
    422: "Something in it does not fit",
    429: "Too many requests",
    500: "Our mistake",
    503: "Back in a moment",
}
# Where nobody said more than the status's own name.
SENTENCES = {
    404: "There is no such page. The address may be mistyped, or the page may have gone.",
    405: "This address is not asked in this way.",
}
MAY_PASS = {408, 429, 500, 503}


def page(request: Request, status: int, detail: str) -> Response:
    """Make the page of one mistake."""
    reads = request.method in {"GET", "HEAD"}
    body = text(
        "error.html",
        path=request.url.path,
        visitor=False,
        status=status,
        heading=HEADINGS.get(status, "That did not work"),
        detail=(detail == HTTPStatus(status).phrase and SENTENCES.get(status)) or sentence(detail),
        # Loading a page again is safe; sending a form again is the browser's to offer.
        again=status in MAY_PASS and reads,
        sign_in=status == 401,
        # What was sent is gone, but the page that it was sent from is not.
        back=request.url.path if reads else "",
    )
    return HTMLResponse(body, status, headers={"Cache-Control": NOT_STORED, "Vary": "Accept"})
