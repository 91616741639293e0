"""Sites that are scraped: each is asked by one job at a time, with a pause between two, whichever worker it is."""

from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import jobs, sites

# Computed, not stored: jobs that older code put down have a site too.
OF_JOB: ColumnElement[str] = func.left(func.lower(func.substring(jobs.c.url, "^[A-Za-z]+://([^/?#]*)")), 300)

_others = jobs.alias("others")


def take(connection: Connection, site: str, pause: timedelta) -> bool:
    """Take the site's turn for a job, if it is free and its pause is over; the next turn is a pause away.

    Two workers that come at once are told apart by the row: who finds it locked passes by.
    """
    connection.execute(insert(sites).values(site=site).on_conflict_do_nothing())
    free = select(sites.c.site).where(sites.c.site == site, sites.c.next_at <= func.now(), ~_asked(site))
    if connection.execute(free.with_for_update(skip_locked=True)).first() is None:
        return False
    wanted = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(sites.c.delay_s, 0.0))
    turn = update(sites).where(sites.c.site == site)
    connection.execute(turn.values(next_at=func.now() + func.greatest(wanted, pause)))
    return True


def pace(connection: Connection, site: str, seconds: float) -> None:
    """Remember how long the site wants to be left alone between two pages, which counts from now on."""
    turn = func.now() + timedelta(seconds=seconds)
    put = insert(sites).values(site=site[:300], delay_s=seconds, next_at=turn)
    later = {"delay_s": put.excluded.delay_s, "next_at": func.greatest(sites.c.next_at, put.excluded.next_at)}
    connection.execute(put.on_conflict_do_update(index_elements=["site"], set_=later))


def asked_pause(connection: Connection, url: str) -> timedelta:
    """Tell which pause the site of a URL asked for; none where it did not, or was not asked yet."""
    found = connection.scalar(select(sites.c.delay_s).where(sites.c.site == urlsplit(url).netloc.lower()[:300]))
    return timedelta(seconds=found or 0.0)


def open_to(site: ColumnElement[str]) -> ColumnElement[bool]:
    """Spell the condition that a site may be asked now, as far as is seen without a lock."""
    return ~exists().where(sites.c.site == site, sites.c.next_at > func.now()) & ~_asked(site)


def _asked(site: ColumnElement[str] | str) -> ColumnElement[bool]:
    theirs = func.left(func.lower(func.substring(_others.c.url, "^[A-Za-z]+://([^/?#]*)")), 300)
    return exists().where(_others.c.state == "running", _others.c.lease_until >= func.now(), theirs == site)
