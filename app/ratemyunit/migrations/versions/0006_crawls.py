"""Catalogues, crawls of them, and how often a site may be asked.

Tables of their own: code that has never heard of them goes on as before, though a worker of it reads every page of a
crawl as a plain list of units, and does not wait its turn at a site.

Downgrade: leave the tables; they harm nobody.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the tables; nothing that exists is touched."""
    _sources()
    _crawls()
    op.create_table(
        "sites",
        sa.Column("site", sa.String(300), primary_key=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("delay_s", sa.Float),
    )
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("university", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("span", sa.String(40), nullable=False, server_default=""),
        sa.Column("rules", JSONB, nullable=False, server_default="{}"),
        sa.Column("most_pages", sa.Integer, nullable=False, server_default="1000"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("university", "url", "span"),
    )


def _crawls() -> None:
    op.create_table(
        "crawls",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("source_id", sa.Uuid, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default="running"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state in ('running', 'done', 'stopped')", name="crawls_state"),
    )
    op.create_index("crawls_of_source", "crawls", ["source_id", "started_at"])
    op.create_index(
        "crawls_running", "crawls", ["source_id"], unique=True, postgresql_where=sa.text("state = 'running'")
    )
    op.create_table(
        "crawl_pages",
        sa.Column("crawl_id", sa.Uuid, sa.ForeignKey("crawls.id"), primary_key=True),
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("job_id", sa.Uuid, unique=True),
    )
