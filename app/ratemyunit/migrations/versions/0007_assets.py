"""Files of every release's pages, so that each release can serve those of the others.

A table of its own: code that has never heard of it goes on as before.

Downgrade: leave the table; it harms nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the table; nothing that exists is touched."""
    op.create_table(
        "assets",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
