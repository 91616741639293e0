"""Accounts and their sessions; whose a rating is, and whether its words are shown.

Words that are there already stay shown; those that come from now on wait, from older code too, which shows them all
the same while it serves. Nothing is rewritten: both new columns with a default take it from the catalogue.

Downgrade: leave it; older code goes on without.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
phase = "expand"
oldest_code = "0001"
statement_timeout = "5min"


def upgrade() -> None:
    """Widen a table, make two."""
    _reviews()
    _accounts()
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))


def _reviews() -> None:
    # What stands before an index that is built concurrently is committed with it: a second try finds it there.
    op.add_column("ratings", sa.Column("author_id", sa.Uuid), if_not_exists=True)
    shown = sa.Column("review", sa.String(16), nullable=False, server_default="shown")
    op.add_column("ratings", shown, if_not_exists=True)
    op.alter_column("ratings", "review", server_default="pending")
    op.add_column("ratings", sa.Column("moderated_by", sa.Uuid), if_not_exists=True)
    op.add_column("ratings", sa.Column("moderated_at", sa.DateTime(timezone=True)), if_not_exists=True)
    with op.get_context().autocommit_block():
        # accept ban-new-write-restriction: older code leaves author_id empty, and such rows are not in this index
        op.create_index(
            "ratings_by_author",
            "ratings",
            ["author_id", "unit_id"],
            unique=True,
            if_not_exists=True,
            postgresql_where=sa.text("author_id is not null"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "ratings_to_review",
            "ratings",
            ["review", "created_at", "id"],
            if_not_exists=True,
            postgresql_where=sa.text("comment <> ''"),
            postgresql_concurrently=True,
        )


def _accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False, server_default="student"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("locked_at", sa.DateTime(timezone=True)),
        sa.Column("locked_by", sa.Uuid),
        sa.CheckConstraint("role in ('student', 'admin')", name="users_role"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("sessions_of_user", "sessions", ["user_id"])
    op.create_index("sessions_by_end", "sessions", ["ends_at"])
