"""Is this process fit to serve? Asks the database, its schema and Redis, each within seconds, and says which failed."""

from dataclasses import dataclass

from redis import Redis, RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ratemyunit import schema

OK = "ok"
CONNECT_S, ANSWER_S = 2, 5
"""How long Redis may take."""


@dataclass(frozen=True)
class Readiness:
    """Each check's answer: `ok`, or why not."""

    checks: dict[str, str]
    database_head: str | None

    @property
    def ready(self) -> bool:
        """Tell whether every check is ok."""
        return all(answer == OK for answer in self.checks.values())


def look(engine: Engine, redis: Redis) -> Readiness:
    """Run every check once."""
    database, fits, head = _database(engine)
    return Readiness({"database": database, "redis": _redis(redis), "schema": fits}, head)


def open_redis(url: str) -> Redis:
    """Open a client that gives up in seconds."""
    return Redis.from_url(
        url, decode_responses=True, socket_connect_timeout=CONNECT_S, socket_timeout=ANSWER_S, health_check_interval=30
    )


def _database(engine: Engine) -> tuple[str, str, str | None]:
    try:
        with engine.connect() as connection:
            fit = schema.fit(connection)
    except SQLAlchemyError as why:
        return f"cannot be asked ({type(why).__name__})", "unknown", None
    return OK, fit.why_not or OK, fit.head


def _redis(redis: Redis) -> str:
    try:
        redis.ping()
    except (RedisError, OSError) as why:
        return f"cannot be asked ({type(why).__name__})"
    return OK
