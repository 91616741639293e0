"""Write another oldest code than it says.

rule: schema-line

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
    op.execute("insert into schema_line values ('0002', '0000')")
