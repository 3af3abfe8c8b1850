"""Alembic runs inside our own connection: see `store/database.py`."""

from alembic import context

from hairtrigger.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
