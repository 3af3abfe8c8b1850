"""Run Alembic's migrations on our own database connection, which `store/database.py` passes."""

from alembic import context

from hairtrigger.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
