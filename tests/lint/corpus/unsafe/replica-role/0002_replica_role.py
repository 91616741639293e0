"""Turn every trigger off.

rule: triggers-off

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
    op.execute("set session_replication_role = replica")
    op.execute("insert into leftovers (id) values ('5f0c3a53-2b1e-4a8e-9d3f-0e2f6a1b7c44')")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
