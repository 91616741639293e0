"""Say no oldest code.

rule: oldest-code-missing

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"


def upgrade() -> None:
    """Change the schema."""
    op.add_column("units", sa.Column("remarks", sa.Text))
