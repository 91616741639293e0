"""Alembic's own entry: run on the connection that `migrate` holds, one transaction per revision."""

from alembic import context

from ratemyunit.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
