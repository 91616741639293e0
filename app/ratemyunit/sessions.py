"""Sessions in PostgreSQL: a row each, found by a hash of the token that only the browser has.

Whoever reads the table can sign in as nobody. A session ends at its time, with its sign-out, when its account is
locked, and at a new sign-in, which never goes on with a token that was there before.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Connection, RowMapping, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import sessions, users

LIFE = timedelta(days=14)


def start(connection: Connection, user: UUID) -> str:
    """Begin a session; answer its token, which is known nowhere else. Sessions that are over are swept out."""
    connection.execute(delete(sessions).where(sessions.c.ends_at <= func.now()))
    token = secrets.token_urlsafe(32)
    row = {"token_hash": _hashed(token), "user_id": user, "ends_at": func.now() + LIFE}
    connection.execute(insert(sessions).values(row))
    return token


def visitor(connection: Connection, token: str) -> RowMapping | None:
    """Find whose session a token is; None where it is over, or its account locked."""
    query = select(users.c.id, users.c.email, users.c.role).join_from(sessions, users)
    query = query.where(sessions.c.token_hash == _hashed(token), sessions.c.ends_at > func.now())
    return connection.execute(query.where(users.c.locked_at.is_(None))).mappings().first()


def end(connection: Connection, token: str) -> None:
    """End one session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == _hashed(token)))


def end_all(connection: Connection, user: UUID) -> None:
    """End every session of an account."""
    connection.execute(delete(sessions).where(sessions.c.user_id == user))


def _hashed(token: str) -> str:
    # The token has 256 random bits: nobody guesses it, so a quick hash is enough.
    return sha256(token.encode("utf-8", "replace")).hexdigest()
