"""The connection pool: small, quick to give up, and checked before use; each statement says whom it is for."""

from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from ratemyunit import logs

POOL = 5


def engine(url: str, *, pool: int = POOL, application: str = "ratemyunit") -> Engine:
    """Open a pool on a libpq URL; its sslmode and sslrootcert are honoured by libpq itself."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    made = create_engine(
        parsed,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=3,
        pool_pre_ping=True,
        pool_recycle=1800,
        # An exception is logged, and a row may be personal.
        hide_parameters=True,
        # A database that vanished must become an error in seconds, not a thread that waits for ever.
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 10,
            "application_name": application,
            "options": "-c statement_timeout=8000 -c idle_in_transaction_session_timeout=30000",
        },
    )
    event.listen(made, "before_cursor_execute", _sign, retval=True)
    return made


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
