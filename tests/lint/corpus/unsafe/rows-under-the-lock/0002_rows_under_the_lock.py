"""Alter a table, then copy rows while nobody can read it.

rule: lock-held-during-data

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
    op.add_column("units", sa.Column("remarks", sa.Text))
    op.execute("update units set remarks = notes where notes is not null")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
