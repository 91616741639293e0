"""Leave the words of the template.

rule: no-way-back

Downgrade: say here what becomes of it when the release is taken back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.add_column("units", sa.Column("remarks", sa.Text))
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
