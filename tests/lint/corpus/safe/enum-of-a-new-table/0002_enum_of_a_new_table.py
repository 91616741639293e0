"""Make an enum for a new table.

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
    op.create_table(
        "moods",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("mood", sa.Enum("glad", "sad", name="mood"), nullable=False),
    )
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
