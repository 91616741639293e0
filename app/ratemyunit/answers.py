"""Finished answers, kept in Redis for a while. None is ever stale, whoever wrote, and nobody has to tell anybody.

An answer is kept under what was asked and under the database's own snapshot, which is what a query sees: it changes
with every transaction that writes, of this process, of a worker, of another host or of an older release, and while it
is the same the same question has the same answer. So what is asked first, each time, is the snapshot: a fraction of a
millisecond, where the search itself may take a hundred times that. Nothing is dropped when somebody writes; what
nobody can ask for any more ends by itself.
"""

import logging
import time
from collections.abc import Callable
from hashlib import sha256

from prometheus_client import Counter
from redis import Redis, RedisError
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from ratemyunit import schema
from ratemyunit.settings import Settings

KEPT_S = 5
"""Nobody asks under a key again once somebody has written, and Redis has little room, for other things too."""
MOST = 32 * 1024
"""In bytes. A page of units of a usual catalogue has half of that."""
# Redis saves time here or it is left alone: a search is not slower for want of a cache.
PATIENCE_S = 0.1
LEFT_ALONE_S = 5.0

# A server that starts again after a crash may use a number for the second time.
STATE = text("select concat(pg_current_snapshot(), '@', extract(epoch from pg_postmaster_start_time()))")

LOOKUPS = Counter("answers_looked_up_total", "Answers looked up in the cache, by whether they were there", ["found"])

log = logging.getLogger("ratemyunit.answers")


class Answers:
    """The answers of one release on one database."""

    def __init__(self, settings: Settings) -> None:
        wait = {"socket_connect_timeout": PATIENCE_S, "socket_timeout": PATIENCE_S}
        self._redis = Redis.from_url(settings.redis_url, decode_responses=True, **wait)
        self._about = _about(settings)
        self._alone_until = 0.0

    def of(self, connection: Connection, question: str, find: Callable[[], str]) -> str:
        """Answer from the cache, or find the answer by this connection and keep it."""
        # Asked before the answer is looked for: what is kept may then be newer than its key says, and never older.
        state = connection.execute(STATE).scalar_one()
        key = f"rmu:answer:{sha256(f'{self._about} {state} {question}'.encode()).hexdigest()}"
        kept = self._ask(lambda: self._redis.get(key))
        LOOKUPS.labels("yes" if kept is not None else "no").inc()
        if kept is not None:
            return str(kept)
        found = find()
        if len(found.encode()) <= MOST:
            self._ask(lambda: self._redis.set(key, found, ex=KEPT_S))
        return found

    def close(self) -> None:
        """Let go of Redis."""
        self._redis.close()

    def _ask(self, act: Callable[[], object]) -> object:
        if time.monotonic() < self._alone_until:
            return None
        try:
            return act()
        except (RedisError, OSError) as why:
            self._alone_until = time.monotonic() + LEFT_ALONE_S
            log.warning("no cache for a while", extra={"fields": {"kind": type(why).__name__}})
            return None


def _about(settings: Settings) -> str:
    """Tell one database from another, and answers of one release from another's, which may have another shape."""
    place = make_url(settings.database_url)
    release = f"{settings.version} {settings.digest} {schema.HEAD}"
    return f"{place.host}:{place.port}/{place.database} {settings.database} {release}"
