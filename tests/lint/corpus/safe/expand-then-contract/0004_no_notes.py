"""Drop the old column.

Downgrade: rmu db restore; what the column held is gone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
phase = "contract"
oldest_code = "0003"


def upgrade() -> None:
    """Change the schema."""
    op.drop_column("units", "notes")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
