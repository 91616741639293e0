"""Give new rows a token; the old ones are filled in batches later.

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
    op.add_column("units", sa.Column("token", sa.Uuid))
    op.alter_column("units", "token", server_default=sa.text("gen_random_uuid()"))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
