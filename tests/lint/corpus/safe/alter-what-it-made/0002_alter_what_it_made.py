"""Do anything at all to a table of its own.

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
    op.create_table("moods", sa.Column("id", sa.Uuid, primary_key=True), sa.Column("name", sa.Text))
    op.alter_column("moods", "name", nullable=False)
    op.create_unique_constraint("moods_name", "moods", ["name"])
    op.execute("update moods set name = 'glad'")
    op.drop_column("moods", "name")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
