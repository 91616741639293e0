"""Role `api`: the routes. Thin: each asks one module one question."""

import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AnyHttpUrl, BaseModel, Field
from redis import RedisError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from ratemyunit import database, fixture, health, jobs, pauses, ratings, schema, units
from ratemyunit.problems import answer_problems
from ratemyunit.settings import Settings
from ratemyunit.watch import Watch

# Threads that run queries; a few more than the pool, so that one slow query does not hold up a readiness check.
THREADS = 16
NO_NUL = r"^[^\x00]*$"

log = logging.getLogger("ratemyunit.api")


class Unit(BaseModel):
    """A unit as the API shows it."""

    id: UUID
    code: str
    title: str
    description: str
    university: str
    updated_at: Any


class Rating(BaseModel):
    """A rating as the API shows it."""

    id: UUID
    stars: int
    comment: str
    created_at: Any


class RatedUnit(Unit):
    """A unit with its ratings, newest first."""

    ratings: list[Rating]


class Given(BaseModel):
    """A student's rating. The client makes the id, and sends the same one again when it has heard no answer."""

    id: UUID
    stars: Annotated[int, Field(ge=1, le=5, strict=True)]
    comment: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] = ""


class Units(BaseModel):
    """A search result."""

    units: list[Unit]


class Scrape(BaseModel):
    """An admin's wish: scrape this catalogue page for this university."""

    url: Annotated[AnyHttpUrl, Field(max_length=2000)]
    university: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


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


def create(settings: Settings) -> FastAPI:
    """Build the application; nothing is connected before the first request needs it."""
    engine = database.engine(settings.database_url)
    redis = health.open_redis(settings.redis_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        log.info("listening", extra={"fields": {"version": settings.version, "schema_head": schema.HEAD}})
        yield
        engine.dispose()
        redis.close()
        log.info("pools closed")

    app = FastAPI(title="RateMyUnit", version=settings.version, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings, app.state.engine, app.state.redis = settings, engine, redis
    app.add_middleware(Watch, release=settings.version)
    answer_problems(app)
    _operations(app)
    _units(app)
    _admin(app)
    _queue(app)
    if settings.fixture_catalogue:
        app.get("/fixture/catalogue", response_class=HTMLResponse, include_in_schema=False)(fixture.catalogue)
    return app


def _operations(app: FastAPI) -> None:
    settings: Settings = app.state.settings

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"live": True}

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        seen = health.look(app.state.engine, app.state.redis)
        body = {
            "ready": seen.ready,
            "schema_head": schema.HEAD,
            "database_head": seen.database_head,
            "checks": seen.checks,
        }
        return JSONResponse(body, status_code=200 if seen.ready else 503, headers={"Cache-Control": "no-store"})

    @app.get("/version")
    async def version() -> JSONResponse:
        body = {
            "version": settings.version,
            "digest": settings.digest,
            "host": settings.host,
            "database": settings.database,
            "schema_head": schema.HEAD,
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _units(app: FastAPI) -> None:
    @app.get("/api/units")
    def search(
        search: Annotated[str, Query(max_length=200, pattern=NO_NUL)] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Units:
        with app.state.engine.connect() as connection:
            found = units.search(connection, search, most=limit)
        return Units(units=[Unit(**unit) for unit in found])

    @app.get("/api/units/{unit_id}")
    def unit(unit_id: UUID) -> RatedUnit:
        with app.state.engine.connect() as connection:
            found = units.one(connection, unit_id)
            given = ratings.of(connection, unit_id)
        if found is None:
            raise HTTPException(404, "there is no such unit")
        return RatedUnit(**found, ratings=[Rating(**rating) for rating in given])

    @app.post("/api/units/{unit_id}/ratings", status_code=201)
    def rate(unit_id: UUID, given: Given, response: Response) -> Rating:
        with app.state.engine.begin() as connection:
            taken = ratings.give(connection, ratings.Given(given.id, unit_id, given.stars, given.comment))
            stored = ratings.one(connection, given.id)
        if taken == "no unit" or stored is None:
            raise HTTPException(404, "there is no such unit")
        if taken == "differs":
            raise HTTPException(409, "another rating has this id already; a new rating needs a new id")
        response.status_code = 201 if taken == "new" else 200
        return Rating(**stored)


def _admin(app: FastAPI) -> None:
    @app.post("/api/admin/scrape", status_code=202, dependencies=[Depends(_admin_only)])
    def scrape(wish: Scrape) -> dict[str, UUID]:
        with app.state.engine.begin() as connection:
            job = jobs.add(connection, str(wish.url), wish.university)
        try:
            jobs.push(app.state.redis, [job])
        except RedisError:
            log.warning("job is stored but not offered; the worker's refill will find it")
        return {"job": job}

    @app.get("/api/admin/jobs/{job_id}", dependencies=[Depends(_admin_only)])
    def job(job_id: UUID) -> dict[str, Any]:
        with app.state.engine.connect() as connection:
            found = jobs.one(connection, job_id)
        if found is None:
            raise HTTPException(404, "there is no such job")
        return dict(found)


def _queue(app: FastAPI) -> None:
    admin = [Depends(_admin_only)]

    @app.get("/api/admin/queue/status", dependencies=admin)
    def status(response: Response) -> Queue:
        response.headers["Cache-Control"] = "no-store"
        with app.state.engine.connect() as connection:
            return _how_it_stands(connection)

    @app.post("/api/admin/queue/pause", dependencies=admin)
    def pause(wish: Pausing) -> Queue:
        with app.state.engine.begin() as connection:
            changed = pauses.pause(connection, wish.by, wish.because)
            stands = _how_it_stands(connection)
        log.info("queue paused", extra={"fields": {"event": "queue paused", "changed": changed}})
        return stands

    @app.post("/api/admin/queue/resume", dependencies=admin)
    def resume(wish: Resuming) -> Queue:
        with app.state.engine.begin() as connection:
            changed = pauses.resume(connection)
            stands = _how_it_stands(connection)
        log.info("queue resumed", extra={"fields": {"event": "queue resumed", "changed": changed}})
        return stands


def _how_it_stands(connection: Connection) -> Queue:
    found = pauses.current(connection) or {"paused_by": None, "paused_at": None, "because": None}
    paused = found["paused_by"] is not None
    return Queue(**asdict(jobs.counts(connection)), paused=paused, **found)


def _admin_only(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    token: str = request.app.state.settings.admin_token
    # An unset token admits nobody; the comparison takes the same time wherever the two differ.
    right = hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())
    if not token or not right:
        raise HTTPException(401, "this needs the admin token", headers={"WWW-Authenticate": "Bearer"})
