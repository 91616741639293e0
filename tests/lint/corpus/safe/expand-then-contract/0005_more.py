"""Go on.

applied: 0004

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
phase = "expand"
oldest_code = "0003"


def upgrade() -> None:
    """Change the schema."""
    op.add_column("units", sa.Column("more", sa.Text))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
