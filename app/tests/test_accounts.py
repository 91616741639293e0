"""Accounts: signing up, in and out; what a session is worth, to whom, and how long; roles and locks."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import APP, Cluster
from fastapi import FastAPI
from patient import LONG
from people import OPERATOR, PASSWORD, Person, admin, browser, first_unit, newcomer, running, student
from sqlalchemy import text

from ratemyunit import accounts, entrance, passwords, sessions


@pytest.fixture(scope="module")
def running_app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application with two units."""
    with running(cluster, redis_url) as app:
        yield app


@pytest.fixture
def app(running_app: FastAPI) -> FastAPI:
    """Give the application, with nobody in it."""
    running_app.state.forget()
    return running_app


def rows(app: FastAPI, query: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with app.state.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def change(app: FastAPI, statement: str) -> None:
    """Change the database."""
    with app.state.engine.begin() as connection:
        connection.execute(text(statement))


def test_who_signs_up_signs_in_and_out(app: FastAPI) -> None:
    ana = newcomer(app, "ana")
    assert ana.browser.get("/api/auth/session").status_code == 401

    entered = ana.sign_in()

    assert entered.json() == {"email": "ana@uni.example.edu", "role": "student", "csrf": ana.csrf}
    assert ana.browser.get("/api/auth/session").json() == entered.json()
    assert ana.ask("POST", "/api/auth/sign-out").status_code == 204
    assert ana.browser.get("/api/auth/session").status_code == 401


def test_a_password_is_stored_as_argon2id_of_the_cost_we_say(app: FastAPI) -> None:
    newcomer(app)

    (stored,) = rows(app, "select password_hash from users")[0]

    assert str(stored).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in str(stored)


def test_a_sign_up_with_a_known_address_is_answered_alike_and_changes_nothing(app: FastAPI) -> None:
    ana = newcomer(app, "ana")
    before = rows(app, "select * from users")

    again = ana.browser.post("/api/auth/sign-up", json={"email": "Ana@UNI.example.edu", "password": "another one 123"})
    new = ana.browser.post("/api/auth/sign-up", json={"email": "bea@uni.example.edu", "password": "another one 123"})

    assert (again.status_code, again.json()) == (new.status_code, new.json())
    assert rows(app, "select * from users where email like 'ana%'") == before
    assert ana.sign_in("another one 123").status_code == 401
    assert ana.sign_in().status_code == 200


@pytest.mark.parametrize("email", ["nobody@uni.example.edu", "no address at all", "", "📧@x.y", "'; drop table users"])
def test_who_is_not_there_is_refused_word_for_word_like_who_forgot_the_password(app: FastAPI, email: str) -> None:
    ana = newcomer(app)

    wrong = ana.sign_in("a wrong password")
    nobody = Person(ana.browser, email).sign_in()

    assert (nobody.status_code, nobody.json()) == (wrong.status_code, wrong.json())
    assert dict(nobody.headers) == dict(wrong.headers)
    assert wrong.status_code == 401


def test_a_letter_typed_as_one_code_point_or_as_two_is_the_same_password(app: FastAPI) -> None:
    window = browser(app)
    window.post("/api/auth/sign-up", json={"email": "z@uni.example.edu", "password": "caf\u00e9 caf\u00e9 caf\u00e9"})

    assert Person(window, "z@uni.example.edu").sign_in("cafe\u0301 cafe\u0301 cafe\u0301").status_code == 200


def test_the_table_holds_no_token_that_anybody_could_use(app: FastAPI) -> None:
    ana = student(app)

    token = ana.browser.cookies["session"]
    (stored,) = rows(app, "select token_hash from sessions")[0]

    assert re.fullmatch(r"[\w-]{43}", token)
    assert token not in str(rows(app, "select * from sessions"))
    assert browser(app, cookies={"session": str(stored)}).get("/api/auth/session").status_code == 401


def test_a_session_ends_at_its_time_and_is_swept_out_by_the_next_sign_in(app: FastAPI) -> None:
    ana = student(app)
    change(app, "update sessions set ends_at = now()")

    assert ana.browser.get("/api/auth/session").status_code == 401

    student(app)
    assert len(rows(app, "select * from sessions")) == 1


def test_a_sign_in_begins_a_new_session_and_ends_the_one_that_was_brought(app: FastAPI) -> None:
    ana = student(app)
    before = ana.browser.cookies["session"]

    ana.sign_in()

    assert ana.browser.cookies["session"] != before
    assert browser(app, cookies={"session": before}).get("/api/auth/session").status_code == 401


def test_a_token_that_somebody_planted_is_never_taken_over(app: FastAPI) -> None:
    ana = newcomer(app)
    ana.browser.cookies.set("session", "planted-by-somebody", domain="testserver.local", path="/")

    ana.sign_in()

    assert browser(app, cookies={"session": "planted-by-somebody"}).get("/api/auth/session").status_code == 401


def test_over_https_the_cookie_is_for_this_host_alone_and_hidden_from_scripts(app: FastAPI) -> None:
    ana = newcomer(app, base_url="https://testserver")

    said = ana.sign_in().headers["set-cookie"]

    assert re.fullmatch(r"__Host-session=[\w-]{43}; HttpOnly; Max-Age=1209600; Path=/; SameSite=lax; Secure", said)
    assert ana.browser.get("/api/auth/session").status_code == 200


def test_a_cookie_of_plain_http_is_nothing_over_https(app: FastAPI) -> None:
    token = student(app).browser.cookies["session"]
    encrypted = browser(app, base_url="https://testserver", cookies={"session": token})

    assert encrypted.get("/api/auth/session").status_code == 401


def test_behind_the_proxy_https_is_what_the_balancer_says(app: FastAPI) -> None:
    ana = newcomer(app)
    ana.browser.headers["X-Forwarded-Proto"] = "https"

    assert "; Secure" in ana.sign_in().headers["set-cookie"]


def test_a_locked_account_is_told_so_only_to_who_knows_its_password(app: FastAPI) -> None:
    ana, boss = student(app), admin(app)

    locked = boss.ask("POST", f"/api/admin/users/{ana.id()}/lock")

    assert locked.status_code == 204
    assert ana.browser.get("/api/auth/session").status_code == 401
    assert ana.sign_in("a wrong password").status_code == 401
    assert ana.sign_in().status_code == 403
    assert rows(app, "select count(*) from sessions") == [(1,)]
    assert boss.ask("POST", f"/api/admin/users/{ana.id()}/unlock").status_code == 204
    assert ana.sign_in().status_code == 200


def test_who_locked_an_account_first_and_when_is_kept(app: FastAPI) -> None:
    ana, first, second = student(app), admin(app), admin(app)
    first.ask("POST", f"/api/admin/users/{ana.id()}/lock")
    seen = rows(app, "select locked_at, locked_by from users where locked_at is not null")

    second.ask("POST", f"/api/admin/users/{ana.id()}/lock")

    assert rows(app, "select locked_at, locked_by from users where locked_at is not null") == seen
    assert str(seen[0][1]) == first.id()


def test_a_role_holds_from_the_next_request_on(app: FastAPI) -> None:
    ana, boss = student(app), admin(app)
    assert ana.browser.get("/api/admin/users").status_code == 403

    assert boss.ask("POST", f"/api/admin/users/{ana.id()}/role", json={"role": "admin"}).status_code == 204
    assert ana.browser.get("/api/admin/users").status_code == 200
    assert boss.ask("POST", f"/api/admin/users/{ana.id()}/role", json={"role": "student"}).status_code == 204
    assert ana.browser.get("/api/admin/users").status_code == 403


@pytest.mark.parametrize("deed", ["lock", "role"])
def test_an_admin_can_shut_out_others_but_not_themselves(app: FastAPI, deed: str) -> None:
    boss = admin(app)

    answer = boss.ask("POST", f"/api/admin/users/{boss.id()}/{deed}", json={"role": "student"})

    assert answer.status_code == 409
    assert boss.browser.get("/api/admin/users").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/admin/users"),
        ("POST", "/api/admin/users/{id}/role"),
        ("POST", "/api/admin/users/{id}/lock"),
        ("POST", "/api/admin/users/{id}/unlock"),
        ("GET", "/api/admin/reviews"),
        ("POST", "/api/admin/reviews/{id}"),
    ],
)
def test_admin_is_closed_to_strangers_and_to_students(app: FastAPI, method: str, path: str) -> None:
    ana = student(app)
    body = {"role": "admin", "review": "shown"}
    there = path.format(id=ana.id())

    assert browser(app).request(method, there, json=body).status_code == 401
    assert ana.ask(method, there, json=body).status_code == 403
    assert rows(app, "select role, locked_at from users") == [("student", None)]


def test_every_401_says_how_to_be_let_in(app: FastAPI) -> None:
    stranger = browser(app)

    asked = [
        stranger.get("/api/auth/session"),
        stranger.get("/api/admin/users"),
        stranger.get("/account", headers={"Accept": "application/json"}),
        stranger.post("/api/auth/sign-in", json={"email": "no@uni.example.edu", "password": PASSWORD}),
        stranger.get("/api/admin/queue/status"),
        stranger.get("/api/admin/users", headers={"Authorization": "Bearer wrong"}),
    ]

    said = [(answer.status_code, answer.headers.get("www-authenticate")) for answer in asked]
    assert said == [(401, 'Cookie realm="RateMyUnit"')] * 4 + [(401, "Bearer")] * 2


def test_accounts_are_listed_page_by_page_and_found_by_a_part_of_the_address(app: FastAPI) -> None:
    boss = admin(app, "boss")
    for name in ("ana", "anatol", "ben"):
        newcomer(app, name)

    first = boss.browser.get("/api/admin/users?limit=3").json()
    second = boss.browser.get(f"/api/admin/users?limit=3&after={first['next']}").json()
    found = boss.browser.get("/api/admin/users?search=ANA").json()

    assert len(first["users"]) == 3
    assert second["next"] is None
    everybody = {user["email"].split("@")[0] for user in first["users"] + second["users"]}
    assert everybody == {"boss", "ana", "anatol", "ben"}
    assert {user["email"].split("@")[0] for user in found["users"]} == {"ana", "anatol"}
    assert "password_hash" not in str(first)


def test_only_so_many_hash_at_once_and_the_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(passwords.AT_ONCE + passwords.IN_LINE):
        assert passwords._places.acquire(blocking=False)
    try:
        with pytest.raises(passwords.Crowded):
            passwords.hashed(PASSWORD)
        with pytest.raises(passwords.Crowded):
            passwords.fits(None, PASSWORD)
    finally:
        for _ in range(passwords.AT_ONCE + passwords.IN_LINE):
            passwords._places.release()

    assert passwords.fits(passwords.hashed(PASSWORD), PASSWORD)


MEMORY = """
import sys, threading
from ratemyunit import passwords
act = passwords.hashed if sys.argv[1] == "ours" else passwords.HASHER.hash
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024
act("the first one")
before, over = peak(), threading.Event()
for _ in range(16):
    done = threading.Event()
    def one(done=done):
        act("correct horse battery")
        act("correct horse battery")
        done.set()
        over.wait()
    threading.Thread(target=one, daemon=True).start()
    done.wait()
print(peak() - before)
over.set()
"""


@pytest.mark.parametrize(("whose", "least", "most"), [("ours", 0, 40), ("naive", 100, 400)])
def test_sixteen_threads_that_hash_keep_the_memory_of_two(whose: str, least: int, most: int) -> None:
    argv = [sys.executable, "-c", MEMORY, whose]
    done = subprocess.run(argv, env={"PYTHONPATH": str(APP)}, capture_output=True, text=True, check=True, timeout=LONG)

    assert least <= int(done.stdout) <= most


def test_a_crowd_at_the_door_is_told_to_come_back(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(*_: object) -> bool:
        raise passwords.Crowded

    monkeypatch.setattr(passwords, "fits", crowded)  # as many threads as that, all inside a hash, are hard to hold

    answer = Person(browser(app), "ana@uni.example.edu").sign_in()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ana", PASSWORD),
        ("a b@uni.example.edu", PASSWORD),
        ("ana@localhost", PASSWORD),
        ("ana@uni.example.edu\n", PASSWORD),
        ("a" * 65 + "@uni.example.edu", PASSWORD),
        ("a@" + "uni." * 70 + "edu", PASSWORD),
        ("ana@uni.example.edu", "short"),
        ("ana@uni.example.edu", "x" * 201),
        ("ana@uni.example.edu", "ANA@uni.example.edu"),
    ],
)
def test_what_will_not_do_is_said_and_nothing_is_stored(app: FastAPI, email: str, password: str) -> None:
    assert entrance.unfit(email, password)
    assert browser(app).post("/api/auth/sign-up", json={"email": email, "password": password}).status_code == 422
    assert rows(app, "select * from users") == []


def test_a_rating_given_in_a_session_is_its_accounts_and_there_is_one_for_a_unit(app: FastAPI) -> None:
    ana, unit = student(app), first_unit(browser(app))

    first, second = ana.rate(unit), ana.rate(unit)

    assert (first.status_code, second.status_code) == (201, 409)
    assert [r["id"] for r in ana.browser.get("/api/account/ratings").json()["ratings"]] == [first.json()["id"]]
    assert rows(app, "select author_id::text from ratings") == [(ana.id(),)]


def test_who_has_no_account_rates_all_the_same(app: FastAPI) -> None:
    stranger = Person(browser(app), "")
    unit = first_unit(stranger.browser)

    assert [stranger.rate(unit).status_code for _ in range(2)] == [201, 201]
    assert rows(app, "select author_id from ratings") == [(None,), (None,)]


def test_who_only_thinks_to_be_signed_in_is_told_so_and_nothing_is_stored(app: FastAPI) -> None:
    ana, unit = student(app), first_unit(browser(app))
    change(app, "update sessions set ends_at = now()")

    assert ana.rate(unit).status_code == 401
    assert rows(app, "select * from ratings") == []


def test_a_rating_is_taken_back_by_who_gave_it_and_by_nobody_else(app: FastAPI) -> None:
    ana, ben, unit = student(app), student(app), first_unit(browser(app))
    mine = f"/api/account/ratings/{ana.rate(unit).json()['id']}"

    assert ben.ask("DELETE", mine).status_code == 404
    assert browser(app).delete(mine).status_code == 401
    assert len(rows(app, "select * from ratings")) == 1
    assert ana.ask("DELETE", mine).status_code == 204
    assert ana.ask("DELETE", mine).status_code == 404
    assert rows(app, "select * from ratings") == []


def test_an_operator_locks_in_nobodys_name(app: FastAPI) -> None:
    ana = student(app)
    operator = browser(app, headers=OPERATOR)

    assert operator.post(f"/api/admin/users/{ana.id()}/lock").status_code == 204

    seen = operator.get("/api/admin/users").json()["users"][0]
    assert seen["locked_at"]
    assert seen["locked_by"] is None


def test_sessions_and_accounts_know_nothing_of_a_token_or_an_address_that_is_not_there(app: FastAPI) -> None:
    with app.state.engine.connect() as connection:
        assert sessions.visitor(connection, "\udc80 no token") is None
        assert accounts.by_email(connection, "nobody@x.y") is None
