"""Refer from an empty table to one that is full.

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
    op.create_table("reviews", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("unit_id", sa.Uuid))
    op.create_foreign_key("reviews_unit", "reviews", "units", ["unit_id"], ["id"])
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
