"""The code that serves, as far as it knows the schema: `notes` and `leftovers` it has forgotten already."""

from sqlalchemy import Column, MetaData, String, Table, Text, Uuid, text

metadata = MetaData()

universities = Table(
    "universities",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
)
units = Table(
    "units",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("university_id", Uuid, nullable=False),
    Column("code", String(32), nullable=False),
    Column("title", String(300), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("sessions", Text),
)
jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("error", Text),
)
OLDEST_JOB = text("select id from jobs where state = 'queued' limit 1")
