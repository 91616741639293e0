"""Hold new rows to it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "contract"
oldest_code = "0002"


def upgrade() -> None:
    """Change the schema."""
    op.create_foreign_key("jobs_unit", "jobs", "units", ["unit_id"], ["id"], postgresql_not_valid=True)
    op.create_check_constraint("jobs_has_unit", "jobs", "unit_id is not null", postgresql_not_valid=True)
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))


def downgrade() -> None:
    """Take it back."""
    op.drop_constraint("jobs_unit", "jobs")
    op.drop_constraint("jobs_has_unit", "jobs")
