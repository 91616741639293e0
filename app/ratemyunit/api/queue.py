"""The queue as an operator sees it: how it stands, pause it, let it run."""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from ratemyunit import jobs, pauses
from ratemyunit.api.parts import ADMIN_ONLY, NO_NUL, Pool

router = APIRouter(prefix="/api/admin/queue", dependencies=[ADMIN_ONLY])

log = logging.getLogger("ratemyunit.api")


class Pausing(BaseModel):
    """An operator's wish: pause the queue, in this name and for this reason."""

    by: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    because: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = ""


class Resuming(BaseModel):
    """An operator's wish: let the queue run."""

    by: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class Queue(BaseModel):
    """How the queue stands, and who paused it, if anybody did."""

    waiting: int
    running: int
    later: int
    failed: int
    oldest_s: float
    paused: bool
    paused_by: str | None
    paused_at: datetime | None
    because: str | None


@router.get("/status")
def status(response: Response, pool: Pool) -> Queue:
    """Tell how the queue stands."""
    response.headers["Cache-Control"] = "no-store"
    with pool.connect() as connection:
        return _how_it_stands(connection)


@router.post("/pause")
def pause(wish: Pausing, pool: Pool) -> Queue:
    """Let no worker take a job from now on."""
    with pool.begin() as connection:
        changed = pauses.pause(connection, wish.by, wish.because)
        stands = _how_it_stands(connection)
    log.info("queue paused", extra={"fields": {"event": "queue paused", "changed": changed}})
    return stands


@router.post("/resume")
def resume(wish: Resuming, pool: Pool) -> Queue:
    """Let workers take jobs again."""
    with pool.begin() as connection:
        changed = pauses.resume(connection)
        stands = _how_it_stands(connection)
    log.info("queue resumed", extra={"fields": {"event": "queue resumed", "changed": changed}})
    return stands


def _how_it_stands(connection: Connection) -> Queue:
    found = pauses.current(connection) or {"paused_by": None, "paused_at": None, "because": None}
    paused = found["paused_by"] is not None
    return Queue(**asdict(jobs.counts(connection)), paused=paused, **found)
