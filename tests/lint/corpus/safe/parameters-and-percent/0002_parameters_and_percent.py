"""Use parameters and a percent sign.

rows: universities=44

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
    rename = sa.text("update universities set name = :new where name like 'Univ%' and name = :old")
    op.execute(rename.bindparams(new="Drop; table", old="100%"))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
