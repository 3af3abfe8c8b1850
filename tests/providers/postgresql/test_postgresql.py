"""The provider for a user's PostgreSQL, against a real one: no row is lost and none comes twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import pytest

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.egress import EgressPolicy
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import postgresql
from hairtrigger.services.setup.samples import Sampler
from hairtrigger.store.database import Store
from tests.services.listening.workers import Ears, ears
from tests.services.world import Killed, dying, seconds
from tests.support.bridge import Bridge, bridge
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Connection: TypeAlias = "asyncpg.Connection[Any]"
TABLE = """
    DROP TABLE IF EXISTS orders;
    CREATE TABLE orders (id bigserial PRIMARY KEY, item text, hairtrigger_xid xid8 DEFAULT pg_current_xact_id());
    CREATE INDEX ON orders (hairtrigger_xid, id);
"""


@pytest.fixture
async def socket_of(database_url: str) -> str:
    return parse_qs(urlsplit(database_url).query)["host"][0]


@pytest.fixture
async def shop(socket_of: str) -> AsyncIterator[Connection]:
    """Make the user's database, with an empty table, and yield a connection to it."""
    admin = await asyncpg.connect(host=socket_of, user="hairtrigger", database="hairtrigger")
    if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = 'shop'"):
        await admin.execute("CREATE DATABASE shop")
    await admin.close()
    connection = await asyncpg.connect(host=socket_of, user="hairtrigger", database="shop")
    await connection.execute(TABLE)
    yield connection
    await connection.close()


@pytest.fixture
async def server(socket_of: str) -> AsyncIterator[Bridge]:
    async with bridge(lambda: asyncio.open_unix_connection(f"{socket_of}/.s.PGSQL.5432")) as made:
        yield made


@pytest.fixture
async def ear(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Ears]:
    async with ears(store, clock, vault, postgresql.provider) as made:
        yield made


async def a_trigger(ear: Ears, server: Bridge, trigger: str = "on_row_added", **config: Any) -> UUID:
    url = f"postgresql://hairtrigger:secret@127.0.0.1:{server.port}/shop?sslmode=disable"
    connection = await ear.world.connections.create(ear.world.caller, "postgresql", "Shop", {"url": url})
    given = {"table": "orders", "channel": "orders", "every_seconds": 1} if trigger == "on_row_added" else {}
    return await ear.world.create("postgresql", trigger, {**given, **config}, connection.id)


async def enabled(ear: Ears, server: Bridge, trigger: str = "on_row_added", **config: Any) -> UUID:
    id_ = await a_trigger(ear, server, trigger, **config)
    await ear.world.triggers.enable(ear.world.caller, id_)
    return id_


async def add(shop: Connection, *items: str) -> None:
    await shop.executemany("INSERT INTO orders (item) VALUES ($1)", [(one,) for one in items])
    await shop.execute("NOTIFY orders")


async def items(ear: Ears, id_: UUID) -> list[str]:
    return [body["item"] for body in await ear.world.bodies(id_)]


async def test_rows_that_are_added_after_the_trigger_was_enabled_come_once_and_in_order(
    ear: Ears, server: Bridge, shop: Connection
) -> None:
    await add(shop, "before")
    id_ = await enabled(ear, server)
    async with ear.worker():
        await add(shop, "a", "b")
        await ear.until_events(id_, 2)
        await add(shop, "c")
        await ear.until_events(id_, 3)
    assert await items(ear, id_) == ["a", "b", "c"]
    [stored, *_] = await ear.world.bodies(id_)
    assert set(stored) == {"id", "item"}


async def test_a_row_of_a_transaction_that_commits_late_is_not_missed(
    ear: Ears, server: Bridge, shop: Connection, socket_of: str
) -> None:
    id_ = await enabled(ear, server)
    slow: Connection = await asyncpg.connect(host=socket_of, user="hairtrigger", database="shop")
    async with ear.worker():
        late = slow.transaction()
        await late.start()
        await slow.execute("INSERT INTO orders (item) VALUES ('first id, last commit')")
        await add(shop, "a")
        await asyncio.gather(*(add(shop, "b") for _ in range(1)))
        await late.commit()
        await shop.execute("NOTIFY orders")
        await ear.until_events(id_, 3)
    await slow.close()
    assert sorted(await items(ear, id_)) == ["a", "b", "first id, last commit"]


async def test_a_worker_that_dies_before_its_commit_leaves_the_rows_to_the_next(
    ear: Ears, server: Bridge, shop: Connection
) -> None:
    id_ = await enabled(ear, server)
    await add(shop, "a", "b")
    listeners = ear.listeners()
    [claimed] = (await listeners.leases.due(1)).mine
    with pytest.raises(Killed):
        await ear.listeners(dying(ear.world.store, at=1)).listener.run(claimed)
    assert await items(ear, id_) == []
    assert await listeners.leases.take_back(None) == 1
    async with ear.worker():
        await ear.until_events(id_, 2)
    assert await items(ear, id_) == ["a", "b"]


async def test_rows_that_are_added_while_the_server_is_away_come_when_it_is_back(
    ear: Ears, server: Bridge, shop: Connection
) -> None:
    id_ = await enabled(ear, server)
    async with ear.worker() as worker:
        await add(shop, "a")
        await ear.until_events(id_, 1)
        server.open = False
        server.cut()
        await worker.until_all_ended()
        await add(shop, "b")
        server.open = True
        ear.world.clock.advance(seconds(60))
        await worker.look()
        await ear.until_events(id_, 2)
    assert await items(ear, id_) == ["a", "b"]
    assert Code.FAILED in await ear.world.codes(id_, Kind.LISTEN)


async def test_a_row_that_is_too_large_is_told_and_the_others_come(ear: Ears, server: Bridge, shop: Connection) -> None:
    id_ = await enabled(ear, server)
    async with ear.worker():
        await add(shop, "a", "x" * 2_000_000, "b", *("y" * 900_000 for _ in range(12)))
        await ear.until_events(id_, 14)
    assert [one[0] for one in await items(ear, id_)] == ["a", "b", *"y" * 12]
    told = [one for one in await ear.world.outcomes(id_, Kind.LISTEN) if one.code is Code.ITEMS_REFUSED]
    assert [one.detail for one in told] == ["1 rows are larger than 1048576 bytes, and make no event."]


async def test_a_table_without_the_column_is_told_when_the_trigger_is_enabled(
    ear: Ears, server: Bridge, shop: Connection
) -> None:
    await shop.execute("ALTER TABLE orders DROP COLUMN hairtrigger_xid")
    id_ = await a_trigger(ear, server)
    with pytest.raises(ProviderFailed, match="needs a column hairtrigger_xid of the type xid8"):
        await ear.world.triggers.enable(ear.world.caller, id_)


async def test_samples_are_the_last_rows(ear: Ears, server: Bridge, shop: Connection) -> None:
    await add(shop, "a", "b")
    id_ = await a_trigger(ear, server)
    sampler = Sampler(store=ear.world.store, catalogue=ear.world.poller.catalogue, calls=ear.world.poller.calls)
    assert [one["item"] for one in (await sampler.samples(ear.world.caller, id_)).samples] == ["b", "a"]


async def test_notifications_come_while_the_connection_stands(ear: Ears, server: Bridge, shop: Connection) -> None:
    id_ = await enabled(ear, server, "on_notification", channel="News")
    async with ear.worker():
        await ear.until_connected(id_)
        await shop.execute("""NOTIFY "News", 'hello'""")
        await shop.execute("""NOTIFY "News", 'hello'""")
        await ear.until_events(id_, 2)
    assert [one["payload"] for one in await ear.world.bodies(id_)] == ["hello", "hello"]


async def test_notifications_that_come_too_fast_are_told_as_lost(
    ear: Ears, server: Bridge, shop: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_MOST_WAITING", 2)
    id_ = await enabled(ear, server, "on_notification", channel="news")
    async with ear.worker():
        await ear.until_connected(id_)
        await shop.execute("SELECT pg_notify('news', CAST(number AS text)) FROM generate_series(1, 50) AS number")
        await ear.until_events(id_, 2)

        async def told() -> bool:
            said = await ear.world.outcomes(id_, Kind.LISTEN)
            return any(one.code == Code.TRUNCATED and "are lost" in one.detail for one in said)

        await until(told)


async def test_a_database_on_this_machine_is_not_reached_unless_the_operator_allows_it(
    store: Store, clock: ManualClock, vault: Vault, server: Bridge, shop: Connection
) -> None:
    async with ears(store, clock, vault, postgresql.provider, policy=EgressPolicy()) as ear:
        for host in ("127.0.0.1", "localhost"):
            url = f"postgresql://hairtrigger:secret@{host}:{server.port}/shop?sslmode=disable"
            held = await ear.world.connections.create(ear.world.caller, "postgresql", "Shop", {"url": url})
            id_ = await ear.world.create("postgresql", "on_row_added", {"table": "orders"}, held.id)
            with pytest.raises(ProviderFailed, match=r"^The address could not be reached\.$"):
                await ear.world.triggers.enable(ear.world.caller, id_)
    assert server.taken == 0
