"""Catalogues and crawls in PostgreSQL. A crawl is a row, its pages are jobs: killed in the middle, it goes on where it
was, since a page that was read is done and one that was not is due.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from ratemyunit import sites
from ratemyunit.schema import crawl_pages, crawls, jobs, sources
from ratemyunit.scraper import ranges
from ratemyunit.scraper.addresses import spelled
from ratemyunit.scraper.port import Link
from ratemyunit.scraper.rules import Rules

MOST_PAGES = 5_000


@dataclass(frozen=True)
class Source:
    """A catalogue as an admin describes it. With a span, such as COMP1000-1999, the URL has `{code}` in it."""

    university: str
    kind: str
    url: str
    rules: Rules
    span: str = ""
    most_pages: int = 1_000


def keep(connection: Connection, source: Source) -> UUID | None:
    """Keep a catalogue; None where this university has one at this URL already."""
    row = {**asdict(source), "url": spelled(source.url)}
    put = postgresql.insert(sources).values(row).on_conflict_do_nothing().returning(sources.c.id)
    kept: UUID | None = connection.execute(put).scalar_one_or_none()
    return kept


def begin(connection: Connection, source: UUID, pause: timedelta) -> UUID | None:
    """Begin a crawl and put its first pages down; the one that runs already, where one does; None without a source."""
    found = connection.execute(select(sources).where(sources.c.id == source)).mappings().first()
    if found is None:
        return None
    put = postgresql.insert(crawls).values(source_id=source).on_conflict_do_nothing().returning(crawls.c.id)
    crawl: UUID | None = connection.execute(put).scalar_one_or_none()
    if crawl is None:
        running = select(crawls.c.id).where(crawls.c.source_id == source, crawls.c.state == "running")
        return connection.execute(running).scalar_one_or_none()
    add_pages(connection, crawl, _first_pages(found), pause)
    return crawl


def add_pages(connection: Connection, crawl: UUID, links: Iterable[Link], pause: timedelta) -> int:
    """Put pages down as jobs, each URL once a crawl, up to what the source allows; answer how many are new.

    They become due one after the other, a pause apart: a long crawl is then no heap of late jobs.
    """
    # The row keeps two pages of one crawl from filling the same last place, and a stop from being overlooked.
    query = select(sources.c.university, sources.c.most_pages).join(crawls)
    query = query.where(crawls.c.id == crawl, crawls.c.state == "running").with_for_update(of=crawls)
    source = connection.execute(query).first()
    if source is None:
        return 0
    rows = _fresh(connection, crawl, links, source.most_pages)
    if not rows:
        return 0
    first = _next_due(connection, crawl)
    pause = max(pause, sites.asked_pause(connection, rows[0]["url"]))
    connection.execute(insert(crawl_pages), rows)
    put = [
        {"id": row["job_id"], "url": row["url"], "university": source.university, "not_before": first + place * pause}
        for place, row in enumerate(rows)
    ]
    connection.execute(insert(jobs), put)
    return len(rows)


def one(connection: Connection, crawl: UUID) -> Mapping[str, Any] | None:
    """Tell how a crawl stands: its pages by state, and the units they showed."""
    found = connection.execute(select(crawls).where(crawls.c.id == crawl)).mappings().first()
    if found is None:
        return None
    pages = select(
        func.count().label("pages"),
        func.count().filter(jobs.c.state == "done").label("done"),
        func.count().filter(jobs.c.state == "failed").label("failed"),
        func.coalesce(func.sum(jobs.c.units_found), 0).label("units"),
    ).select_from(crawl_pages.join(jobs, jobs.c.id == crawl_pages.c.job_id))
    counted = connection.execute(pages.where(crawl_pages.c.crawl_id == crawl)).mappings().one()
    return {**found, **counted}


def of_job(connection: Connection, job: UUID) -> RowMapping | None:
    """Find what a job needs to know of its crawl: id and state, its page's kind, the catalogue's rules."""
    query = select(crawl_pages.c.crawl_id, crawls.c.state, crawl_pages.c.kind, sources.c.rules)
    query = query.join(crawls, crawls.c.id == crawl_pages.c.crawl_id).join(sources)
    return connection.execute(query.where(crawl_pages.c.job_id == job)).mappings().first()


def stop(connection: Connection, crawl: UUID) -> bool:
    """Stop a crawl: pages that nobody has begun are taken away; answer whether it ran until now.

    A page in hand is finished. Where that fails it is not tried again: `jobs.claim` sees to it.
    """
    ended = update(crawls).where(crawls.c.id == crawl, crawls.c.state == "running")
    if not connection.execute(ended.values(state="stopped", ended_at=func.now())).rowcount:
        return False
    pages = select(crawl_pages.c.job_id).where(crawl_pages.c.crawl_id == crawl)
    connection.execute(delete(jobs).where(jobs.c.id.in_(pages), jobs.c.state == "queued"))
    return True


def end_finished(connection: Connection) -> int:
    """End the crawls of which no page is left to read; answer how many."""
    left = select(jobs.c.id).join(crawl_pages, crawl_pages.c.job_id == jobs.c.id)
    left = left.where(crawl_pages.c.crawl_id == crawls.c.id, jobs.c.state.in_(("queued", "running")))
    over = update(crawls).where(crawls.c.state == "running", ~left.exists())
    return int(connection.execute(over.values(state="done", ended_at=func.now())).rowcount)


def _first_pages(source: RowMapping) -> list[Link]:
    urls = ranges.urls(source["url"], source["span"]) if source["span"] else [source["url"]]
    return [Link(spelled(url), source["kind"]) for url in urls]


def _fresh(connection: Connection, crawl: UUID, links: Iterable[Link], most: int) -> list[dict[str, Any]]:
    """Make rows of the links that this crawl does not have yet, as many as there is room for."""
    asked = {link.url: link for link in links}
    of_crawl = select(crawl_pages.c.url).where(crawl_pages.c.crawl_id == crawl)
    there = set(connection.execute(of_crawl).scalars())
    fresh = islice((link for url, link in asked.items() if url not in there), max(0, most - len(there)))
    return [{"crawl_id": crawl, "url": link.url, "kind": link.kind, "job_id": uuid4()} for link in fresh]


def _next_due(connection: Connection, crawl: UUID) -> datetime:
    """Tell when the next page may be due: after those that wait already."""
    pages = select(crawl_pages.c.job_id).where(crawl_pages.c.crawl_id == crawl)
    last = select(func.max(jobs.c.not_before)).where(jobs.c.id.in_(pages), jobs.c.state == "queued")
    due: datetime = connection.execute(select(func.greatest(func.now(), last.scalar_subquery()))).scalar_one()
    return due
