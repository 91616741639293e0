"""Role `api`: the application. Routes are thin and live in a module per subject; each asks one module one question."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio.to_thread
from fastapi import FastAPI

from ratemyunit import database, fixture, guard, health, schema, web
from ratemyunit.answers import Answers
from ratemyunit.api import account, admin, auth, crawls, documents, operations, queue, ratings, reviews, units, users
from ratemyunit.api.heads import Heads
from ratemyunit.problems import answer_problems
from ratemyunit.settings import Settings
from ratemyunit.watch import Watch

# Threads that run queries; a few more than the pool, so that one slow query does not hold up a readiness check.
THREADS = 16
# A caller has long gone when a statement takes so long; what waits behind a migration's lock (2 s) may still come.
PATIENCE = timedelta(seconds=5)

log = logging.getLogger("ratemyunit.api")


def create(settings: Settings) -> FastAPI:
    """Build the application; nothing is connected before the first request needs it."""
    engine = database.engine(settings.database_url, sharers=settings.database_sharers, patience=PATIENCE)
    redis = health.open_redis(settings.redis_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        log.info("listening", extra={"fields": {"version": settings.version, "schema_head": schema.HEAD}})
        yield
        engine.dispose()
        redis.close()
        app.state.answers.close()
        await app.state.counters.close()
        log.info("pools closed")

    app = FastAPI(
        title="RateMyUnit",
        version=settings.version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Such a redirect names the scheme of this hop, http, and a client would repeat its body there in the clear.
        redirect_slashes=False,
    )
    app.state.settings, app.state.engine, app.state.redis = settings, engine, redis
    app.state.reading = engine.execution_options(isolation_level="AUTOCOMMIT")
    app.state.answers = Answers(settings)
    app.add_middleware(Heads)
    guard.install(app, settings)
    app.add_middleware(Watch, release=settings.version)
    answer_problems(app)
    for subject in (operations, units, ratings, auth, account, admin, crawls, queue, users, reviews):
        app.include_router(subject.router)
    web.add(app)
    if settings.fixture_catalogue:
        app.include_router(fixture.router)
    documents.complete(app)
    return app
