"""Pauses of a queue: a row here stops its workers, whatever becomes of Redis or of a worker.

A table of its own: code that has never heard of it goes on as before, and works on through a pause.

Downgrade: leave the table; it harms nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the table; nothing that exists is touched."""
    op.create_table(
        "queue_pauses",
        sa.Column("queue", sa.String(32), primary_key=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("paused_by", sa.String(200), nullable=False),
        sa.Column("because", sa.String(500), nullable=False, server_default=""),
    )
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
