"""Role `worker`: wires the scraper to its database, its Redis and its browsers, and stops it when told to."""

import asyncio
import logging
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ratemyunit import database, health, logs, settings, stopping
from ratemyunit.repository import Rows
from ratemyunit.scraper.browsers import Bounds, Pool
from ratemyunit.scraper.loop import Limits, Scraper

LAST = 27
"""In seconds, how long a stop may take. What hangs in a thread cannot be ended, and Python would wait for it."""

log = logging.getLogger("ratemyunit.worker")


def run() -> int:
    """Work until told to stop; answer the exit code."""
    logs.start("INFO", role="worker")
    try:
        asked = settings.read()
    except settings.SettingsWrong as why:
        log.error("settings are wrong: %s", why)
        return 2
    # A page's browser has no need of what is in it.
    settings.forget()
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
        asyncio.get_running_loop().add_signal_handler(name, _begin_the_end, stop)
    scraping = asked.scraping
    engine = database.engine(
        asked.database_url, pool=2, application="ratemyunit-worker", sharers=asked.database_sharers
    )
    redis = health.open_redis(asked.redis_url)
    rows = Rows(engine, redis, scraping.pause, scraping.named_hosts)
    async with Pool(asked.chromium, Bounds(most=scraping.browsers)) as browsers:
        log.info("working", extra={"fields": {"version": asked.version}})
        limits = Limits(scraping.page_seconds, scraping.named_hosts)
        await Scraper(rows, browsers, stop, limits).until_stopped(lanes=scraping.browsers)
    engine.dispose()
    redis.close()


def _begin_the_end(stop: asyncio.Event) -> None:
    stop.set()
    stopping.leave_in(LAST)


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
