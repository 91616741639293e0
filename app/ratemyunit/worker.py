"""Role `worker`: take jobs, open pages, store units; on SIGTERM finish the job in hand or give it back."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest
from redis import Redis, RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ratemyunit import database, health, jobs, logs, pauses, settings, units
from ratemyunit.catalogue import Catalogues

JOB_DEADLINE = 45
# After SIGTERM the job in hand may go on for this long; a page that takes longer is given back.
LAST_JOB_GRACE = 8
IDLE = 1.0

JOBS = Counter("scrape_jobs_total", "Scrape jobs by how they ended", ["outcome"])
PAGES = Gauge("scrape_open_pages", "Pages open in the browser")

log = logging.getLogger("ratemyunit.worker")


def run() -> int:
    """Work until told to stop; answer the exit code."""
    logs.start("INFO", role="worker")
    try:
        asked = settings.read()
    except settings.SettingsWrong as why:
        log.error("settings are wrong: %s", why)
        return 2
    logs.start(asked.log_level, role="worker", release=asked.version)
    health_door = _serve_health(asked)
    try:
        asyncio.run(_work(asked))
    finally:
        health_door.shutdown()
    log.info("stopped")
    return 0


async def _work(asked: settings.Settings) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    engine = database.engine(asked.database_url, pool=2, application="ratemyunit-worker")
    redis = health.open_redis(asked.redis_url)
    async with Catalogues(asked.chromium) as catalogues:
        log.info("working", extra={"fields": {"version": asked.version}})
        worker = Worker(engine, redis, catalogues, stop)
        await worker.until_stopped()
    engine.dispose()
    redis.close()


class Worker:
    """One job at a time."""

    def __init__(self, engine: Engine, redis: Redis, catalogues: Catalogues, stop: asyncio.Event) -> None:
        self._engine = engine
        self._redis = redis
        self._catalogues = catalogues
        self._stop = stop
        self._paused = False

    async def until_stopped(self) -> None:
        """Take the next job, or wait a little, until stop is set."""
        while not self._stop.is_set():
            try:
                job = await asyncio.to_thread(self._next)
            except (SQLAlchemyError, RedisError, OSError) as why:
                log.warning("cannot look for work", extra={"fields": {"kind": type(why).__name__}})
                job = None
            if job is not None:
                await self._one(job)
            else:
                await _wait(self._stop, IDLE)

    def _next(self) -> jobs.Job | None:
        if self._is_paused():
            return None
        offered = self._redis.zpopmin(jobs.QUEUE)
        if not offered:
            with self._engine.connect() as connection:
                jobs.refill(connection, self._redis)
            offered = self._redis.zpopmin(jobs.QUEUE)
        if not offered:
            return None
        with self._engine.begin() as connection:
            return jobs.claim(connection, UUID(str(offered[0][0])))

    def _is_paused(self) -> bool:
        with self._engine.connect() as connection:
            found = pauses.current(connection)
        if self._paused != bool(found):
            self._paused = bool(found)
            log.info("paused" if found else "working again")
        return self._paused

    async def _one(self, job: jobs.Job) -> None:
        with logs.about(job=str(job.id)):
            await self._try(job)

    async def _try(self, job: jobs.Job) -> None:
        began = time.monotonic()
        reading = asyncio.create_task(self._read(job))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({reading, stopping}, timeout=JOB_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set() and not reading.done():
            await asyncio.wait({reading}, timeout=LAST_JOB_GRACE)
        stopping.cancel()
        unfinished = not reading.done()
        if unfinished:
            reading.cancel()
        end = (await asyncio.gather(reading, return_exceptions=True))[0]
        if unfinished:
            await self._catalogues.drop_browser()
        outcome, leave = self._judge(job, end, unfinished)
        JOBS.labels(outcome).inc()
        PAGES.set(self._catalogues.open_pages)
        log.info("scrape", extra={"fields": _scrape(job, outcome, time.monotonic() - began)})
        await asyncio.to_thread(self._leave, leave)

    async def _read(self, job: jobs.Job) -> int:
        found = await self._catalogues.read(job.url)
        return await asyncio.to_thread(self._store, job, found)

    def _store(self, job: jobs.Job, found: list[units.Found]) -> int:
        # Units and the job's end are one transaction: nobody sees a done job without its units.
        with self._engine.begin() as connection:
            stored = units.store(connection, job.university, found)
            jobs.finish(connection, job, stored)
        return stored

    def _judge(self, job: jobs.Job, end: object, unfinished: bool) -> tuple[str, Callable[[Any], None] | None]:
        if unfinished and self._stop.is_set():
            return "given back", lambda connection: jobs.give_back(connection, job)
        if unfinished:
            return "too slow", lambda connection: jobs.fail(connection, job, f"no end within {JOB_DEADLINE} s")
        if isinstance(end, BaseException):
            why = (str(end).splitlines() or [""])[0]
            return "failed", lambda connection: jobs.fail(connection, job, f"{type(end).__name__}: {why}")
        return "done", None

    def _leave(self, leave: Callable[[Any], None] | None) -> None:
        if leave is None:
            return
        try:
            with self._engine.begin() as connection:
                leave(connection)
        except SQLAlchemyError:
            log.warning("the job's end could not be written; its lease will run out and it is due again")


def _scrape(job: jobs.Job, outcome: str, seconds: float) -> dict[str, object]:
    """Say how a job ended, for who counts: one given back has not succeeded and has not failed."""
    ok = None if outcome == "given back" else outcome == "done"
    return {"event": "scrape", "ok": ok, "outcome": outcome, "ms": round(seconds * 1000), "attempt": job.attempts}


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _serve_health(asked: settings.Settings) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer((asked.http_host, asked.http_port), _Health)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/livez":
            self._answer(200, "application/json", b'{"live":true}')
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
        else:
            self._answer(404, "application/json", b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing: the worker logs jobs, not probes."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
