"""Bad input, for every form: a page that says so, never a mistake of ours, and what is refused has changed nothing."""

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from urllib.parse import quote_plus, urlencode

import pytest
from conftest import Cluster
from fastapi import APIRouter, FastAPI
from httpx2 import Response
from people import PASSWORD, Person, admin, browser, first_unit, running, student
from sqlalchemy import text
from test_bad_input import A_TIME, NO_ID, NOBODY, ODD, everything

from ratemyunit import web

HTML = {"Accept": "text/html"}
FORM = "application/x-www-form-urlencoded"
SOMETHING = "00000000-0000-4000-8000-000000000001"
# As they stand in a form's body. No field takes these.
WRONG = ["a%00b", "x" * 60_000, "%F0%9F" * 10_000]
# And these come as bytes that are no text, or as controls.
CONTROLS = ["%ff%fe", "a%07%1b%5b31mb", "%0d%0aSet-Cookie%3A+a%3Db", "%C0%80", "%ED%A0%80"]


@dataclass(frozen=True)
class Sheet:
    """One form: where it is sent to, by whom, and fields that it takes."""

    path: str
    who: str
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.path


SHEETS = [
    Sheet("/sign-in", "stranger", {"email": "no@uni.example.edu", "password": PASSWORD, "to": "/account"}),
    Sheet("/sign-up", "stranger", {"email": "new@uni.example.edu", "password": PASSWORD}),
    Sheet("/units/{unit_id}/ratings", "student", {"id": SOMETHING, "stars": "3", "comment": "good"}),
    Sheet("/account/take-back", "student", {"rating": NOBODY}),
    Sheet("/admin/queue/pause", "admin", {"because": "it is down"}),
    Sheet("/admin/queue/resume", "admin"),
    Sheet("/admin/scrape", "admin", {"url": "https://catalogue.example.org/", "university": "Somewhere"}),
    Sheet("/admin/reviews/{rating_id}", "admin", {"verdict": "hidden", "state": "pending", "created_at": A_TIME}),
    Sheet("/admin/users/{user_id}/role", "admin", {"role": "admin"}),
    Sheet("/admin/users/{user_id}/lock", "admin"),
    Sheet("/admin/users/{user_id}/unlock", "admin"),
    Sheet("/sign-out", "student"),
]
# What may be longer than it should, or hold what nobody means, and is then left alone.
IGNORED = {("/sign-in", "to")}


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application with two units that lets one try as often as one likes."""
    with running(cluster, redis_url, RATE_ACCOUNT="off") as made:
        yield made


class Sending:
    """Sends one form, with this browser's own token, and looks what has changed."""

    def __init__(self, app: FastAPI, sheet: Sheet) -> None:
        self.app, self.sheet = app, sheet
        victim = student(app)
        self.there = {"unit_id": first_unit(victim.browser), "user_id": victim.id()}
        self.there["rating_id"] = victim.rate(self.there["unit_id"]).json()["id"]
        makers = {"stranger": lambda app: Person(browser(app), ""), "student": student, "admin": admin}
        self.person: Person = makers[sheet.who](app)
        if not self.person.csrf:
            shown = self.person.browser.get("/sign-in", headers=HTML).text
            self.person.csrf = shown.partition('name="csrf" value="')[2].partition('"')[0]
        assert self.person.csrf

    def filled(self, **other: str) -> Response:
        """Send it filled in, with other values as they would stand in its body."""
        fields = {name: quote_plus(value) for name, value in self.sheet.fields.items()} | other
        return self.raw("&".join(f"{name}={value}" for name, value in [*fields.items(), ("csrf", self.person.csrf)]))

    def raw(self, body: str | bytes, kind: str = FORM, path: str = "") -> Response:
        """Send anything."""
        before = everything(self.app)
        answer = self.person.browser.post(
            path or self.sheet.path.format(**self.there),
            content=body,
            headers={**HTML, "Content-Type": kind},
            follow_redirects=False,
        )
        assert answer.status_code < 500, answer.text
        assert "a=b" not in str(answer.headers)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert everything(self.app) == before
        return answer


EACH = pytest.mark.parametrize("sheet", SHEETS, ids=str)


def test_the_table_holds_every_form_of_the_pages() -> None:
    modules = [import_module(f"ratemyunit.web.{found.name}") for found in pkgutil.iter_modules(web.__path__)]
    routes = [route for module in modules for route in getattr(module, "router", APIRouter()).routes]

    assert {sheet.path for sheet in SHEETS} == {route.path for route in routes if "POST" in route.methods}


@EACH
def test_a_field_that_is_wrong_is_refused_by_a_page(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)

    for name in sheet.fields:
        for value in WRONG:
            answer = sending.filled(**{name: value})
            assert answer.status_code in (400, 401, 404, 413, 422) or (sheet.path, name) in IGNORED, (name, value[:20])


@EACH
def test_a_field_that_is_odd_or_missing_is_no_mistake_of_ours(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)

    for name in sheet.fields:
        for value in [*CONTROLS, *map(quote, ODD)]:
            sending.filled(**{name: value})
        sending.raw(urlencode({n: v for n, v in sheet.fields.items() if n != name} | {"csrf": sending.person.csrf}))


@EACH
def test_a_field_sent_twice_is_no_mistake_of_ours(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)
    pairs = [*sheet.fields.items(), ("csrf", sending.person.csrf)]

    sending.raw(urlencode([*pairs, *((name, "another") for name in sheet.fields)]))
    assert sending.raw(urlencode([("csrf", "another"), *pairs, ("csrf", "another")])).status_code == 403


@EACH
def test_a_body_that_is_no_form_is_refused(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)
    token = sending.person.csrf
    bodies = [
        (b"", FORM),
        (b"\x00\xff" * 1000, FORM),
        (b"&" * 5_000, FORM),
        (f'{{"csrf": "{token}"}}'.encode(), "application/json"),
        (f"csrf={token}".encode(), "text/plain"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"nothing", "multipart/form-data"),
    ]

    assert {sending.raw(body, kind).status_code for body, kind in bodies} <= {400, 403, 422}


@EACH
def test_a_form_in_parts_is_taken_as_the_form_it_is_and_its_file_is_none(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)
    head = 'Content-Disposition: form-data; name="{}"'

    def parts(*named: tuple[str, str]) -> str:
        return "".join(f"--x\r\n{one}\r\n\r\n{value}\r\n" for one, value in named) + "--x--\r\n"

    token = (head.format("csrf"), sending.person.csrf)
    kind = "multipart/form-data; boundary=x"
    for name in sheet.fields:
        filed = f'{head.format(name)}; filename="a.txt"'
        others = [(head.format(n), v) for n, v in sheet.fields.items() if n != name]
        assert sending.raw(parts(token, *others, (filed, "words")), kind).status_code == 422


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if "{" in sheet.path], ids=str)
def test_a_form_about_nothing_is_refused(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)
    head, _, rest = sheet.path.partition("{")
    body = urlencode({**sheet.fields, "csrf": sending.person.csrf})

    for named in [*NO_ID, NOBODY]:
        assert sending.raw(body, path=head + named + rest.partition("}")[2]).status_code in (404, 405, 422), named


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if sheet.who != "stranger"], ids=str)
@pytest.mark.parametrize("over", ["delete from sessions", "update sessions set ends_at = now()"], ids=["gone", "ended"])
def test_a_form_of_a_session_that_is_over_changes_nothing(app: FastAPI, sheet: Sheet, over: str) -> None:
    sending = Sending(app, sheet)
    with app.state.engine.begin() as connection:
        connection.execute(text(f"{over} where user_id = :user"), {"user": sending.person.id()})
    before = everything(app)

    answer = sending.filled()

    if sheet.path == "/sign-out":
        assert answer.status_code == 303
        return
    assert answer.status_code == 401 or answer.headers["location"].startswith("/sign-in"), answer.status_code
    assert everything(app) == before


# A scrape that is asked for twice is two jobs, and of verdicts the last is the one that holds.
TWICE_IS_TWO = {"/admin/scrape", "/admin/reviews/{rating_id}"}


@pytest.mark.parametrize("sheet", [s for s in SHEETS if s.who == "admin" and s.path not in TWICE_IS_TWO], ids=str)
def test_an_admins_form_sent_twice_is_done_once(app: FastAPI, sheet: Sheet) -> None:
    sending = Sending(app, sheet)

    first = sending.filled().status_code
    after = everything(app)

    assert (first, sending.filled().status_code) == (303, 303)
    assert everything(app) == after


def quote(odd: str) -> str:
    """Spell odd text as a browser would in a form."""
    return quote_plus(odd, errors="replace")
