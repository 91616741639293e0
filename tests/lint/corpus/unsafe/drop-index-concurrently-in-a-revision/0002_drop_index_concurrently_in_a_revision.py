"""Forget the autocommit block.

rule: not-in-transaction

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "contract"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.drop_index("units_by_title", postgresql_concurrently=True)
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
