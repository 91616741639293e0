"""Tables, and the question whether this code can run on the database's schema.

Revisions are four digits in one line, so "older" and "newer" are string comparisons. `schema_line` holds, for
every revision applied, the oldest code that still runs on it: so an old release knows that it fits a newer
schema it has never heard of.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.engine import Connection

_schema = tomllib.loads(files("ratemyunit").joinpath("schema.toml").read_text())
HEAD: str = _schema["head"]
OLDEST: str = _schema["oldest"]
ADMITS: str = _schema["admits"]

metadata = MetaData()

schema_line = Table(
    "schema_line",
    metadata,
    Column("revision", String(4), primary_key=True),
    Column("oldest_code", String(4), nullable=False),
)

universities = Table(
    "universities",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("name", String(200), nullable=False, unique=True),
)

units = Table(
    "units",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("university_id", Uuid, ForeignKey("universities.id"), nullable=False),
    Column("code", String(32), nullable=False),
    Column("title", String(300), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("university_id", "code"),
    Index("units_by_code", "code", "id"),
)

# An expression index instead of a stored column: old code that inserts rows need not know of it.
SEARCHABLE: ColumnElement[str] = literal_column(
    "to_tsvector('simple', units.code || ' ' || units.title || ' ' || units.description)"
)
Index("units_searchable", SEARCHABLE, _table=units, postgresql_using="gin")

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("url", Text, nullable=False),
    Column("university", String(200), nullable=False),
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("lease_until", DateTime(timezone=True)),
    Column("error", Text),
    Column("units_found", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state in ('queued', 'running', 'done', 'failed')", name="jobs_state"),
    Index("jobs_due", "state", "not_before"),
)

# The id is the client's own: sent twice, it is one rating.
ratings = Table(
    "ratings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("unit_id", Uuid, ForeignKey("units.id"), nullable=False),
    Column("stars", SmallInteger, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("stars between 1 and 5", name="ratings_stars"),
    Index("ratings_of_unit", "unit_id", "created_at"),
)

# A row is a pause, of the queue it names.
queue_pauses = Table(
    "queue_pauses",
    metadata,
    Column("queue", String(32), primary_key=True),
    Column("paused_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("paused_by", String(200), nullable=False),
    Column("because", String(500), nullable=False, server_default=""),
)


@dataclass(frozen=True)
class Fit:
    """The database's schema head, and why this code cannot run on it (None when it can)."""

    head: str | None
    why_not: str | None


def fit(connection: Connection) -> Fit:
    """Ask the database which schema it has and whether this code can run on it."""
    exists = connection.scalar(text("select to_regclass('alembic_version') is not null"))
    if not exists:
        return Fit(None, "the database has no schema yet")
    head = connection.scalar(text("select version_num from alembic_version"))
    if head is None or head < OLDEST:
        return Fit(head, f"the schema {head} is older than {OLDEST}, the oldest this release can run on")
    oldest_code = connection.scalar(schema_line.select().with_only_columns(func.max(schema_line.c.oldest_code)))
    if oldest_code is not None and oldest_code > HEAD:
        return Fit(head, f"the schema {head} needs code of {oldest_code} or newer; this is {HEAD}")
    return Fit(head, None)
