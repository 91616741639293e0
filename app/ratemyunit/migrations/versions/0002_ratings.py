"""Ratings of units, under ids that clients make.

A table of its own: code that has never heard of it goes on as before.

Downgrade: leave the table; it harms nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Make the table; nothing that exists is touched."""
    op.create_table(
        "ratings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("unit_id", sa.Uuid, sa.ForeignKey("units.id"), nullable=False),
        sa.Column("stars", sa.SmallInteger, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("stars between 1 and 5", name="ratings_stars"),
    )
    op.create_index("ratings_of_unit", "ratings", ["unit_id", "created_at"])
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
