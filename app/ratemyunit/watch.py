"""What every request leaves behind: one JSON log line and the figures of /metrics."""

import logging
import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratemyunit import logs, slo

REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "http_request_seconds", "Time to answer", ["route"], buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

log = logging.getLogger("ratemyunit.access")


def release_field(release: str) -> tuple[bytes, bytes]:
    """Spell the field by which every answer names the release that gave it."""
    return b"x-rmu-release", release.encode("latin-1", "replace")


class Watch:
    """ASGI middleware; the query string stays out of the log, since people type names into it.

    The request's id comes from the proxy, and each answer tells it the release, for its own line.
    """

    def __init__(self, app: ASGIApp, release: str) -> None:
        self._app = app
        self._release = release_field(release)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), self._release]}
            await send(message)

        with logs.about(request_id=logs.request_id(_header(scope, b"x-request-id"))):
            try:
                await self._app(scope, receive, noting)
            finally:
                _note(scope, status, time.perf_counter() - began)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _note(scope: Scope, status: int, seconds: float) -> None:
    # The route's template and the known methods only: callers must not be able to invent label values.
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)
    slo.request(route, status, seconds)
    if route in slo.PROBES and status < 400:
        return
    fields = {"method": method, "path": scope["path"][:200], "status": status, "ms": round(seconds * 1000, 1)}
    log.info("request", extra={"fields": fields})
