"""Scrapes that an admin asks for."""

import logging
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AnyHttpUrl, BaseModel, Field
from redis import RedisError
from starlette.exceptions import HTTPException

from ratemyunit import jobs
from ratemyunit.api.parts import ADMIN_ONLY, NO_NUL, Asked, Cache, Pool
from ratemyunit.problems import documented
from ratemyunit.scraper.addresses import AddressRefused, Guard

router = APIRouter(prefix="/api/admin", dependencies=[ADMIN_ONLY])

log = logging.getLogger("ratemyunit.api")


class Scrape(BaseModel):
    """An admin's wish: scrape this catalogue page for this university."""

    url: Annotated[AnyHttpUrl, Field(max_length=2000)]
    university: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class Job(BaseModel):
    """A job as it stands. `error` is why its last try failed; `units_found` how many units its page showed."""

    id: UUID
    url: str
    university: str
    state: Literal["queued", "running", "done", "failed"]
    attempts: int
    not_before: datetime
    lease_until: datetime | None
    error: str | None
    units_found: int | None
    created_at: datetime


@router.post("/scrape", status_code=202)
def scrape(wish: Scrape, pool: Pool, redis: Cache, settings: Asked) -> dict[str, UUID]:
    """Put a scrape down as a job, and offer it to the workers."""
    try:
        Guard(settings.scraping.named_hosts, str(wish.url)).admit(str(wish.url))
    except AddressRefused as why:
        raise HTTPException(422, str(why)) from why
    with pool.begin() as connection:
        job = jobs.add(connection, str(wish.url), wish.university)
    try:
        jobs.push(redis, [job])
    except RedisError:
        log.warning("job is stored but not offered; a worker will find it")
    return {"job": job}


@router.get("/jobs/{job_id}", responses=documented(404))
def job(job_id: UUID, pool: Pool) -> Job:
    """Show one job."""
    with pool.connect() as connection:
        found = jobs.one(connection, job_id)
    if found is None:
        raise HTTPException(404, "there is no such job")
    return Job(**found)
