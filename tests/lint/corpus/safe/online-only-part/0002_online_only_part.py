"""Ask whether there is a database.

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.add_column("units", sa.Column("remarks", sa.Text))
    if not context.is_offline_mode():
        op.execute("select 1")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
