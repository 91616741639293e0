"""What is logged: whose line it is, one request from proxy to SQL, and nothing that must not be kept."""

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from conftest import TOKEN, Cluster, Role
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ratemyunit import database as pool
from ratemyunit import logs, redact
from ratemyunit.logs import JsonLines

ID = "req-0123456789"


def line_of(message: str = "hello", **fields: Any) -> dict[str, Any]:
    """Format one record as a process of release v7 would."""
    record = logging.LogRecord("ratemyunit.test", logging.INFO, "", 0, message, (), None)
    record.fields = fields
    said: dict[str, Any] = json.loads(JsonLines({"release": "v7", "role": "api"}).format(record))
    return said


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("postgresql://rmu_app:s3cr3t/x@db:5432/x?sslmode=require", "rmu_app"),
        ("Authorization: Bearer abcdef0123456789", "Authorization"),
        ("headers {'cookie': 'session=abcdef; theme=dark'}", "headers"),
        ("Set-Cookie: session=abcdef; Path=/", "Set-Cookie"),
        ("sent bearer abcdef0123456789 along", "along"),
        ('{"password": "abcdef"}', "password"),
        ("password = abcdef, user = u", "user = u"),
        ("ADMIN_TOKEN=abcdef HOST=h", "HOST=h"),
        ("key eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdef", "key"),
        ("DETAIL:  Key (email)=(abcdef) already exists.\n[SQL: insert", "[SQL: insert"),
        ("DETAIL:  Failing row contains (1, abcdef\nana.maria).\nHINT:  none", "HINT:  none"),
        ("no account for ana.maria+abcdef@uni.example.edu here", "here"),
    ],
)
def test_a_text_loses_its_secret_and_keeps_the_rest(said: str, kept: str) -> None:
    cleaned = redact.clean(said)

    assert kept in cleaned
    assert not [part for part in ("abcdef", "s3cr3t", "ana.maria") if part in cleaned]


SECRET = ["password", "ADMIN_TOKEN", "Authorization", "set-cookie", "api_key", "session_id", "csrf", "X-CSRF-Token"]
PERSONAL = ["email", "e-mail", "comment", "search", "client", "ip", "X-Real-IP", "x-forwarded-for"]


@pytest.mark.parametrize("name", [*SECRET, *PERSONAL])
def test_a_field_named_like_a_secret_is_gone_whatever_it_holds(name: str) -> None:
    assert redact.redact({"deep": {name: "x"}, name: ["x"]}) == {"deep": {name: redact.GONE}, name: redact.GONE}


@pytest.mark.parametrize(
    "text", ["3 tokens left", "the password was wrong", "bearer of news", "schema_head 0002", "a cookie a day"]
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert redact.clean(text) == text


STORY = "what I tell nobody\nand a second line of it"


def test_a_row_that_the_database_refuses_is_in_no_line_though_its_complaint_tells_it(
    cluster: Cluster, database: str
) -> None:
    refused = text("insert into ratings (id, unit_id, stars, comment) values (gen_random_uuid(), null, 9, :story)")
    engine = pool.engine(cluster.url(database))
    with pytest.raises(IntegrityError) as found, engine.begin() as connection:
        connection.execute(refused, {"story": STORY})
    engine.dispose()

    naive = "".join(traceback.format_exception(found.value))
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (found.type, found.value, found.tb))
    line = json.loads(JsonLines().format(record))["exception"]

    assert "what I tell nobody" in naive
    assert "what I tell nobody" not in line
    assert "a second line" not in line
    assert 'null value in column "unit_id"' in line


def test_an_exception_is_cleaned_and_loses_its_middle() -> None:
    try:
        raise ValueError("postgresql://u:s3cr3t@db/x " + "y" * 60_000 + " the end")
    except ValueError as why:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (type(why), why, why.__traceback__))

    line = json.loads(JsonLines().format(record))

    assert "s3cr3t" not in line["exception"]
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("y the end")


def test_no_line_is_so_long_that_it_is_torn() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "ü" * 9000, (), None)
    record.fields = {f"field_{n}": "ü" * 4000 for n in range(9)}

    with logs.about(request_id=ID):
        line = JsonLines({"release": "v7"}).format(record)

    assert len(line.encode()) <= logs.LONGEST_LINE
    assert json.loads(line)["request_id"] == ID
    assert json.loads(line)["release"] == "v7"


@pytest.mark.parametrize("size", [1, 9000])
def test_a_line_with_half_a_letter_in_it_is_written_and_can_be_read(size: int) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "\ud800" * size, (), None)

    line = JsonLines().format(record).encode()

    assert len(line) <= logs.LONGEST_LINE
    assert json.loads(line)["message"].startswith("\ud800")


def test_every_line_tells_release_role_and_what_it_is_about() -> None:
    with logs.about(request_id=ID):
        line = line_of("request", ms=1.5, ok=None)

    assert {k: line[k] for k in ("release", "role", "request_id", "ms", "ok", "level")} == {
        "release": "v7",
        "role": "api",
        "request_id": ID,
        "ms": 1.5,
        "ok": None,
        "level": "info",
    }
    assert "request_id" not in line_of()


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space 1234", "a'*/drop table--", "ünïcode-1234"])
def test_an_id_that_is_not_well_formed_is_replaced(given: str) -> None:
    assert logs.request_id(given) != given
    assert logs.REQUEST_ID.fullmatch(logs.request_id(given))
    assert logs.request_id(ID) == ID


def test_a_statement_says_whom_it_is_for_and_can_hold_no_trick() -> None:
    with logs.about(request_id="a'*/%s-12345"):
        said = pool.comment()

    assert said == "/*request_id='a%27%2A%2F%25s-12345'*/ "
    assert pool.comment() == ""


def test_a_request_is_found_by_its_id_in_the_apps_line_and_in_postgresqls_log(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str
) -> None:
    cluster.sql(f"alter database {database} set log_min_duration_statement = 0")
    api = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url, RELEASE_VERSION="v7")

    status, headers, _ = api.get("/api/units?search=100%25", **{"X-Request-ID": ID})
    api.get("/api/units?search=other", **{"X-Request-ID": "no good"})
    api.stop()

    mine, other = [line for line in api.lines() if line["message"] == "request"]
    assert status == 200
    assert (mine["request_id"], mine["release"], mine["role"]) == (ID, "v7", "api")
    assert other["request_id"] not in ("no good", ID)
    assert {k.lower(): v for k, v in headers.items()}["x-rmu-release"] == "v7"
    timed = [line for line in Path(cluster.directory, "log").read_text().splitlines() if "duration:" in line]
    assert [line for line in timed if f"/*request_id='{ID}'*/ select page" in line]


def test_who_signs_in_and_what_they_wrote_is_in_no_line(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str
) -> None:
    api = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url)
    known = {"email": "ana.maria@uni.example.edu", "password": "correct horse battery"}

    statuses = [api.post(f"/api/auth/sign-{where}", known)[0] for where in ("up", "in")]
    api.get("/api/admin/users?search=ana.maria", **{"X-Real-IP": "203.0.113.77", "Cookie": "session=abcdef-token"})
    api.stop()

    said = api.log.read_text()
    assert statuses == [202, 200]
    assert said.count('"message": "request"') == 3
    assert not [secret for secret in ("ana.maria", "correct horse", "abcdef-token", "203.0.113.77") if secret in said]


def test_a_scrape_says_how_it_ended_and_its_job_is_found_in_postgresqls_log(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str
) -> None:
    cluster.sql(f"alter database {database} set log_min_duration_statement = 0")
    api = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url)
    wish = {"url": "http://127.0.0.1:1/catalogue", "university": "Nowhere"}
    job = json.loads(api.post("/api/admin/scrape", wish, Authorization=f"Bearer {TOKEN}")[2])["job"]
    worker = start("worker", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url, RELEASE_VERSION="v7")

    scrapes = _until(lambda: [line for line in worker.lines() if line.get("event") == "scrape"])
    worker.stop()

    line = scrapes[0]
    assert {k: line[k] for k in ("ok", "outcome", "attempt", "job", "role", "release")} == {
        "ok": False,
        "outcome": "failed",
        "attempt": 1,
        "job": job,
        "role": "worker",
        "release": "v7",
    }
    assert isinstance(line["ms"], int)
    assert f"/*job='{job}'*/" in Path(cluster.directory, "log").read_text()


def _until(question: Any) -> Any:
    from conftest import wait_until

    found: list[Any] = []
    wait_until(lambda: found.append(question()) or found[-1])
    return found[-1]
