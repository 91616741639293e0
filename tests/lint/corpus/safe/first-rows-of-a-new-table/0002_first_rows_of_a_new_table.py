"""Fill a new table.

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
    moods = op.create_table("moods", sa.Column("name", sa.Text, primary_key=True))
    op.bulk_insert(moods, [{"name": "glad"}, {"name": "it's fine"}])
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
