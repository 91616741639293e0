"""Crawls: rows that go on where they were, each page once, no more than allowed, and nothing half-written."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sites as web
from conftest import TOKEN, Cluster, Role, wait_until
from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy import Engine, text

from ratemyunit import api, catalogues, crawls, jobs, repository, settings
from ratemyunit.scraper.port import Found, Job, Link, Reading, Unavailable
from ratemyunit.scraper.rules import Rules

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
NONE = timedelta(0)
SITE = "https://uni.example"
Start = Callable[..., Role]


@pytest.fixture
def rows(engine: Engine, redis: Redis) -> repository.Rows:
    """Make a repository that gives sites no pause."""
    return repository.Rows(engine, redis, NONE)


@pytest.fixture
def client(cluster: Cluster, database: str, redis_url: str) -> Iterator[TestClient]:
    """Make a client of an application."""
    named = {"DATABASE_URL": cluster.url(database), "REDIS_URL": redis_url, "ADMIN_TOKEN": TOKEN}
    with TestClient(api.create(settings.read(named)), raise_server_exceptions=False) as made:
        yield made


def begun(engine: Engine, most_pages: int = 100, span: str = "", pause: timedelta = NONE) -> UUID:
    """Keep a catalogue and begin a crawl of it."""
    url = f"{SITE}/{{code}}" if span else f"{SITE}/list"
    with engine.begin() as connection:
        source = crawls.keep(connection, crawls.Source("U", "html", url, Rules(), span, most_pages))
        assert source
        crawl = crawls.begin(connection, source, pause)
    assert crawl
    return crawl


def wished(engine: Engine, pages: int, site: str = SITE) -> None:
    """Put so many pages of a site down as jobs."""
    with engine.begin() as connection:
        for number in range(pages):
            jobs.add(connection, f"{site}/{number}", "U")


def taken(rows: repository.Rows) -> Job:
    """Take the next job."""
    job = rows.next()
    assert job
    return job


def run_out(engine: Engine, rows: repository.Rows) -> None:
    """Let the lease of what runs run out, and then the pause that this costs."""
    with engine.begin() as connection:
        connection.execute(text("update jobs set lease_until = now() - interval '1 s' where state = 'running'"))
    assert rows.next() is None
    with engine.begin() as connection:
        connection.execute(text("update jobs set not_before = now() where state = 'queued'"))


def state(engine: Engine, crawl: UUID) -> dict[str, Any]:
    """Ask how a crawl stands."""
    with engine.connect() as connection:
        found = crawls.one(connection, crawl)
    assert found
    return {name: found[name] for name in ("state", "pages", "done", "failed", "units")}


def links(*names: str) -> tuple[Link, ...]:
    """Name pages of the site."""
    return tuple(Link(f"{SITE}/{name}", "json") for name in names)


def test_a_crawl_goes_from_page_to_page_to_its_end(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine)
    first = taken(rows)
    assert (first.url, first.kind, first.crawl, first.site) == (f"{SITE}/list", "html", crawl, "uni.example")

    rows.keep(first, Reading((Found("A1", "A"),), links("1", "2")))
    second = taken(rows)
    assert (second.url, second.kind) == (f"{SITE}/1", "json")
    rows.keep(second, Reading((Found("B1", "B"), Found("B2", "B")), links("2", "1", "list")))
    rows.give_up(taken(rows), "the page answered 404")
    assert rows.next() is None

    assert state(engine, crawl) == {"state": "done", "pages": 3, "done": 2, "failed": 1, "units": 3}


def test_a_crawl_killed_in_the_middle_goes_on_with_the_page_that_was_not_kept(
    engine: Engine, rows: repository.Rows, redis: Redis
) -> None:
    crawl = begun(engine)
    rows.keep(taken(rows), Reading((), links("1", "2")))
    rows.keep(taken(rows), Reading((Found("A1", "A"),)))
    lost = taken(rows)  # and its worker dies; so does Redis
    redis.flushall()
    assert rows.next() is None
    run_out(engine, rows)

    again = taken(rows)
    assert (again.id, again.attempts) == (lost.id, 2)
    rows.keep(again, Reading((Found("B1", "B"),)))
    assert rows.next() is None
    assert state(engine, crawl) == {"state": "done", "pages": 3, "done": 3, "failed": 0, "units": 2}


def test_a_worker_that_lost_its_lease_keeps_nothing(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine)
    late = taken(rows)
    run_out(engine, rows)
    taken(rows)

    assert rows.keep(late, Reading((Found("A1", "A"),), links("1"))) == 0
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from units")) == 0
    assert state(engine, crawl)["pages"] == 1


def test_a_reading_that_cannot_be_stored_leaves_nothing_half_written(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine)
    job = taken(rows)

    with pytest.raises(Unavailable):
        rows.keep(job, Reading((Found("A1", "good"), Found("A2", "x" * 301)), links("1")))

    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from units")) == 0
        assert connection.scalar(text("select state from jobs")) == "running"
    assert state(engine, crawl)["pages"] == 1


def test_a_crawl_reads_no_more_pages_than_its_catalogue_allows(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine, most_pages=3)
    rows.keep(taken(rows), Reading((), links(*map(str, range(100)))))
    rows.keep(taken(rows), Reading((), links(*map(str, range(100, 200)))))

    assert state(engine, crawl)["pages"] == 3


def test_a_range_becomes_a_page_for_each_code(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine, span="COMP1000-1009", most_pages=8)

    assert state(engine, crawl)["pages"] == 8
    assert taken(rows).url == f"{SITE}/COMP1000"


def test_pages_become_due_one_after_the_other(engine: Engine) -> None:
    begun(engine, span="COMP1000-1009", pause=timedelta(seconds=7))

    with engine.connect() as connection:
        waiting = jobs.counts(connection)
        spread = connection.scalar(text("select extract(epoch from max(not_before) - min(not_before)) from jobs"))
    assert (waiting.waiting, waiting.later, spread) == (1, 9, 63)


def test_a_catalogue_is_crawled_once_at_a_time(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine)
    with engine.begin() as connection:
        (source,) = catalogues.listed(connection, most=2)
        assert crawls.begin(connection, source["id"], NONE) == crawl
    rows.give_up(taken(rows), "gone")
    assert rows.next() is None

    with engine.begin() as connection:
        assert crawls.begin(connection, source["id"], NONE) not in (crawl, None)


def test_a_crawl_that_is_stopped_begins_no_other_page(engine: Engine, rows: repository.Rows) -> None:
    crawl = begun(engine)
    rows.keep(taken(rows), Reading((), links("1", "2", "3")))
    running = taken(rows)
    with engine.begin() as connection:
        assert crawls.stop(connection, crawl)
        assert not crawls.stop(connection, crawl)

    rows.keep(running, Reading((Found("A1", "A"),), links("4")))

    assert rows.next() is None
    assert state(engine, crawl) == {"state": "stopped", "pages": 2, "done": 2, "failed": 0, "units": 1}


@pytest.mark.parametrize("leave", ["put_off", "give_back", "dies"])
def test_a_page_in_hand_is_not_tried_again_once_its_crawl_is_stopped(
    engine: Engine, rows: repository.Rows, leave: str
) -> None:
    crawl = begun(engine)
    job = taken(rows)
    with engine.begin() as connection:
        assert crawls.stop(connection, crawl)

    if leave == "put_off":
        rows.put_off(job, "the page answered 500")
    elif leave == "give_back":
        rows.give_back(job)
    run_out(engine, rows)

    assert rows.next() is None
    with engine.connect() as connection:
        found = jobs.one(connection, job.id)
    why = {"put_off": "the page answered 500", "give_back": "its crawl was stopped", "dies": jobs.DIED}
    assert found and (found["state"], found["error"]) == ("failed", why[leave])
    assert found["attempts"] <= 1
    assert state(engine, crawl)["state"] == "stopped"


@pytest.mark.parametrize("foreign", [b"no id", b"\xff\xfe", b""])
def test_what_is_no_id_among_the_offers_is_passed_by(
    engine: Engine, redis: Redis, rows: repository.Rows, foreign: bytes
) -> None:
    redis.zadd(jobs.QUEUE, {foreign: 0})
    with engine.begin() as connection:
        job = jobs.add(connection, f"{SITE}/", "U")

    assert taken(rows).id == job


# Politeness, across workers.


def test_a_site_has_one_job_at_a_time_whichever_worker_asks(engine: Engine, redis: Redis) -> None:
    one, other = (repository.Rows(engine, redis, NONE) for _ in range(2))
    with engine.begin() as connection:
        for url in (f"{SITE}/1", "HTTPS://UNI.EXAMPLE/2", f"{SITE}/3", "https://other.example/"):
            jobs.add(connection, url, "U")

    running = {job.site: job for job in (taken(one), taken(other))}

    assert set(running) == {"uni.example", "other.example"}
    assert (one.next(), other.next()) == (None, None)
    one.keep(running["uni.example"], Reading((Found("A1", "A"),)))
    assert taken(other).site == "uni.example"


def test_a_site_under_another_spelling_is_the_same_site(engine: Engine, redis: Redis) -> None:
    polite = repository.Rows(engine, redis, timedelta(minutes=10))
    with engine.begin() as connection:
        for url in ("https://uni.example/1", "https://uni.example:443/2", "https://Uni.Example./3"):
            jobs.add(connection, url, "U")

    assert taken(polite).site == "uni.example"
    assert polite.next() is None


def test_a_catalogue_is_one_and_its_first_page_is_one_however_its_site_is_spelled(
    engine: Engine, rows: repository.Rows
) -> None:
    with engine.begin() as connection:
        kept = [
            crawls.keep(connection, crawls.Source("U", "html", url, Rules()))
            for url in ("HTTPS://UNI.EXAMPLE:443/list", f"{SITE}/list")
        ]
        assert kept[0] and kept[1] is None
        as_older_code_kept_it = {"url": "https://uni.example.:443/list"}
        connection.execute(text("update sources set url = :url"), as_older_code_kept_it)
        crawl = crawls.begin(connection, kept[0], NONE)
    assert crawl
    first = taken(rows)
    assert (first.url, first.site) == (f"{SITE}/list", "uni.example")

    rows.keep(first, Reading((), links("list", "1")))

    assert state(engine, crawl)["pages"] == 2


def test_a_site_is_left_alone_for_the_pause_and_for_the_longer_one_that_it_wants(engine: Engine, redis: Redis) -> None:
    polite = repository.Rows(engine, redis, timedelta(minutes=10))
    wished(engine, 3)
    first = taken(polite)
    assert 300 < until_asked(engine) <= 600
    polite.pace(first.site, 3600.0)
    polite.give_up(first, "gone")
    assert polite.next() is None
    assert 3300 < until_asked(engine) <= 3600
    passes(engine, "1 h")

    polite.give_up(taken(polite), "gone")

    assert 3300 < until_asked(engine) <= 3600


def test_a_site_that_wants_no_longer_pause_any_more_is_given_the_usual_one(engine: Engine, redis: Redis) -> None:
    polite = repository.Rows(engine, redis, timedelta(minutes=10))
    wished(engine, 2)
    first = taken(polite)
    polite.pace(first.site, 3600.0)
    polite.pace(first.site, 0.0)
    polite.give_up(first, "gone")
    assert 3300 < until_asked(engine) <= 3600
    passes(engine, "1 h")

    polite.give_up(taken(polite), "gone")

    assert 300 < until_asked(engine) <= 600


def test_a_named_host_needs_no_pause(engine: Engine, redis: Redis) -> None:
    ours = repository.Rows(engine, redis, timedelta(seconds=60), frozenset({"127.0.0.1"}))
    wished(engine, 2, "http://127.0.0.1:8080")

    ours.give_up(taken(ours), "gone")
    ours.give_up(taken(ours), "gone")


def test_jobs_are_found_without_redis(engine: Engine) -> None:
    nowhere = Redis.from_url("redis://127.0.0.1:1/0")
    with engine.begin() as connection:
        jobs.add(connection, f"{SITE}/", "U")

    assert repository.Rows(engine, nowhere, NONE).next() is not None


def until_asked(engine: Engine) -> float:
    """Tell in how many seconds the site may be asked again."""
    with engine.connect() as connection:
        return float(connection.scalar(text("select extract(epoch from next_at - now()) from sites")))


def passes(engine: Engine, time: str) -> None:
    """Let time pass for the site."""
    with engine.begin() as connection:
        connection.execute(text("update sites set next_at = next_at - cast(:t as interval)"), {"t": time})


# Over HTTP, and with all parts real.

WISH = {"university": "Southlea College", "kind": "sitemap", "url": "https://southlea.example/sitemap.xml"}


def test_a_catalogue_is_kept_once_listed_crawled_and_stopped(client: TestClient) -> None:
    kept = client.post("/api/admin/sources", json={**WISH, "rules": {"follow": "/units/"}}, headers=ADMIN)
    again = client.post("/api/admin/sources", json=WISH, headers=ADMIN)
    listed = client.get("/api/admin/sources", headers=ADMIN).json()["sources"]
    crawl = client.post(f"/api/admin/sources/{kept.json()['source']}/crawl", headers=ADMIN)
    stopped = client.post(f"/api/admin/crawls/{crawl.json()['crawl']}/stop", headers=ADMIN)

    assert (kept.status_code, again.status_code, crawl.status_code) == (201, 409, 202)
    assert [(one["id"], one["rules"]["follow"]) for one in listed] == [(kept.json()["source"], "/units/")]
    assert (stopped.json()["state"], stopped.json()["pages"]) == ("stopped", 0)
    assert client.get(f"/api/admin/crawls/{crawl.json()['crawl']}", headers=ADMIN).json() == stopped.json()


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"url": url}
            for url in ("http://127.0.0.1/", "file:///etc/passwd", "http://169.254.169.254/", "x", "http://[")
        ),
        *(
            {"rules": {name: value}}
            for name, value in (("follow", "(a)\\1"), ("code_pattern", "("), ("code", "x" * 301))
        ),
        *(
            {"url": "https://u.example/{code}", "span": span}
            for span in ("COMP0-999999999", "COMP2-1", "x", "COMP1-2 ")
        ),
        *({"kind": "telepathy"}, {"most_pages": 5001}, {"most_pages": 0}, {"university": ""}, {"university": "a\x00b"}),
        *({"span": "COMP1-2"}, {"rules": {"follow_kind": "x"}}, {"rules": []}, {"rules": {"title": "\ud800"}}),
        *({"rules": {"title": "a\x07"}}, {"url": "https://u.example/" + "x" * 2000}, {"most_pages": "many"}),
    ],
    ids=lambda wrong: json.dumps(wrong)[:60],
)
def test_a_catalogue_that_could_do_harm_is_refused_and_not_kept(client: TestClient, wrong: dict[str, Any]) -> None:
    body = json.dumps({**WISH, **wrong}).encode()

    answer = client.post("/api/admin/sources", content=body, headers={**ADMIN, "Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert client.get("/api/admin/sources", headers=ADMIN).json()["sources"] == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://10.0.0.1/", "http://u:p@uni.example/", "http://localhost/"]
)
def test_a_scrape_of_an_address_inside_is_refused_and_not_put_down(
    client: TestClient, engine: Engine, url: str
) -> None:
    answer = client.post("/api/admin/scrape", json={"url": url, "university": "U"}, headers=ADMIN)

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from jobs")) == 0


@pytest.mark.parametrize("path", ["sources", "crawls/00000000-0000-4000-8000-000000000000"])
def test_catalogues_are_closed_without_the_token_and_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    assert client.get(f"/api/admin/{path}").status_code == 401
    assert client.get("/api/admin/crawls/00000000-0000-4000-8000-000000000000", headers=ADMIN).status_code == 404
    assert (
        client.post("/api/admin/sources/00000000-0000-4000-8000-000000000000/crawl", headers=ADMIN).status_code == 404
    )


def test_a_sitemap_is_crawled_to_its_units_by_a_real_worker_that_is_killed_on_the_way(
    start: Start, cluster: Cluster, database: str, redis_url: str
) -> None:
    with web.served() as site:
        door = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url)
        outline = {
            "units": "main",
            "code": "h1",
            "code_pattern": "^[A-Z]+[0-9]+",
            "title": "h1",
            "follow": "/units/2027/[A-Z]",
        }
        rules = {**outline, "follow": "/units/2027/[A-Z]"}
        wish = {**WISH, "url": f"{site.url}/sitemap.xml", "rules": rules}
        source = json.loads(door.post("/api/admin/sources", wish, **ADMIN)[2])["source"]
        crawl = json.loads(door.post(f"/api/admin/sources/{source}/crawl", {}, **ADMIN)[2])["crawl"]
        worker = start("worker", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url, SCRAPE_BROWSERS="1")
        wait_until(lambda: any(path.startswith("/units/") for path in site.paths))
        worker.process.kill()
        worker.process.wait()
        cluster.sql("update jobs set lease_until = now() - interval '1 s' where state = 'running'", database)

        start("worker", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url, SCRAPE_BROWSERS="1")
        told = lambda: json.loads(door.get(f"/api/admin/crawls/{crawl}", **ADMIN)[2])  # noqa: E731
        wait_until(lambda: told()["state"] == "done")

    # The index, two sitemaps, and three units that both name.
    assert (told()["pages"], told()["done"], told()["units"]) == (6, 6, 3)
    assert json.loads(door.get("/api/units?search=SLMA200")[2])["units"][0]["title"] == "SLMA200: Study of SLMA200"
