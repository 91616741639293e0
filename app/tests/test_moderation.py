"""Reviews: words wait for an admin, stars do not; who decided, and when, is kept; old words and old code go on."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Cluster
from fastapi import FastAPI
from people import Person, admin, browser, first_unit, running, student
from sqlalchemy import text
from test_phases import Tree

from ratemyunit import migrate, schema


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


def read(app: FastAPI, unit: str) -> list[tuple[int, str]]:
    """Read a unit's ratings as everybody may."""
    found = browser(app).get(f"/api/units/{unit}").json()["ratings"]
    return [(rating["stars"], rating["comment"]) for rating in found]


def judge(boss: Person, given: dict[str, Any], verdict: str) -> int:
    """Let an admin decide of a review as it was given."""
    wish = {"review": verdict, "created_at": given["created_at"]}
    return boss.ask("POST", f"/api/admin/reviews/{given['id']}", json=wish).status_code


@pytest.mark.parametrize("who", ["a student", "a stranger"])
def test_stars_count_at_once_and_words_are_read_when_they_are_shown(app: FastAPI, who: str) -> None:
    boss = admin(app)
    giver = student(app) if who == "a student" else Person(browser(app), "")
    unit = first_unit(giver.browser)

    given = giver.rate(unit).json()

    assert given["comment"] == "hard, but fair"
    assert read(app, unit) == [(4, "")]
    assert judge(boss, given, "shown") == 204
    assert read(app, unit) == [(4, "hard, but fair")]
    assert judge(boss, given, "hidden") == 204
    assert read(app, unit) == [(4, "")]


@pytest.mark.parametrize("words", ["", "nobody has read these yet"])
def test_no_number_of_ratings_without_words_that_are_shown_hides_a_review(app: FastAPI, words: str) -> None:
    boss, ana = admin(app), student(app)
    unit = first_unit(ana.browser)
    assert judge(boss, ana.rate(unit).json(), "shown") == 204
    many = "insert into ratings (id, unit_id, stars, comment) select gen_random_uuid(), :unit, 1, :words"
    with app.state.engine.begin() as connection:
        connection.execute(text(f"{many} from generate_series(1, 150)"), {"unit": unit, "words": words})

    found = read(app, unit)

    assert (len(found), found[-1], set(found[:-1])) == (100, (4, "hard, but fair"), {(1, "")})
    assert "hard, but fair" in browser(app).get(f"/units/{unit}").text


def test_who_decided_and_when_is_kept(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    given = ana.rate(first_unit(ana.browser)).json()

    judge(boss, given, "shown")

    shown = boss.browser.get("/api/admin/reviews?state=shown").json()["reviews"]
    assert [(r["id"], r["moderated_by"], r["comment"]) for r in shown] == [(given["id"], boss.id(), "hard, but fair")]
    assert shown[0]["moderated_at"]
    assert boss.browser.get("/api/admin/reviews").json() == {"reviews": [], "next": None}


def test_what_waits_longest_is_read_first_and_stars_alone_are_no_review(app: FastAPI) -> None:
    boss, stranger = admin(app), Person(browser(app), "")
    unit = first_unit(stranger.browser)
    for words in ("first", "", "second"):
        stranger.rate(unit, comment=words)

    waiting = boss.browser.get("/api/admin/reviews").json()["reviews"]

    assert [review["comment"] for review in waiting] == ["first", "second"]
    assert len(boss.browser.get("/api/admin/reviews?limit=1").json()["reviews"]) == 1


def many(app: FastAPI, unit: str, count: int, state: str) -> list[str]:
    """Store reviews in a state, two of them of each moment; answer their words, the oldest first."""
    rows = "insert into ratings (id, unit_id, stars, comment, review, created_at) select "
    each = "gen_random_uuid(), :unit, 3, 'review ' || n, :state, now() - make_interval(mins => 999 - n / 2)"
    with app.state.engine.begin() as connection:
        connection.execute(
            text(f"{rows}{each} from generate_series(1, :count) n"), {"unit": unit, "count": count, "state": state}
        )
        ordered = "select comment from ratings where review = :state order by created_at, id"
        return list(connection.execute(text(ordered), {"state": state}).scalars())


@pytest.mark.parametrize("state", ["pending", "shown", "hidden"])
def test_every_review_of_a_state_is_on_some_page_and_of_those_judged_the_newest_come_first(
    app: FastAPI, state: str
) -> None:
    boss = admin(app)
    stored = many(app, first_unit(boss.browser), 25, state)

    pages, cursor = [], ""
    while cursor is not None:
        asked = {"state": state, "limit": 10, "cursor": cursor}
        page = boss.browser.get("/api/admin/reviews", params=asked).json()
        pages.append([review["comment"] for review in page["reviews"]])
        cursor = page["next"]

    assert [len(page) for page in pages] == [10, 10, 5]
    assert sum(pages, []) == (stored if state == "pending" else stored[::-1])


def test_a_page_of_reviews_begins_where_the_one_before_ended_though_that_review_is_gone(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    unit = first_unit(ana.browser)
    first = ana.rate(unit).json()["id"]
    Person(browser(app), "").rate(unit, comment="behind it")
    cursor = boss.browser.get("/api/admin/reviews?limit=1").json()["next"]

    ana.ask("DELETE", f"/api/account/ratings/{first}")

    found = boss.browser.get("/api/admin/reviews", params={"cursor": cursor}).json()["reviews"]
    assert [review["comment"] for review in found] == ["behind it"]


@pytest.mark.parametrize("cursor", ["x", "====", "MjAyNi0wMS0wMQ", "eA/", "MjAyNi0wMS0wMVQwMDowMDowMCs5OTo5OSB4"])
def test_a_cursor_that_no_list_of_reviews_has_given_is_refused(app: FastAPI, cursor: str) -> None:
    answer = admin(app).browser.get("/api/admin/reviews", params={"cursor": cursor})

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_an_admins_page_leads_to_the_reviews_behind_it(app: FastAPI) -> None:
    boss = admin(app)
    stored = many(app, first_unit(boss.browser), 51, "shown")

    first = boss.browser.get("/admin/reviews?state=shown").text
    link = first.partition('<a class="button" href="?')[2].partition('"')[0]
    second = boss.browser.get(f"/admin/reviews?{unescape(link)}").text

    assert (f">{stored[-1]}<" in first, f">{stored[0]}<" in first) == (True, False)
    assert (f">{stored[-1]}<" in second, f">{stored[0]}<" in second, "Next page" in second) == (False, True, False)


def test_words_of_nothing_but_blanks_are_none_and_wait_for_nobody(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    unit = first_unit(ana.browser)

    blank = ana.rate(unit, comment=" \n\t\u2003 ")
    again = ana.rate(unit, id=blank.json()["id"], comment="")
    framed = Person(browser(app), "").rate(unit, comment="\n fair \r\n")

    assert [(a.status_code, a.json()["comment"]) for a in (blank, again, framed)] == [
        (201, ""),
        (200, ""),
        (201, "fair"),
    ]
    waiting = boss.browser.get("/api/admin/reviews").json()["reviews"]
    assert [review["comment"] for review in waiting] == ["fair"]


def test_there_is_nothing_to_decide_of_stars_alone_or_of_what_is_not_there(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    alone = ana.rate(first_unit(ana.browser), comment="").json()

    assert judge(boss, alone, "hidden") == 404
    assert judge(boss, {**alone, "id": "00000000-0000-4000-8000-000000000000"}, "shown") == 404


def test_words_that_came_under_the_same_id_after_a_moderator_read_are_not_shown(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    unit = first_unit(ana.browser)
    nice = ana.rate(unit, comment="lovely").json()
    (read_there,) = boss.browser.get("/api/admin/reviews").json()["reviews"]
    ana.ask("DELETE", f"/api/account/ratings/{nice['id']}")
    foul = ana.rate(unit, id=nice["id"], comment="abuse").json()

    assert [judge(boss, read_there, verdict) for verdict in ("shown", "hidden")] == [409, 409]
    assert read(app, unit) == [(4, "")]
    assert judge(boss, foul, "shown") == 204


def test_who_gave_it_sees_their_words_and_how_they_stand(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    judge(boss, ana.rate(first_unit(ana.browser)).json(), "hidden")

    own = ana.browser.get("/api/account/ratings").json()["ratings"]

    assert [(r["comment"], r["review"], r["code"]) for r in own] == [("hard, but fair", "hidden", "COMP2100")]


def test_a_known_rating_sent_again_is_still_known_after_it_was_hidden(app: FastAPI) -> None:
    boss, ana = admin(app), student(app)
    unit = first_unit(ana.browser)
    given = ana.rate(unit).json()
    judge(boss, given, "hidden")

    again = ana.rate(unit, id=given["id"])

    assert (again.status_code, again.json()) == (200, given)
    with app.state.engine.connect() as connection:
        assert connection.scalar(text("select review from ratings")) == "hidden"


OLD_INSERT = "insert into ratings (id, unit_id, stars, comment) select gen_random_uuid(), id, 5, %s from units"


def test_words_from_before_stay_shown_and_those_of_older_code_wait(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    before = Tree(tmp_path, head="0004")
    for later in (tmp_path / "ratemyunit/migrations/versions").glob("000[5-9]_*.py"):
        later.unlink()
    before.run("migrate", url=cluster.url(empty_database, "rmu_migrate"))
    with psycopg.connect(cluster.url(empty_database), autocommit=True) as older_code:
        older_code.execute("insert into universities (name) values ('North')")
        older_code.execute("insert into units (university_id, code, title) select id, 'A1', 'A' from universities")
        older_code.execute(OLD_INSERT, ["from before"])

        migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))

        older_code.execute(OLD_INSERT, ["from older code"])
        found = older_code.execute("select comment, review from ratings order by created_at").fetchall()
    assert found == [("from before", "shown"), ("from older code", "pending")]


AUTHORS = "on ratings (author_id, unit_id) where author_id is not null"


def test_a_migration_that_broke_off_between_its_indexes_is_finished_by_the_next(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    before = Tree(tmp_path, head="0004")
    for later in (tmp_path / "ratemyunit/migrations/versions").glob("000[5-9]_*.py"):
        later.unlink()
    before.run("migrate", url=cluster.url(empty_database, "rmu_migrate"))
    columns = "add column author_id uuid, add column review varchar(16) not null default 'shown'"
    with psycopg.connect(cluster.url(empty_database, "rmu_migrate"), autocommit=True) as owner:
        owner.execute(f"alter table ratings {columns}")
        owner.execute(f"create unique index ratings_by_author {AUTHORS}")

    said = migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))

    assert said["ran"][0] == "0005"
    assert said["head"] == schema.HEAD
