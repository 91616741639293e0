"""What every case of the corpus stands on: the tables that are there and serve.

Downgrade: none; it is the first one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "schema_line",
        sa.Column("revision", sa.String(4), primary_key=True),
        sa.Column("oldest_code", sa.String(4), nullable=False),
    )
    op.create_table(
        "universities",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
    )
    op.create_table(
        "units",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("university_id", sa.Uuid, sa.ForeignKey("universities.id"), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("sessions", sa.Text),
        sa.Column("notes", sa.Text),
        sa.UniqueConstraint("university_id", "code"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False, server_default="queued"),
        sa.Column("error", sa.Text),
    )
    op.create_table("leftovers", sa.Column("id", sa.Uuid, primary_key=True), sa.Column("body", sa.Text))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
