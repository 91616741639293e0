"""Pauses of the scrape queue: a row in PostgreSQL, so that a restart of a worker, of Redis or of a host keeps it."""

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, exists, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import queue_pauses

SCRAPES = "scrapes"


def current(connection: Connection) -> RowMapping | None:
    """Tell since when, by whom and why the queue is paused; None while it runs."""
    query = select(queue_pauses.c.paused_at, queue_pauses.c.paused_by, queue_pauses.c.because)
    return connection.execute(query.where(queue_pauses.c.queue == SCRAPES)).mappings().first()


def pause(connection: Connection, by: str, because: str) -> bool:
    """Pause the queue; answer whether it ran until now. Whoever paused it first stays named."""
    row = insert(queue_pauses).values(queue=SCRAPES, paused_by=by, because=because)
    return bool(connection.execute(row.on_conflict_do_nothing(index_elements=["queue"])).rowcount)


def resume(connection: Connection) -> bool:
    """Let the queue run; answer whether it was paused until now."""
    return bool(connection.execute(delete(queue_pauses).where(queue_pauses.c.queue == SCRAPES)).rowcount)


def running() -> ColumnElement[bool]:
    """Spell the condition that nobody has paused the queue, for a statement that must not act while it is."""
    return ~exists().where(queue_pauses.c.queue == SCRAPES)
