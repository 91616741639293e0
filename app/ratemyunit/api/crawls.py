"""Catalogues and crawls of them, for an admin: keep a catalogue, begin a crawl, see how it stands, stop it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ratemyunit import catalogues, crawls
from ratemyunit.api.parts import ADMIN_ONLY, NO_NUL, Asked, Pool
from ratemyunit.problems import documented
from ratemyunit.scraper import addresses, ranges
from ratemyunit.scraper.rules import LONGEST_RULE, Rules
from ratemyunit.settings import Scraping

router = APIRouter(prefix="/api/admin", dependencies=[ADMIN_ONLY])

Kind = Literal["html", "embedded", "json", "sitemap"]
Rule = Annotated[str, Field(max_length=LONGEST_RULE, pattern=NO_NUL)]


class Reading(BaseModel):
    """How a catalogue is read: CSS selectors for HTML, names joined by dots for JSON, RE2 patterns; empty is usual."""

    units: Rule = ""
    code: Rule = ""
    title: Rule = ""
    description: Rule = ""
    next: Rule = ""
    script: Rule = ""
    follow: Rule = ""
    follow_kind: Kind = "html"
    code_pattern: Rule = ""


class Wish(BaseModel):
    """A catalogue as an admin describes it. With a span, such as COMP1000-1999, the URL has `{code}` in it once."""

    university: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    kind: Kind
    url: Annotated[str, Field(min_length=1, max_length=addresses.LONGEST_URL, pattern=NO_NUL)]
    span: Annotated[str, Field(max_length=40, pattern=NO_NUL)] = ""
    rules: Reading = Reading()
    most_pages: Annotated[int, Field(ge=1, le=crawls.MOST_PAGES)] = 1_000


class Source(Wish):
    """A catalogue that is kept."""

    id: UUID
    created_at: datetime


class Sources(BaseModel):
    """A page of catalogues; `next` is the `after` of the page behind it, null on the last."""

    sources: list[Source]
    next: UUID | None


class Crawl(BaseModel):
    """How a crawl stands: its pages so far, how many of them were read or given up, and the units that they showed."""

    id: UUID
    source_id: UUID
    state: Literal["running", "done", "stopped"]
    started_at: datetime
    ended_at: datetime | None
    pages: int
    done: int
    failed: int
    units: int


@router.get("/sources")
def listed(pool: Pool, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50) -> Sources:
    """List the catalogues by university."""
    with pool.connect() as connection:
        found = catalogues.listed(connection, most=limit + 1, after=after)
    page = [Source(**source) for source in found[:limit]]
    return Sources(sources=page, next=page[-1].id if len(found) > limit else None)


@router.post("/sources", status_code=201, responses=documented(409, 422))
def keep(wish: Wish, pool: Pool, settings: Asked) -> dict[str, UUID]:
    """Keep a catalogue, once its address, its span and its patterns are seen to be harmless."""
    rules = Rules(**wish.rules.model_dump())
    refuse_harm(wish, rules, settings.scraping)
    source = crawls.Source(wish.university, wish.kind, wish.url, rules, wish.span, wish.most_pages)
    with pool.begin() as connection:
        kept = crawls.keep(connection, source)
    if kept is None:
        raise HTTPException(409, "this university has a catalogue at this address already")
    return {"source": kept}


@router.post("/sources/{source_id}/crawl", status_code=202, responses=documented(404))
def begin(source_id: UUID, pool: Pool, settings: Asked) -> dict[str, UUID]:
    """Begin a crawl; where one of this catalogue runs already, that is the answer."""
    with pool.begin() as connection:
        crawl = crawls.begin(connection, source_id, settings.scraping.pause)
    if crawl is None:
        raise HTTPException(404, "there is no such catalogue")
    return {"crawl": crawl}


@router.get("/crawls/{crawl_id}", responses=documented(404))
def shown(crawl_id: UUID, pool: Pool) -> Crawl:
    """Tell how a crawl stands."""
    with pool.begin() as connection:
        return _shown(crawls.one(connection, crawl_id))


@router.post("/crawls/{crawl_id}/stop", responses=documented(404))
def stop(crawl_id: UUID, pool: Pool) -> Crawl:
    """Stop a crawl: a page in hand is finished, no other is begun."""
    with pool.begin() as connection:
        crawls.stop(connection, crawl_id)
        return _shown(crawls.one(connection, crawl_id))


def refuse_harm(wish: Wish, rules: Rules, scraping: Scraping) -> None:
    """Look at everything in a wish that could make the scraper do harm.

    Raises:
        HTTPException: 422, with what is wrong in words.
    """
    try:
        rules.check()
        if wish.span:
            url = next(ranges.urls(wish.url, wish.span))
            ranges.count(wish.span)
        else:
            url = wish.url
        addresses.Guard(scraping.named_hosts, url).admit(url)
    except (ValueError, addresses.AddressRefused) as why:
        raise HTTPException(422, str(why)) from why


def _shown(found: Any) -> Crawl:
    if found is None:
        raise HTTPException(404, "there is no such crawl")
    return Crawl(**found)
