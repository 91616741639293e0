"""The connection pool: a share of what the database admits, quick to give up, and checked before use; each statement
says whom it is for.
"""

import logging
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from ratemyunit import logs

MOST = 10
"""Connections that one process has use for: its queries take milliseconds, and the database has two cores."""
LEAST = 2
SHARERS = 8
"""Two hosts with two slots and a worker each, a migration, and a check."""
PATIENCE = timedelta(seconds=8)
"""How long a statement may take."""
CONNECT_S, FREE_S = 3, 3
"""How long a new connection may take, and how long one is waited for when all are in use."""

# What is left to this role, by all three limits that it may run into.
ADMITS = """
select least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
             nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1))
from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user
"""

log = logging.getLogger("ratemyunit.database")


class Shared(QueuePool):
    """A pool that has no more connections than its share of what the database admits.

    The database says so when it is first met; until then there is one connection.
    """

    sharers = SHARERS

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._free = threading.Semaphore(1)
        self.share: int | None = None

    def _do_get(self) -> ConnectionPoolEntry:
        if not self._free.acquire(timeout=self._timeout):
            raise PoolTimeout(f"all {self.share or 1} connections are in use, and none was free in {self._timeout} s")
        try:
            entry = super()._do_get()
        except BaseException:
            self._free.release()
            raise
        if self.share is None:
            self._size_or_close(entry)
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        self._free.release()

    def _size_or_close(self, entry: ConnectionPoolEntry) -> None:
        try:
            self._size(entry)
        except BaseException:
            # A database that recovers admits a connection and ends it at once: its place is the next one's.
            entry.close()
            self._dec_overflow()
            self._free.release()
            raise

    def _size(self, entry: ConnectionPoolEntry) -> None:
        connection = entry.dbapi_connection
        assert isinstance(connection, psycopg.Connection)  # noqa: S101 - it is the driver that this engine names
        row = connection.execute(ADMITS).fetchone()
        connection.rollback()
        admitted = row[0] if row else 0
        self.share = max(LEAST, min(self.size(), admitted // self.sharers))
        self._free.release(self.share - 1)
        log.info("pool is sized", extra={"fields": {"admitted": admitted, "share": self.share}})


def engine(
    url: str,
    *,
    pool: int = MOST,
    application: str = "ratemyunit",
    sharers: int = SHARERS,
    patience: timedelta | None = None,
) -> Engine:
    """Open a pool on a libpq URL; its sslmode and sslrootcert are honoured by libpq itself."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    made = create_engine(
        parsed,
        # An engine makes a pool anew by its class alone, so the class has to know.
        poolclass=type("Shared", (Shared,), {"sharers": sharers}),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=FREE_S,
        pool_pre_ping=True,
        pool_recycle=1800,
        # An exception is logged, and a row may be personal.
        hide_parameters=True,
        # A database that vanished must become an error in seconds, not a thread that waits for ever.
        connect_args={
            "connect_timeout": CONNECT_S,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 10,
            # Linux's own are 75 s and nine tries: the time above is looked at only when the next try is due.
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": application,
            "options": _options(patience or PATIENCE),
        },
    )
    event.listen(made, "before_cursor_execute", _sign, retval=True)
    return made


def _options(patience: timedelta) -> str:
    said = {
        "statement_timeout": int(patience.total_seconds() * 1000),
        "idle_in_transaction_session_timeout": 30_000,
        # A query of milliseconds gains nothing from being compiled, or from a second process.
        "jit": "off",
        "max_parallel_workers_per_gather": 0,
        # How alike a misspelt word has to be (search.py).
        "pg_trgm.word_similarity_threshold": 0.4,
    }
    return " ".join(f"-c {name}={value}" for name, value in said.items())


def comment() -> str:
    """Spell whom a statement is for as sqlcommenter does: sorted, URL-encoded, quoted; empty where it is for nobody."""
    said = ",".join(f"{quote(n, safe='')}='{quote(value, safe='')}'" for n, value in sorted(logs.what_about().items()))
    return f"/*{said}*/ " if said else ""


def _sign(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> tuple[str, Any]:
    """Put the comment in front: PostgreSQL's log of slow statements then names the request.

    sqlcommenter appends it. In front it stands on the line that tells the duration, and stays where a long statement
    is cut (pg_stat_activity keeps 1,024 bytes).

    The driver prepares a statement that it has met five times. One with an id of its own it never meets again; that
    costs a plan each time (a tenth of a millisecond here), and spares the server plans that nobody would use.
    """
    # To the driver a percent sign begins a placeholder.
    return comment().replace("%", "%%") + statement, parameters
