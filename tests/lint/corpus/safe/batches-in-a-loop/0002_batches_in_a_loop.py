"""Change rows in batches until none is left.

rows: units=2000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"
irreversible = "empty notes were never shown"


def upgrade() -> None:
    """Change the schema."""
    connection = op.get_bind()
    batch = sa.text("update units set notes = null where id in (select id from units where notes = '' limit 5000)")
    with op.get_context().autocommit_block():
        while connection.execute(batch).rowcount:
            pass
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
