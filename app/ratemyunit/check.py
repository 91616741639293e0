"""Role `check`: does this code read and write on the schema that is there? Every read and write it knows, in one
transaction that is rolled back: run on a database that serves, it leaves nothing.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ratemyunit import (
    accounts,
    catalogues,
    crawls,
    database,
    jobs,
    logs,
    moderation,
    pauses,
    ratings,
    schema,
    search,
    sessions,
    settings,
    sites,
    units,
)
from ratemyunit.scraper.port import Job, Link
from ratemyunit.scraper.rules import Rules
from ratemyunit.web import assets

P = ParamSpec("P")
T = TypeVar("T")


class Unfit(Exception):
    """The schema itself says that this code cannot run on it, or an answer is not what was written."""


class Tried:
    """What was tried so far, and what is being tried."""

    def __init__(self) -> None:
        self.counts = {"reads": 0, "writes": 0}
        self.now = "connect"

    def reads(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Do one read and count it."""
        return self._try("reads", act, *args, **named)

    def writes(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Do one write and count it."""
        return self._try("writes", act, *args, **named)

    def _try(self, kind: str, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        self.now = f"{act.__module__.rpartition('.')[2]}.{act.__name__}"
        answer = act(*args, **named)
        self.counts[kind] += 1
        return answer


def run() -> int:
    """Try everything; print one JSON line last; answer the exit code."""
    logs.start("WARNING", role="check", release=settings.release())
    try:
        answer = check(settings.database_url())
    except settings.SettingsWrong as why:
        answer = _failed(Tried(), why)
    print(json.dumps(answer), flush=True)
    return 0 if answer["ok"] else 1


def check(url: str) -> dict[str, object]:
    """Do every read and write once and take it all back; answer what worked, and the first that did not."""
    engine = database.engine(url, application="ratemyunit-check")
    tried = Tried()
    try:
        with engine.connect() as connection:
            _everything(connection, tried)
            connection.rollback()
    except (SQLAlchemyError, Unfit) as why:
        return _failed(tried, why)
    finally:
        engine.dispose()
    return {"ok": True, **tried.counts}


def _everything(connection: Connection, tried: Tried) -> None:
    """Go through this code's modules in an order in which each finds what it needs. The rows are new ones, so that
    nobody else waits for them.
    """
    mark = f"rmucheck{uuid4().hex}"
    if why_not := tried.reads(schema.fit, connection).why_not:
        raise Unfit(why_not)
    for text in ("stored, and taken back", "changed, and taken back"):
        tried.writes(units.store, connection, mark, [units.Found(code=mark[:32], title=mark, description=text)])
    unit = _found(tried.reads(search.find, connection, search.Asked(mark), most=1))
    _found(tried.reads(search.find, connection, search.Asked(f"{mark[:20]}x{mark[21:]}"), most=1))
    tried.reads(search.find, connection, search.Asked(), most=1)
    tried.reads(units.one, connection, unit)
    tried.reads(units.all_universities, connection)
    given = ratings.Given(id=uuid4(), unit=unit, stars=5, comment="taken back")
    tried.writes(ratings.give, connection, given)
    _first(tried.reads(ratings.of, connection, unit))
    tried.reads(ratings.one, connection, given.id)
    tried.reads(ratings.spread, connection, unit)
    _accounts(connection, tried, mark, unit)
    _jobs(connection, tried, mark)
    _crawls(connection, tried, mark)
    _assets(connection, tried, mark)


def _accounts(connection: Connection, tried: Tried, mark: str, unit: UUID) -> None:
    tried.writes(accounts.add, connection, f"{mark}@example.org", "no hash")
    user = _there(tried.reads(accounts.by_email, connection, f"{mark}@example.org"))["id"]
    _first(tried.reads(accounts.listed, connection, mark, most=1))
    tried.writes(accounts.set_role, connection, user, "admin")
    token = tried.writes(sessions.start, connection, user)
    _there(tried.reads(sessions.visitor, connection, token))
    given = ratings.Given(id=uuid4(), unit=unit, stars=1, comment="taken back", author=user)
    tried.writes(ratings.give, connection, given)
    tried.reads(moderation.listed, connection, most=1)
    own = _first(tried.reads(ratings.by, connection, user))
    tried.writes(moderation.judge, connection, given.id, own["created_at"], "shown", user)
    tried.writes(ratings.take_back, connection, given.id, user)
    tried.writes(sessions.end, connection, token)
    tried.writes(accounts.lock, connection, user, None)
    tried.writes(sessions.end_all, connection, user)
    tried.writes(accounts.unlock, connection, user)


def _jobs(connection: Connection, tried: Tried, mark: str) -> None:
    tried.writes(pauses.pause, connection, mark, "taken back")
    tried.reads(pauses.current, connection)
    # A queue that is paused gives no job away; this transaction alone sees it run.
    tried.writes(pauses.resume, connection)
    tried.reads(jobs.counts, connection)
    tried.writes(jobs.lapse, connection)
    asked = tried.writes(jobs.add, connection, f"http://127.0.0.1/{mark}", mark)
    tried.reads(jobs.one, connection, asked)
    tried.reads(jobs.due, connection, most=1)
    tried.writes(jobs.give_back, connection, _claimed(tried.writes(jobs.claim, connection, asked)))
    tried.writes(jobs.finish, connection, _claimed(tried.writes(jobs.claim, connection, asked)), 1)
    for end in (jobs.fail, jobs.give_up):
        again = tried.writes(jobs.add, connection, f"http://127.0.0.1/{mark}", mark)
        tried.writes(end, connection, _claimed(tried.writes(jobs.claim, connection, again)), "taken back")


def _crawls(connection: Connection, tried: Tried, mark: str) -> None:
    source = crawls.Source(mark, "html", f"http://{mark}.example/", Rules(title="h1"))
    kept = _there(tried.writes(crawls.keep, connection, source))
    tried.reads(catalogues.listed, connection, most=1, after=kept)
    crawl = _there(tried.writes(crawls.begin, connection, kept, timedelta(0)))
    page = Link(f"http://{mark}.example/2", "html")
    tried.writes(crawls.add_pages, connection, crawl, [page], timedelta(seconds=2))
    _there(tried.reads(crawls.one, connection, crawl))
    tried.writes(sites.pace, connection, f"{mark}.example", 1.0)
    tried.reads(sites.asked_pause, connection, page.url)
    tried.writes(crawls.end_finished, connection)
    tried.writes(crawls.stop, connection, crawl)


def _assets(connection: Connection, tried: Tried, mark: str) -> None:
    tried.writes(assets.publish, connection, [assets.Asset(mark, "text/plain", b"taken back")])
    _there(tried.reads(assets.find, connection, mark))
    # None is so old: the files that serve pages are left alone.
    tried.writes(assets.forget, connection, kept=timedelta(days=36_500))


def _first(found: list[T]) -> T:
    if not found:
        raise Unfit("what was written a moment ago is not found")
    return found[0]


def _found(page: search.Page) -> UUID:
    unit: UUID = _first(list(page.units)).id
    return unit


def _there(found: T | None) -> T:
    return _first([] if found is None else [found])


def _claimed(job: Job | None) -> Job:
    if job is None:
        raise Unfit("a job that was put down a moment ago cannot be claimed")
    return job


def _failed(tried: Tried, why: Exception) -> dict[str, object]:
    # The statement and its parameters, on the lines below the first, stay out.
    first = (str(why).splitlines() or [""])[0][:300]
    return {"ok": False, **tried.counts, "failed": tried.now, "why": first}
