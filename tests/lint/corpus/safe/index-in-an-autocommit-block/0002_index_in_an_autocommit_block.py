"""Build an index while everybody goes on.

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"
statement_timeout = "5min"


def upgrade() -> None:
    """Change the schema."""
    with op.get_context().autocommit_block():
        op.create_index("units_by_title", "units", ["title"], postgresql_concurrently=True)
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
