"""Make a table with everything it has."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "ratings",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("unit_id", sa.Uuid, sa.ForeignKey("units.id"), nullable=False),
        sa.Column("stars", sa.SmallInteger, nullable=False),
        sa.CheckConstraint("stars between 1 and 5", name="ratings_stars"),
    )
    op.create_index("ratings_of_unit", "ratings", ["unit_id"])
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))


def downgrade() -> None:
    """Take it back."""
    op.drop_table("ratings")
