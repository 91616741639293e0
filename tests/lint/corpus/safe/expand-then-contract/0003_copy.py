"""Copy what is there; code of 0003 reads the new one only.

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    with op.get_context().autocommit_block():
        op.execute(
            "update units set remarks = notes "
            "where id in (select id from units where remarks is null and notes is not null limit 5000)"
        )
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
