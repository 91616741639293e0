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
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
from sqlalchemy.dialects.postgresql import JSONB
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

# Indexes on expressions instead of stored columns: old code that inserts rows need not know of them. Who searches has
# to use the very same words, or PostgreSQL does not see that the index answers.
SEARCHABLE = "to_tsvector('simple', units.code || ' ' || units.title || ' ' || units.description)"
TITLED = "(to_tsvector('simple', units.code || ' ' || units.title) || to_tsvector('english', units.title))"
ALIKE = "(units.code || ' ' || units.title)"
PLAIN_CODE = "(upper(regexp_replace(units.code, '\\W', '', 'g')) collate \"C\")"
LEVEL = "(substring(units.code from '[0-9]'))"


def _on(name: str, *what: object, **how: object) -> Index:
    columns = [literal_column(one) if isinstance(one, str) else one for one in what]
    return Index(name, *columns, _table=units, **how)  # type: ignore[arg-type]


EXPRESSION_INDEXES = (
    _on("units_searchable", SEARCHABLE, postgresql_using="gin"),
    _on("units_titled", TITLED, postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    _on(
        "units_alike",
        literal_column(ALIKE).label("alike"),
        postgresql_using="gin",
        postgresql_ops={"alike": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
    ),
    _on("units_by_plain_code", PLAIN_CODE, units.c.id),
    _on("units_by_level", LEVEL, units.c.code, units.c.id),
)

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
    Column("author_id", Uuid),
    Column("review", String(16), nullable=False, server_default="pending"),
    Column("moderated_by", Uuid),
    Column("moderated_at", DateTime(timezone=True)),
    CheckConstraint("stars between 1 and 5", name="ratings_stars"),
    Index("ratings_of_unit", "unit_id", "created_at"),
    # A unit's average is read from this index alone.
    Index("ratings_stars_of_unit", "unit_id", "stars"),
    Index("ratings_by_author", "author_id", "unit_id", unique=True, postgresql_where=text("author_id is not null")),
    Index("ratings_to_review", "review", "created_at", "id", postgresql_where=text("comment <> ''")),
)

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(16), nullable=False, server_default="student"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("locked_at", DateTime(timezone=True)),
    Column("locked_by", Uuid),
    CheckConstraint("role in ('student', 'admin')", name="users_role"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Index("sessions_of_user", "user_id"),
    Index("sessions_by_end", "ends_at"),
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


# Files of every release's pages, under names that hold their content's hash.
assets = Table(
    "assets",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("media_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


# A catalogue of a university, and how it is read.
sources = Table(
    "sources",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("university", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("url", Text, nullable=False),
    Column("span", String(40), nullable=False, server_default=""),
    Column("rules", JSONB, nullable=False, server_default="{}"),
    Column("most_pages", Integer, nullable=False, server_default="1000"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("university", "url", "span"),
)

# One round through a catalogue. It goes on as long as a page of it is due.
crawls = Table(
    "crawls",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("source_id", Uuid, ForeignKey("sources.id"), nullable=False),
    Column("state", String(16), nullable=False, server_default="running"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("state in ('running', 'done', 'stopped')", name="crawls_state"),
    Index("crawls_of_source", "source_id", "started_at"),
    # A catalogue is gone through once at a time.
    Index("crawls_running", "source_id", unique=True, postgresql_where=text("state = 'running'")),
)

# The pages of a crawl, each once; the job that reads it is a row of `jobs` like any other.
crawl_pages = Table(
    "crawl_pages",
    metadata,
    Column("crawl_id", Uuid, ForeignKey("crawls.id"), primary_key=True),
    Column("url", Text, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("job_id", Uuid, unique=True),
)

# When a site may be asked next, and what pause it asked for.
sites = Table(
    "sites",
    metadata,
    Column("site", String(300), primary_key=True),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("delay_s", Float),
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
