import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from hairtrigger.store.database import Store
from hairtrigger.store.events.events import Event
from hairtrigger.store.tables import event, metadata

pytestmark = pytest.mark.anyio


async def test_migrations_make_the_tables_the_queries_see(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": _ours, "compare_type": True})
        return list(compare_metadata(context, metadata))

    async with store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_event_has_the_columns_of_its_table_and_is_offered_in_their_order(store: Store) -> None:
    named = "SELECT attname FROM pg_attribute WHERE attrelid = CAST('event_to_store' AS regclass) ORDER BY attnum"
    async with store.engine.connect() as connection:
        offered = list((await connection.execute(text(named))).scalars())
    assert event.c.keys() == ["day", *Event._fields, "dropped", "came"]
    assert offered == ["write", "version", "id", "day", *Event._fields[1:]]


async def test_migrating_twice_changes_nothing(store: Store) -> None:
    await store.migrate()


def _ours(name: str | None, kind: str, _: object) -> bool:
    """Leave out the partitions, which are made for each day, and Alembic's own table."""
    return kind != "table" or name in metadata.tables
