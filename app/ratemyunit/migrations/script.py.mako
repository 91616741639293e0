"""${message}

`phase` is "expand" (old code goes on reading and writing) or "contract" (it runs once that code is gone). The oldest
code that still runs on this schema is `oldest_code`; raise it only in a contract revision. `statement_timeout` is 30s
where it is not named here.

Downgrade: say here what becomes of it when the release is taken back.
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
