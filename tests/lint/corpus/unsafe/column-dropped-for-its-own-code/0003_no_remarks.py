"""Drop it, but let the code run that came with it.

rule: oldest-code-too-old

Downgrade: none is needed; older code does not see it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "contract"
oldest_code = "0002"


def upgrade() -> None:
    """Change the schema."""
    op.drop_column("units", "remarks")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
