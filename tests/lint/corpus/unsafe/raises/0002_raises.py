"""Fail.

rule: unreadable

Downgrade: none is needed; older code does not see it.
"""

revision = "0002"
down_revision = "0001"
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    """Change the schema."""
    raise RuntimeError("not yet")
