"""Accounts in PostgreSQL: who may sign in, as what, and who is locked out. An account is an e-mail address."""

from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ratemyunit import sessions
from ratemyunit.schema import users

Role = Literal["student", "admin"]

_shown = (users.c.id, users.c.email, users.c.role, users.c.created_at, users.c.locked_at, users.c.locked_by)


def add(connection: Connection, email: str, password_hash: str) -> None:
    """Make an account, unless the address has one: that one stays as it is.

    Both ways a row is written, so that the time to commit does not tell which it was.
    """
    row = insert(users).values(email=spelled(email), password_hash=password_hash)
    connection.execute(row.on_conflict_do_update(index_elements=["email"], set_={"email": row.excluded.email}))


def by_email(connection: Connection, email: str) -> RowMapping | None:
    """Find an account by its address, with its hash."""
    query = select(*_shown, users.c.password_hash).where(users.c.email == spelled(email))
    return connection.execute(query).mappings().first()


def listed(connection: Connection, search: str = "", *, most: int = 50, after: UUID | None = None) -> list[RowMapping]:
    """List accounts by id; `search` is a part of an address, `after` the last id of the page before."""
    query = select(*_shown).order_by(users.c.id).limit(most)
    if search:
        query = query.where(func.strpos(users.c.email, spelled(search)) > 0)
    if after:
        query = query.where(users.c.id > after)
    return list(connection.execute(query).mappings())


def set_role(connection: Connection, user: UUID, role: Role) -> bool:
    """Give an account a role; answer whether it is there. It holds from its next request on."""
    return bool(connection.execute(update(users).where(users.c.id == user).values(role=role)).rowcount)


def lock(connection: Connection, user: UUID, by: UUID | None) -> bool:
    """Lock an account out and end its sessions; answer whether it is there. `by` is None for an operator.

    Who locked it first stays named.
    """
    first = func.coalesce(users.c.locked_at, func.now())
    whose = func.coalesce(users.c.locked_by, by) if by else users.c.locked_by
    found = connection.execute(update(users).where(users.c.id == user).values(locked_at=first, locked_by=whose))
    sessions.end_all(connection, user)
    return bool(found.rowcount)


def unlock(connection: Connection, user: UUID) -> bool:
    """Let an account in again; answer whether it is there."""
    cleared = update(users).where(users.c.id == user).values(locked_at=None, locked_by=None)
    return bool(connection.execute(cleared).rowcount)


def spelled(email: str) -> str:
    """Spell an address as it is stored: nobody remembers which letters were capitals."""
    return email.strip().lower()
