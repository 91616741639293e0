"""Alter one table once.

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("units") as batch:
        batch.add_column(sa.Column("seen", sa.Boolean, server_default=sa.false(), nullable=False))
        batch.add_column(sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
