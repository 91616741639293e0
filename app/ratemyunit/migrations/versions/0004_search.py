"""Search by code, by title and in spite of misspellings; ratings counted by index.

Indexes on expressions alone, no column and no trigger: rows that older code writes are found like all others. The
extension is a trusted one, so the owner of the database, who migrates, may make it.

Downgrade: drop the five indexes; the extension harms nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
phase = "expand"
oldest_code = "0001"
# Fifty thousand units take seconds; ten times as many, on a machine that has other work, a minute or two.
statement_timeout = "5min"

PLAIN_CODE = "upper(regexp_replace(code, '\\W', '', 'g')) collate \"C\""
TITLED = "(to_tsvector('simple', code || ' ' || title) || to_tsvector('english', title))"


def upgrade() -> None:
    """Build the indexes while everybody reads and writes."""
    op.execute("create extension if not exists pg_trgm")
    # Without a list of pending entries no search has to read through what a scrape has just stored.
    op.execute("alter index units_searchable set (fastupdate = off)")
    # One that is stopped half-way leaves those it has finished; what it left unfinished, `migrate` drops.
    with op.get_context().autocommit_block():
        for name, on in (
            ("units_by_plain_code", f"units using btree (({PLAIN_CODE}), id)"),
            ("units_by_level", "units using btree ((substring(code from '[0-9]')), code, id)"),
            ("units_titled", f"units using gin ({TITLED}) with (fastupdate = off)"),
            ("units_alike", "units using gin ((code || ' ' || title) gin_trgm_ops) with (fastupdate = off)"),
            ("ratings_stars_of_unit", "ratings using btree (unit_id, stars)"),
        ):
            op.execute(f"create index concurrently if not exists {name} on {on}")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
