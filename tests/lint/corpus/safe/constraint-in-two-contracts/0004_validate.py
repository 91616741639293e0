"""Hold the old rows to it, too.

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
phase = "contract"
oldest_code = "0002"


def upgrade() -> None:
    """Change the schema."""
    op.execute("alter table jobs validate constraint jobs_unit")
    op.execute("alter table jobs validate constraint jobs_has_unit")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
