"""How often one client may ask: counted in Redis for all releases and hosts, in this process while Redis is away.

Reading, writing and signing in each have a limit per client; tries at one account have one of their own, since many
clients may share in them. Every answer tells the limit (RateLimit-Policy); when to come back is told to who went
over it (RateLimit, Retry-After), since to ask Redis for that too would cost each search a second trip.
"""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter
from redis import RedisError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratemyunit import problems
from ratemyunit.guard import client
from ratemyunit.guard.origin import SAFE
from ratemyunit.web import assets

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import SlidingWindowCounterRateLimiter as Window

# Nothing is asked for these, nor for this release's own files, which come by the dozen.
FREE = frozenset({"/livez", "/version"})
FILES = "/static/"
DOORS = ("/api/auth/", "/sign-in", "/sign-up")
# Redis answers in a millisecond. One that does not is left alone for a while, so that it holds up one request, not all.
PATIENCE_S = 0.25
PAUSE_S = 5.0

REFUSED = Counter("http_requests_limited_total", "Requests refused because their client asks too often", ["policy"])

log = logging.getLogger("ratemyunit.rates")


@dataclass(frozen=True)
class Standing:
    """How a client stands after a request: whether it may have it, and if not, when to come back."""

    policy: str
    allowed: bool
    quota: int
    window_s: int
    reset_s: int = 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Spell the headers that tell a client how it stands."""
        limit = (b"ratelimit-policy", f'"{self.policy}";q={self.quota};w={self.window_s}'.encode())
        over = (b"ratelimit", f'"{self.policy}";r=0;t={self.reset_s}'.encode())
        return [limit] if self.allowed else [limit, over]


class Counters:
    """The counters of all policies, each a sliding window."""

    def __init__(self, redis_url: str, rates: Mapping[str, str]) -> None:
        self._url = redis_url
        self._rates = rates
        self._items: dict[str, RateLimitItem | None] = {}
        self._windows: tuple[Window, Window] | None = None
        self._redis_again = 0.0

    async def hit(self, policy: str, who: str) -> Standing | None:
        """Count one request; None where the policy has no limit."""
        item = self._item(policy)
        if item is None:
            return None
        shared, own = self._opened()
        if time.monotonic() >= self._redis_again:
            try:
                return await _hit(shared, item, policy, who)
            except (RedisError, OSError) as why:
                self._redis_again = time.monotonic() + PAUSE_S
                log.warning("limits are counted in this process", extra={"fields": {"kind": type(why).__name__}})
        return await _hit(own, item, policy, who)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._windows:
            await self._windows[0].storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    def _item(self, policy: str) -> "RateLimitItem | None":
        if policy not in self._items:
            from limits import parse

            rate = self._rates[policy]
            self._items[policy] = None if rate == "off" else parse(rate)
        return self._items[policy]

    def _opened(self) -> "tuple[Window, Window]":
        # Not at start: the library takes a tenth of a second to load, and the connections belong to the running loop.
        if self._windows is None:
            from limits.aio.storage import MemoryStorage, RedisStorage
            from limits.aio.strategies import SlidingWindowCounterRateLimiter
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            options: dict[str, Any] = {
                "socket_connect_timeout": PATIENCE_S,
                "socket_timeout": PATIENCE_S,
                "retry": Retry(NoBackoff(), 0),
            }
            shared = RedisStorage(f"async+{self._url}", implementation="redispy", key_prefix="rates", **options)
            self._windows = (
                SlidingWindowCounterRateLimiter(shared),
                SlidingWindowCounterRateLimiter(MemoryStorage()),
            )
        return self._windows


class Rates:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its client may ask, and tell how it stands."""
        stands = await self._stands(scope)
        if stands is None:
            await self._app(scope, receive, send)
            return
        headers = stands.headers()

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        if stands.allowed:
            await self._app(scope, receive, telling)
            return
        REFUSED.labels(stands.policy).inc()
        answer = problems.answer(Request(scope), 429, "this is too often; try again later")
        answer.headers["Retry-After"] = str(stands.reset_s)
        await answer(scope, receive, telling)

    async def _stands(self, scope: Scope) -> Standing | None:
        if scope["type"] != "http" or _free(scope["path"]):
            return None
        who = client.of(scope).address
        # None: this host itself. Its own programs are nobody's clients.
        return await self._counters.hit(_policy(scope), who) if who else None


def _free(path: str) -> bool:
    return path in FREE or (path.startswith(FILES) and assets.ours(path.removeprefix(FILES)) is not None)


def _policy(scope: Scope) -> str:
    if scope["method"] in SAFE:
        return "read"
    return "auth" if scope["path"].startswith(DOORS) else "write"


async def _hit(window: "Window", item: "RateLimitItem", policy: str, who: str) -> Standing:
    if await window.hit(item, policy, who):
        return Standing(policy, True, item.amount, item.get_expiry())
    stats = await window.get_window_stats(item, policy, who)
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Standing(policy, False, item.amount, item.get_expiry(), reset)
