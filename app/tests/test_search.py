"""Search on a real database: what is found and in which order, page by page, whoever wrote the rows."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from conftest import Cluster
from fastapi.testclient import TestClient
from sqlalchemy import Connection, text

from ratemyunit import api, schema, search, settings, units
from ratemyunit import database as pool
from ratemyunit.search import Asked

NORTH = [
    units.Found("COMP1010", "Programming", "Loops and functions"),
    units.Found("COMP2100", "Systems Programming", "Close to the machine"),
    units.Found("LAW 1001", "Foundations of Law", "Contracts and torts"),
    units.Found("LAWN2001", "Lawns and Turf", "Grass for stadiums"),
    units.Found("INFO3400", "Database Systems", "Tables, and some programming"),
]
SOUTH = [
    units.Found("BIOL1010", "Biology", "Cells"),
    units.Found("MKTG3001", "Law of Marketing", "What advertisers may say"),
]


@pytest.fixture
def connection(cluster: Cluster, database: str) -> Iterator[Connection]:
    """Open a connection to a database with a few units of two universities."""
    engine = pool.engine(cluster.url(database))
    with engine.begin() as made:
        units.store(made, "North", NORTH)
        units.store(made, "South", SOUTH)
    with engine.connect() as made:
        yield made
    engine.dispose()


@pytest.fixture
def client(cluster: Cluster, database: str, redis_url: str, connection: Connection) -> Iterator[TestClient]:
    """Make a client of an application on the same database."""
    asked = settings.read({"DATABASE_URL": cluster.url(database), "REDIS_URL": redis_url})
    with TestClient(api.create(asked), raise_server_exceptions=False) as made:
        yield made


def found(connection: Connection, words: str, **filters: object) -> list[str]:
    """Search; answer the codes found, in order."""
    return [unit.code for unit in search.find(connection, Asked(words, **filters), most=50).units]


def test_a_code_goes_before_a_title_and_a_title_before_a_text(connection: Connection) -> None:
    assert found(connection, "law") == ["LAW 1001", "LAWN2001", "MKTG3001"]
    assert found(connection, "programming") == ["COMP1010", "COMP2100", "INFO3400"]


@pytest.mark.parametrize("typed", ["LAW1001", "law 1001", "Law-1001", "law10"])
def test_a_code_is_found_however_it_is_spelt(connection: Connection, typed: str) -> None:
    assert found(connection, typed)[0] == "LAW 1001"


def test_in_titles_whole_words_go_before_beginnings_and_short_titles_before_long_ones(connection: Connection) -> None:
    units.store(connection, "North", [units.Found("X1", "Art", ""), units.Found("X2", "Arthropods", "")])
    units.store(connection, "North", [units.Found("X3", "History of Art", "")])

    assert found(connection, "art") == ["X1", "X3", "X2"]


def test_an_ending_does_not_hide_a_title(connection: Connection) -> None:
    assert found(connection, "databases") == ["INFO3400"]
    assert found(connection, "foundation of laws") == ["LAW 1001"]


@pytest.mark.parametrize(
    ("typed", "meant"), [("progamming", "COMP1010"), ("biolgy", "BIOL1010"), ("databse sytems", "INFO3400")]
)
def test_a_misspelt_word_finds_what_is_most_alike(connection: Connection, typed: str, meant: str) -> None:
    assert found(connection, typed)[0] == meant


def test_what_only_looks_alike_is_left_out_where_something_fits(connection: Connection) -> None:
    units.store(connection, "North", [units.Found("X1", "Bioology", "")])

    assert found(connection, "biology") == ["BIOL1010"]


@pytest.mark.parametrize("words", ["xq", "qqqqqqqq", "!!!", "комп", "📈"])
def test_words_that_nothing_resembles_find_nothing(connection: Connection, words: str) -> None:
    assert found(connection, words) == []


def test_a_search_is_kept_to_a_university_and_to_a_level(connection: Connection) -> None:
    north, south = (row.id for row in connection.execute(text("select id from universities order by name")))

    assert found(connection, "law", university=south) == ["MKTG3001"]
    assert found(connection, "law", level=1) == ["LAW 1001"]
    assert found(connection, "", university=south) == ["BIOL1010", "MKTG3001"]
    assert found(connection, "", level=3, university=north) == ["INFO3400"]
    assert found(connection, "progamming", level=2) == ["COMP2100"]
    assert found(connection, "law", university=uuid4()) == []


@pytest.mark.parametrize("words", ["", "law", "programming", "unit", "progarmming"])
@pytest.mark.parametrize("most", [1, 3, 7])
def test_pages_put_together_are_the_whole_search_once(connection: Connection, words: str, most: int) -> None:
    many = [units.Found(f"UNIT{n % 7}{n:03}", f"Programming {'x' * (n % 4)}", "law") for n in range(30)]
    units.store(connection, "North", many)

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = search.find(connection, Asked(words), most=most, cursor=cursor)
        assert 0 < len(page.units) <= most
        seen += [str(unit.id) for unit in page.units]
        cursor = page.next

    whole = search.find(connection, Asked(words), most=100)
    assert whole.next is None
    assert seen == [str(unit.id) for unit in whole.units]
    assert len(seen) == len(set(seen)) >= 30


def test_units_that_come_and_go_between_two_pages_neither_repeat_nor_hide_others(connection: Connection) -> None:
    first = search.find(connection, Asked(""), most=3)
    units.store(connection, "North", [units.Found("AAAA1000", "Newer", "")])
    connection.execute(text("delete from units where code = 'COMP1010'"))

    second = search.find(connection, Asked(""), most=3, cursor=first.next or "")

    assert [unit.code for unit in first.units] == ["BIOL1010", "COMP1010", "COMP2100"]
    assert [unit.code for unit in second.units] == ["INFO3400", "LAW 1001", "LAWN2001"]


def cursor_of(*said: object) -> str:
    """Spell a cursor as a caller may who knows how ours are made."""
    return urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


SOME_ID = str(uuid4())
MARK = Asked("law").mark


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "📈",
        "e30",
        cursor_of(),
        cursor_of(Asked("other").mark, 1, 0, "LAW", SOME_ID),
        cursor_of(MARK, 0, 0, "LAW", SOME_ID),
        cursor_of(MARK, 9, 0, "LAW", SOME_ID),
        cursor_of(MARK, True, 0, "LAW", SOME_ID),
        cursor_of(MARK, [1], 0, "LAW", SOME_ID),
        cursor_of(MARK, 1, 2**31, "LAW", SOME_ID),
        cursor_of(MARK, 1, 1.5, "LAW", SOME_ID),
        cursor_of(MARK, 1, 0, 7, SOME_ID),
        cursor_of(MARK, 1, 0, "a\0b", SOME_ID),
        cursor_of(MARK, 1, 0, "\ud800", SOME_ID),
        cursor_of(MARK, 1, 0, "LAW", "7"),
        cursor_of(MARK, 1, 0, "LAW", None),
        "W" * 1000,
    ],
)
def test_a_cursor_that_this_search_has_not_given_is_refused(client: TestClient, cursor: str) -> None:
    answer = client.get("/api/units", params={"search": "law", "cursor": cursor})

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "cursor" in answer.json()["detail"]


def test_a_cursor_names_no_row_number_and_is_taken_by_its_own_search_alone(client: TestClient) -> None:
    page = client.get("/api/units", params={"search": "law", "limit": 1}).json()

    again = client.get("/api/units", params={"search": "law", "limit": 1, "cursor": page["next"]})
    filtered = client.get("/api/units", params={"search": "law", "level": 1, "cursor": page["next"]})

    assert [unit["code"] for unit in again.json()["units"]] == ["LAWN2001"]
    assert filtered.status_code == 422
    assert json.loads(urlsafe_b64decode(page["next"] + "=="))[4] == page["units"][0]["id"]


@pytest.mark.parametrize(
    "query", ["university=7", "university=", "level=10", "level=-1", "level=x", "cursor=" + "a" * 1001, "cursor=a%00b"]
)
def test_a_wrong_filter_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/units?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_universities_are_listed_by_name_and_their_ids_filter(client: TestClient) -> None:
    listed = client.get("/api/universities").json()["universities"]

    assert [one["name"] for one in listed] == ["North", "South"]
    found = client.get("/api/units", params={"university": listed[1]["id"]}).json()["units"]
    assert [(unit["code"], unit["university_id"]) for unit in found] == [
        ("BIOL1010", listed[1]["id"]),
        ("MKTG3001", listed[1]["id"]),
    ]


def test_ratings_are_counted_and_averaged_whoever_wrote_them(
    client: TestClient, cluster: Cluster, database: str
) -> None:
    unit = client.get("/api/units?search=biology").json()["units"][0]
    assert (unit["rating_count"], unit["rating_average"]) == (0, None)
    client.post(f"/api/units/{unit['id']}/ratings", json={"id": str(uuid4()), "stars": 5})
    with psycopg.connect(cluster.url(database)) as old_release:
        for stars in (2, 1):
            row = (uuid4(), unit["id"], stars, "as the first release wrote it")
            old_release.execute("insert into ratings (id, unit_id, stars, comment) values (%s, %s, %s, %s)", row)

    listed = client.get("/api/units?search=biology").json()["units"][0]
    shown = client.get(f"/api/units/{unit['id']}").json()

    assert (listed["rating_count"], listed["rating_average"]) == (3, 2.67)
    assert (shown["rating_count"], shown["rating_average"]) == (3, 2.67)


def test_rows_that_the_first_release_writes_are_found_in_every_way(
    connection: Connection, cluster: Cluster, database: str
) -> None:
    with psycopg.connect(cluster.url(database)) as old_release:
        old_release.execute(
            "insert into units (university_id, code, title, description) "
            "select id, 'ASTR 4001', 'Pulsars', 'Neutron stars' from universities where name = 'North'"
        )
        old_release.execute("update units set title = 'Quasars' where code = 'BIOL1010'")

    for words in ("astr4", "pulsar", "neutron"):
        assert found(connection, words) == ["ASTR 4001"], words
    assert found(connection, "plsars")[0] == "ASTR 4001"
    assert found(connection, "quasars") == ["BIOL1010"]


def test_each_way_to_find_has_its_index(connection: Connection) -> None:
    connection.execute(text("set local enable_seqscan = off"))

    for words, tier, index in (
        ("law", search.CODE, "units_by_plain_code"),
        ("law", search.WORD, "units_titled"),
        ("law", search.BEGINNING, "units_titled"),
        ("law", search.TEXT, "units_searchable"),
        ("progamming", search.MISSPELT, "units_alike"),
        ("", search.ALL, "units_by_code"),
    ):
        question, said = search.statement(Asked(words), [tier], 20, None)
        # Order by code could be had from another index, and few rows make that one cheap.
        plan = connection.execute(text(f"explain {question.text}"), said).scalars().all()
        assert any(index in line for line in plan), "\n".join(plan)


def test_the_first_releases_own_search_still_has_its_index(connection: Connection) -> None:
    connection.execute(text("set local enable_seqscan = off; set local enable_indexscan = off"))
    old = f"explain select code from units where {schema.SEARCHABLE} @@ to_tsquery('simple', 'law:*')"

    assert any("units_searchable" in line for line in connection.execute(text(old)).scalars())
