"""Universities, units and scrape jobs.

The role that migrates owns the tables; `rmu_app` reads and writes rows, of later tables too, and nothing more.

Downgrade: none; before it there is nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the first tables and let the application's role use them."""
    op.execute("alter default privileges in schema public grant select, insert, update, delete on tables to rmu_app")
    op.execute("alter default privileges in schema public grant usage, select on sequences to rmu_app")
    op.create_table(
        "schema_line",
        sa.Column("revision", sa.String(4), primary_key=True),
        sa.Column("oldest_code", sa.String(4), nullable=False),
    )
    # What the schema is, only migrations may say.
    op.execute("revoke all on schema_line from rmu_app")
    op.execute("grant select on schema_line, alembic_version to rmu_app")
    _universities_and_units()
    _jobs()
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))


def _universities_and_units() -> None:
    op.create_table(
        "universities",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
    )
    op.create_table(
        "units",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("university_id", sa.Uuid, sa.ForeignKey("universities.id"), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("university_id", "code"),
    )
    op.create_index("units_by_code", "units", ["code", "id"])
    op.execute(
        "create index units_searchable on units using gin "
        "(to_tsvector('simple', code || ' ' || title || ' ' || description))"
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("university", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default="queued"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text),
        sa.Column("units_found", sa.Integer),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("state in ('queued', 'running', 'done', 'failed')", name="jobs_state"),
    )
    op.create_index("jobs_due", "jobs", ["state", "not_before"])
