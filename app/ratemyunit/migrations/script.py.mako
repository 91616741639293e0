"""${message}

The oldest code that still runs on this schema is `oldest_code`; raise it only in a contract revision.
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
