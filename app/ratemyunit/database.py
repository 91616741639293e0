"""The connection pool: small, quick to give up, and checked before use."""

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

POOL = 5


def engine(url: str, *, pool: int = POOL, application: str = "ratemyunit") -> Engine:
    """Open a pool on a libpq URL; its sslmode and sslrootcert are honoured by libpq itself."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(
        parsed,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=3,
        pool_pre_ping=True,
        pool_recycle=1800,
        # A database that vanished must become an error in seconds, not a thread that waits for ever.
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 10,
            "application_name": application,
            "options": "-c statement_timeout=8000 -c idle_in_transaction_session_timeout=30000",
        },
    )
