"""The pages, in process, on a real database: what they say, how they may be kept, what forms do with wrong input."""

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from uuid import UUID, uuid4

import pytest
from conftest import TOKEN, Cluster
from fastapi.testclient import TestClient

from ratemyunit import accounts, api, passwords, settings, units
from ratemyunit import database as pool
from ratemyunit.web import assets, render

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PASSWORD = "correct horse battery"
CSP = "default-src 'none'"


@pytest.fixture(scope="module")
def application(cluster: Cluster, redis_url: str) -> Iterator[TestClient]:
    """Run one application with units and two accounts: a database of its own for each test would take minutes."""
    name = f"pages{os.getpid()}"
    cluster.make_migrated(name)
    store(cluster.url(name))
    environment = {"DATABASE_URL": cluster.url(name), "REDIS_URL": redis_url, "ADMIN_TOKEN": TOKEN}
    with TestClient(
        api.create(settings.read(environment)), raise_server_exceptions=False, follow_redirects=False, headers=HTML
    ) as made:
        yield made


@pytest.fixture
def client(application: TestClient) -> Iterator[TestClient]:
    """Make a browser that was never here, on an application where nobody has done anything yet."""
    application.cookies.clear()
    yield application
    with application.app.state.engine.begin() as connection:
        connection.exec_driver_sql("delete from ratings; delete from sessions; delete from queue_pauses")
        connection.exec_driver_sql("delete from jobs; update users set locked_at = null, locked_by = null")
        connection.exec_driver_sql("delete from users where email not in ('admin@a.example', 'student@a.example')")
        connection.exec_driver_sql("update users set role = 'student' where email = 'student@a.example'")


def store(url: str) -> None:
    """Store units of two universities, and an admin and a student."""
    engine = pool.engine(url)
    with engine.begin() as connection:
        first = units.Found("COMP1010", "Programming & <b>more</b>", "Loops\nand functions")
        units.store(connection, "North", [first, *(units.Found(f"PHYS2{n:03}", "Physics", "") for n in range(30))])
        units.store(connection, "South", [units.Found("ÉCON3", "Économie", "L'offre 📈")])
        known = passwords.hashed(PASSWORD)
        for email in ("admin@a.example", "student@a.example"):
            accounts.add(connection, email, known)
        found = accounts.by_email(connection, "admin@a.example")
        assert found
        accounts.set_role(connection, found["id"], "admin")
    engine.dispose()


def one_unit(client: TestClient) -> str:
    """Name a unit."""
    return str(client.get("/api/units?search=COMP1010").json()["units"][0]["id"])


class Fields(HTMLParser):
    """The hidden fields of a page's forms; of several with one name the last."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a hidden field."""
        field = dict(attrs)
        if tag == "input" and field.get("type") == "hidden":
            self.hidden[str(field["name"])] = field.get("value") or ""


def hidden(client: TestClient, path: str) -> dict[str, str]:
    """Load a page; answer its hidden fields."""
    return Fields(client.get(path).text).hidden


def sign_in(client: TestClient, who: str) -> None:
    """Sign in by the form."""
    fields = {**hidden(client, "/sign-in"), "email": f"{who}@a.example", "password": PASSWORD}
    assert client.post("/sign-in", data=fields).headers["location"] == "/account"


def comments(client: TestClient) -> list[tuple[int, str]]:
    """Read stars and words of every stored rating."""
    with client.app.state.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("select stars, comment from ratings order by stars")]


# Reading


def test_the_front_page_leads_to_search_and_shows_units(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'action="/search"' in answer.text
    assert "COMP1010" in answer.text
    assert answer.text.startswith("<!doctype html>")
    assert '<html lang="en">' in answer.text


def test_search_finds_filters_and_goes_on_page_by_page(client: TestClient) -> None:
    north = next(u["id"] for u in client.get("/api/universities").json()["universities"] if u["name"] == "North")

    found = client.get("/search", params={"q": "physics", "university": north, "level": "2"})
    onwards = re.search(r'<a class="button" href="([^"]+)" rel="next">', found.text)
    assert onwards
    second = client.get(onwards[1].replace("&amp;", "&"))

    shown = [re.findall(r"<bdi>(PHYS\d+)</bdi>", page.text) for page in (found, second)]
    assert [len(codes) for codes in shown] == [24, 6]
    assert not set(shown[0]) & set(shown[1])
    assert ">Économie<" in client.get("/search?level=3").text
    assert "PHYS" not in client.get("/search?level=3").text
    assert "First page" in second.text


@pytest.mark.parametrize("asked", ["university=nobody", "level=x", "level=²", "university=&level=&cursor="])
def test_a_filter_that_is_none_filters_nothing(client: TestClient, asked: str) -> None:
    answer = client.get(f"/search?q=comp&{asked}")

    assert answer.status_code == 200
    assert "COMP1010" in answer.text


@pytest.mark.parametrize("asked", ["q=" + "a" * 201, "q=a%00b", "cursor=nonsense", "university=" + "a" * 99])
def test_a_search_that_does_not_fit_is_refused_as_a_page(client: TestClient, asked: str) -> None:
    answer = client.get(f"/search?{asked}")

    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert "a" * 201 not in answer.text


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", "📈", "\u202etxet", "' or 1=1 --", "' onfocus='x", "%"])
def test_what_is_searched_for_is_shown_as_text(client: TestClient, words: str) -> None:
    answer = client.get("/search", params={"q": words})

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert " onfocus='x" not in answer.text


def test_a_unit_is_shown_with_its_text_escaped(client: TestClient) -> None:
    answer = client.get(f"/units/{one_unit(client)}")

    assert "Programming &amp; &lt;b&gt;more&lt;/b&gt;" in answer.text
    assert "<b>more" not in answer.text
    assert "Nobody has rated this unit yet" in answer.text


def test_a_page_without_a_form_is_revalidated_and_one_with_a_form_is_not_stored(client: TestClient) -> None:
    first = client.get("/search?q=comp")
    again = client.get("/search?q=comp", headers={"If-None-Match": first.headers["etag"]})
    weak = client.get("/search?q=comp", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    other = client.get("/search?q=physics", headers={"If-None-Match": first.headers["etag"]})
    unit = client.get(f"/units/{one_unit(client)}")

    assert (again.status_code, again.content) == (weak.status_code, weak.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Cookie"
    assert unit.headers["cache-control"] == "no-store"
    assert "etag" not in unit.headers


def test_who_signs_in_is_shown_no_page_kept_from_before(client: TestClient) -> None:
    before = client.get("/").headers["etag"]
    sign_in(client, "student")

    assert client.get("/", headers={"If-None-Match": before}).status_code == 200


def test_every_page_is_kept_to_its_own_files_and_has_no_style_or_script_in_it(client: TestClient) -> None:
    sign_in(client, "admin")
    paths = ["/", "/search", f"/units/{one_unit(client)}", "/account", "/admin", "/admin/reviews", "/admin/users"]

    for path in [*paths, "/nothing"]:
        answer = client.get(path)
        assert answer.headers["content-security-policy"].startswith(CSP), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", answer.text), path
        assert set(re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)) == {
            assets.url(name) for name in ("site.css", "site.js", "star.svg")
        }, path


def test_head_is_answered_where_get_is(client: TestClient) -> None:
    for path in ("/", "/search", f"/units/{one_unit(client)}", "/sign-in", assets.url("site.css")):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


# Mistakes as pages


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing/here", 404, "There is no such page."),
        ("GET", f"/units/{uuid4()}", 404, "There is no such unit."),
        ("GET", "/units/42", 422, "Something in it does not fit"),
        ("GET", "/static/none.css", 404, "There is no such file."),
        ("GET", "/account", 401, 'href="/sign-in?to=/account"'),
        ("GET", "/admin", 401, 'href="/sign-in?to=/admin"'),
        ("DELETE", "/search", 405, "Not that way"),
        ("POST", "/sign-out", 403, "load the page again"),
    ],
)
def test_a_mistake_is_a_page_where_a_page_was_asked_for(
    client: TestClient, method: str, path: str, status: int, says: str
) -> None:
    answer = client.request(method, path)
    program = client.request(method, path, headers={"Accept": "*/*"})

    assert answer.status_code == program.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert says in answer.text
    assert program.headers["content-type"] == "application/problem+json"


def test_the_api_answers_browsers_as_it_answers_programs(client: TestClient) -> None:
    assert client.get("/api/units/42").headers["content-type"] == "application/problem+json"


def test_a_mistake_of_ours_is_a_page_that_tells_nothing_of_our_insides(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("the secret is 42")

    monkeypatch.setattr(units, "one", fail)  # no input reaches this state, or it would be no mistake of ours

    answer = client.get(f"/units/{uuid4()}")

    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "Our mistake" in answer.text
    assert "Try again" in answer.text
    assert "secret" not in answer.text


def test_without_a_database_there_is_a_page_and_it_finds_its_stylesheet(redis_url: str) -> None:
    gone = {"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/none", "REDIS_URL": redis_url}
    with TestClient(api.create(settings.read(gone)), raise_server_exceptions=False, headers=HTML) as client:
        answer = client.get("/")
        sheet = client.get(assets.url("site.css"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Back in a moment" in answer.text
    assert sheet.status_code == 200


def test_who_asks_too_often_is_told_so_by_a_page(redis_url: str) -> None:
    asked = {"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/none", "REDIS_URL": redis_url, "RATE_READ": "1/minute"}
    visitor = {**HTML, "X-Real-IP": "192.0.2.77"}
    with TestClient(api.create(settings.read(asked)), raise_server_exceptions=False, headers=visitor) as client:
        answers = [client.get("/sign-in") for _ in range(3)]

    assert answers[0].status_code == 200
    assert answers[2].status_code == 429
    assert "Too many requests" in answers[2].text
    assert answers[2].headers["retry-after"]


# Rating


def test_a_rating_is_taken_once_however_often_its_form_is_sent(client: TestClient) -> None:
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4", "comment": "hard,\r\nbut 📈 "}

    answers = [client.post(f"/units/{unit}/ratings", data=form) for _ in range(3)]

    assert {(a.status_code, a.headers["location"]) for a in answers} == {(303, f"/units/{unit}?said=words")}
    assert comments(client) == [(4, "hard,\nbut 📈")]
    shown = client.get(answers[0].headers["location"]).text
    assert "when a moderator has read them" in shown
    assert "hard," not in shown
    assert "1 rating" in shown


def test_the_same_form_with_another_rating_is_drawn_again_under_a_new_id(client: TestClient) -> None:
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4"}
    client.post(f"/units/{unit}/ratings", data=form)

    again = client.post(f"/units/{unit}/ratings", data={**form, "stars": "2", "comment": "no, bad"})
    fresh = Fields(again.text).hidden
    third = client.post(f"/units/{unit}/ratings", data={**fresh, "stars": "2", "comment": "no, bad"})

    assert again.status_code == 409
    assert fresh["id"] != form["id"]
    assert "no, bad</textarea>" in again.text
    assert third.status_code == 303
    assert comments(client) == [(2, "no, bad"), (4, "")]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"stars": ""}, "Choose one to five stars."),
        ({"stars": "6"}, "Choose one to five stars."),
        ({"stars": "²"}, "Choose one to five stars."),
        ({"comment": "a" * 2001}, "Your words are 1 characters too long"),
        ({"comment": "a\x00b"}, "cannot be stored"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_rating_is_said_and_what_was_typed_stays(
    client: TestClient, wrong: dict[str, str], says: str
) -> None:
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4", "comment": "typed <long>", **wrong}

    answer = client.post(f"/units/{unit}/ratings", data=form)

    assert answer.status_code == 422
    assert says in answer.text
    assert Fields(answer.text).hidden["id"] == form["id"]
    assert ("typed &lt;long&gt;" in answer.text) == ("comment" not in wrong)
    assert comments(client) == []


def test_two_thousand_characters_fit_however_a_browser_spells_line_ends(client: TestClient) -> None:
    unit = one_unit(client)
    words = "x\n" * 999 + "xx"

    form = {**hidden(client, f"/units/{unit}"), "stars": "3", "comment": words.replace("\n", "\r\n")}

    assert client.post(f"/units/{unit}/ratings", data=form).status_code == 303
    assert comments(client) == [(3, words)]


@pytest.mark.parametrize("changed", [{"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}, {"id": "7"}, {"id": ""}], ids=str)
def test_a_form_that_is_not_ours_stores_nothing(client: TestClient, changed: dict[str, str]) -> None:
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4", **changed}

    answer = client.post(f"/units/{unit}/ratings", data=form)

    assert answer.status_code in {403, 422}
    assert comments(client) == []


def test_a_form_sent_from_another_site_is_refused(client: TestClient) -> None:
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4"}

    for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"/units/{unit}/ratings", data=form, headers=header).status_code == 403
    assert comments(client) == []


def test_the_address_of_a_form_that_was_drawn_again_leads_to_its_unit(client: TestClient) -> None:
    assert client.get("/units/7f3b1c52-0000-4000-8000-000000000000/ratings").headers["location"] == (
        "/units/7f3b1c52-0000-4000-8000-000000000000"
    )


def test_a_session_that_is_over_is_told_when_a_rating_is_sent(client: TestClient) -> None:
    sign_in(client, "student")
    unit = one_unit(client)
    form = {**hidden(client, f"/units/{unit}"), "stars": "4"}
    with client.app.state.engine.begin() as connection:
        connection.exec_driver_sql("delete from sessions")

    answer = client.post(f"/units/{unit}/ratings", data=form)

    assert answer.status_code == 401
    assert "session is over" in answer.text
    assert 'href="/sign-in?to="' in answer.text
    assert comments(client) == []


def test_a_rating_of_an_unknown_unit_is_not_found(client: TestClient) -> None:
    form = {**hidden(client, f"/units/{one_unit(client)}"), "stars": "4"}

    assert client.post(f"/units/{uuid4()}/ratings", data=form).status_code == 404


# Accounts


def test_who_signs_up_may_sign_in_and_out(client: TestClient) -> None:
    new = {"email": "new@a.example", "password": PASSWORD}
    joined = client.post("/sign-up", data={**hidden(client, "/sign-up"), **new})
    entered = client.post("/sign-in", data={**hidden(client, "/sign-in"), **new})
    inside = client.get("/account")
    out = client.post("/sign-out", data=hidden(client, "/account"))

    assert (joined.status_code, joined.headers["location"]) == (303, "/sign-in?said=signed-up")
    assert (entered.status_code, entered.headers["location"]) == (303, "/account")
    assert "new@a.example" in inside.text
    assert inside.headers["cache-control"] == "no-store"
    assert (out.status_code, out.headers["location"]) == (303, "/")
    assert client.get("/account").status_code == 401


def test_an_address_that_has_an_account_is_told_the_same(client: TestClient) -> None:
    answers = [
        client.post("/sign-up", data={**hidden(client, "/sign-up"), "email": email, "password": PASSWORD})
        for email in ("student@a.example", "nobody@a.example")
    ]

    assert len({(a.status_code, a.headers["location"], a.text) for a in answers}) == 1


@pytest.mark.parametrize(
    ("email", "password", "says"),
    [
        ("nonsense", PASSWORD, "This is no e-mail address."),
        ("a@b.example", "short", "A password has 10 to 200 characters."),
        ("<i>@b.example", PASSWORD, "&lt;i&gt;"),
        ("", "", "This is no e-mail address."),
    ],
)
def test_an_account_that_cannot_be_is_refused_beside_its_form(
    client: TestClient, email: str, password: str, says: str
) -> None:
    form = {**hidden(client, "/sign-up"), "email": email, "password": password}

    answer = client.post("/sign-up", data=form)

    assert answer.status_code == 422
    assert says in answer.text
    assert PASSWORD not in answer.text
    assert "<i>" not in answer.text


def test_a_wrong_password_and_an_unknown_address_read_the_same(client: TestClient) -> None:
    answers = [
        client.post("/sign-in", data={**hidden(client, "/sign-in"), "email": email, "password": "wrong password"})
        for email in ("student@a.example", "nobody@a.example")
    ]

    assert [a.status_code for a in answers] == [401, 401]
    assert all("do not belong together" in a.text for a in answers)
    assert client.get("/account").status_code == 401


@pytest.mark.parametrize(
    ("to", "led"),
    [
        ("/units/1?said=x", "/units/1?said=x"),
        ("", "/account"),
        ("//evil.example", "/account"),
        ("/\\evil.example", "/account"),
        ("https://evil.example", "/account"),
        ("/a\r\nSet-Cookie: b", "/account"),
        ("javascript:alert(1)", "/account"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours_and_nowhere_else(client: TestClient, to: str, led: str) -> None:
    form = {**hidden(client, "/sign-in"), "email": "student@a.example", "password": PASSWORD, "to": to}

    assert client.post("/sign-in", data=form).headers["location"] == led
    assert client.get("/sign-in", params={"to": to}).headers["location"] == led


def test_an_account_rates_a_unit_once_sees_it_and_takes_it_back(client: TestClient) -> None:
    sign_in(client, "student")
    unit = one_unit(client)
    place = f"/units/{unit}/ratings"
    first = client.post(place, data={**hidden(client, f"/units/{unit}"), "stars": "5", "comment": "mine"})
    second = client.post(place, data={**hidden(client, f"/units/{unit}"), "stars": "1", "comment": "mine too"})
    own = client.get("/account")
    gone = client.post("/account/take-back", data=Fields(own.text).hidden)

    assert first.status_code == 303
    assert second.status_code == 409
    assert "You have rated this unit already" in second.text
    assert "words wait for a moderator" in own.text
    assert gone.headers["location"] == "/account?said=gone"
    assert comments(client) == []


def test_nobody_takes_back_what_another_gave(client: TestClient) -> None:
    sign_in(client, "student")
    unit, rating = one_unit(client), str(uuid4())
    client.post(f"/api/units/{unit}/ratings", json={"id": rating, "stars": 3}, headers={"Cookie": ""})

    answer = client.post("/account/take-back", data={**hidden(client, "/account"), "rating": rating})

    assert answer.status_code == 404
    assert comments(client) == [(3, "")]


# Admins


@pytest.mark.parametrize("path", ["/admin", "/admin/reviews", "/admin/users"])
def test_admin_pages_are_closed_to_students(client: TestClient, path: str) -> None:
    sign_in(client, "student")

    answer = client.get(path)

    assert answer.status_code == 403
    assert "This is for admins." in answer.text


def test_what_an_admin_may_do_a_student_may_not_by_sending_the_form(client: TestClient) -> None:
    sign_in(client, "student")
    token = {"csrf": hidden(client, "/account")["csrf"]}

    for path in ("queue/pause", "queue/resume", "scrape", f"reviews/{uuid4()}", f"users/{uuid4()}/lock"):
        body = {**token, "url": "https://a.example", "university": "A", "verdict": "shown"}
        assert client.post(f"/admin/{path}", data=body).status_code == 403, path


def test_an_admin_shows_and_hides_a_review(client: TestClient) -> None:
    unit, rating = one_unit(client), str(uuid4())
    client.post(f"/api/units/{unit}/ratings", json={"id": rating, "stars": 3, "comment": "read me"})
    sign_in(client, "admin")
    form = hidden(client, "/admin/reviews")

    shown = client.post(f"/admin/reviews/{rating}", data={**form, "verdict": "shown"})
    read = client.get(f"/units/{unit}").text
    client.post(f"/admin/reviews/{rating}", data={**form, "state": "shown", "verdict": "hidden"})

    assert shown.headers["location"] == "/admin/reviews?state=pending&said=shown"
    assert "read me" in read
    assert "read me" not in client.get(f"/units/{unit}").text
    assert "read me" in client.get("/admin/reviews?state=hidden").text
    assert client.post(f"/admin/reviews/{uuid4()}", data={**form, "verdict": "shown"}).status_code == 404
    assert client.post(f"/admin/reviews/{rating}", data={**form, "verdict": "burnt"}).status_code == 422


def test_a_review_that_changed_after_the_page_was_drawn_is_not_shown(client: TestClient) -> None:
    unit, rating = one_unit(client), str(uuid4())
    client.post(f"/api/units/{unit}/ratings", json={"id": rating, "stars": 3, "comment": "lovely"})
    sign_in(client, "admin")
    form = hidden(client, "/admin/reviews")
    with client.app.state.engine.begin() as connection:
        connection.exec_driver_sql("update ratings set comment = 'abuse', created_at = now()")

    answer = client.post(f"/admin/reviews/{rating}", data={**form, "verdict": "shown"})

    assert answer.status_code == 409
    assert "This review has changed" in answer.text
    assert "abuse" not in client.get(f"/units/{unit}").text


def test_an_admin_pauses_and_resumes_the_queue_in_their_own_name(client: TestClient) -> None:
    sign_in(client, "admin")
    form = hidden(client, "/admin")

    client.post("/admin/queue/pause", data={**form, "because": "catalogue is <down>"})
    paused = client.get("/admin").text
    client.post("/admin/queue/resume", data=form)

    assert "admin@a.example" in paused
    assert "catalogue is &lt;down&gt;" in paused
    assert "Pause the queue" in client.get("/admin").text
    assert client.post("/admin/queue/pause", data={**form, "because": "a" * 501}).status_code == 422


def test_a_scrape_is_put_into_the_queue_or_refused_beside_its_form(client: TestClient) -> None:
    sign_in(client, "admin")
    form = hidden(client, "/admin")

    taken = client.post("/admin/scrape", data={**form, "url": "https://units.example/list", "university": "North"})
    wrong = client.post("/admin/scrape", data={**form, "url": "file:///etc/passwd", "university": "<b>"})

    assert taken.headers["location"] == "/admin?said=scraping"
    assert client.get("/api/admin/queue/status", headers={"Authorization": f"Bearer {TOKEN}"}).json()["waiting"] == 1
    assert wrong.status_code == 422
    assert 'id="url-wrong"' in wrong.text
    assert 'value="&lt;b&gt;"' in wrong.text


def test_an_admin_finds_promotes_and_locks_accounts(client: TestClient) -> None:
    sign_in(client, "admin")
    form = {"csrf": hidden(client, "/admin/users")["csrf"]}
    found = client.get("/admin/users?search=student").text
    user = re.search(r"/admin/users/([0-9a-f-]+)/lock", found)
    assert user
    UUID(user[1])

    client.post(f"/admin/users/{user[1]}/role", data={**form, "role": "admin"})
    promoted = client.get("/admin/users?search=student").text
    client.post(f"/admin/users/{user[1]}/lock", data=form)

    assert "Make an admin" in found
    assert "Make a student" in promoted
    assert "Unlock" in client.get("/admin/users?search=student").text
    assert "admin@a.example" not in found
    assert client.post(f"/admin/users/{user[1]}/role", data={**form, "role": "queen"}).status_code == 422


# Static files and templates


def test_a_file_is_served_for_ever_under_its_content_s_hash(client: TestClient) -> None:
    for name, kind in (("site.css", "text/css"), ("site.js", "text/javascript"), ("star.svg", "image/svg+xml")):
        answer = client.get(assets.url(name))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.fullmatch(r"/static/\w+-[0-9a-f]{16}\.\w+", assets.url(name))


@pytest.mark.parametrize("name", ["..%2f__init__.py", "site.css", "%00", "a" * 300, "é.css"])
def test_nothing_else_is_served_as_a_file(client: TestClient, name: str) -> None:
    answer = client.get(f"/static/{name}")

    assert answer.status_code in {404, 422}
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_a_name_that_a_template_does_not_know_is_a_mistake_and_never_an_empty_place() -> None:
    with pytest.raises(Exception, match="undefined"):
        render.environment().from_string("{{ nobody }}").render()
    assert render.environment().from_string("{{ a }}").render(a="<b>") == "&lt;b&gt;"
