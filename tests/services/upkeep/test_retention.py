"""Old rows are dropped, rows that are still needed are kept, and no other work waits for the dropping."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.operational import DiskUsed, OperationalEvent, OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.replays import ReplayQuery, Replays
from hairtrigger.services.upkeep.retention import Retention
from hairtrigger.store import idempotency, partitions
from hairtrigger.store.alerts import operational_events
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.delivery import deliveries, history, replays
from hairtrigger.store.delivery.deliveries import Attempt
from hairtrigger.store.events import events, outcomes, request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.partitions import ATTEMPT, EVENT, OUTCOME
from hairtrigger.store.statements import open_statements
from hairtrigger.store.upkeep import retention
from tests.services.world import World, a_world
from tests.store import locks
from tests.store.build import an_event
from tests.store.claims import claim
from tests.support.clock import ManualClock, pass_time
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """Provide a store on its own database: other tests would miss the partitions that are dropped here."""
    name = "retaining"
    async with open_store(database_url, connections=1) as admin, admin.session() as session:
        await session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await session.execute(f"CREATE DATABASE {name}")
    async with open_store(database_url.replace("/hairtrigger?", f"/{name}?")) as store:
        await store.migrate()
        yield store


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider)


@pytest.fixture
async def trigger(world: World) -> UUID:
    return await world.create("schedule", "on_schedule", {"interval": "1h"})


@pytest.fixture
def retaining(world: World) -> Retention:
    return Retention(
        store=world.store, direct=world.store, clock=world.clock, events=3 * DAY, ledger=6 * DAY, keys=7 * DAY
    )


async def happen(world: World, trigger: UUID, key: str) -> Event:
    event = an_event(world.caller.org_id, world.project_id, trigger, key, world.clock.now())
    async with world.store.transaction() as tx:
        await partitions.make_ahead(tx, world.clock.now().date())
        await events.append(tx, [event])
        await outcomes.record(tx, Outcome(Kind.WEBHOOK, Code.ACCEPTED, world.clock.now(), None, trigger))
    return event


async def deliver(world: World, *, dead: str | None = None) -> None:
    now = world.clock.now()
    async with world.store.transaction() as tx:
        await partitions.make_ahead(tx, now.date())
    _, claimed = await claim(world.store, 100, timedelta(seconds=30))
    async with world.store.transaction() as tx:
        for one in claimed:
            status = "failed" if dead else "delivered"
            made = Attempt(one.message, world.caller.org_id, status, None, "", b"", None, now, now, dead=dead)  # type: ignore[arg-type]
            await deliveries.finish(tx, [made])


async def days(world: World, table: str) -> list[date]:
    async with world.store.transaction() as tx:
        return await partitions.days_of(tx, table)


async def count(world: World, table: str) -> int:
    async with world.store.transaction() as tx:
        return int((await tx.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def status(world: World, id_: UUID) -> str | None:
    async with world.store.transaction() as tx:
        found = await history.deliveries(tx, world.caller.org_id, limit=1, id=id_)
    return found[0].status if found else None


async def test_events_go_by_the_day_and_what_tells_of_them_later(
    world: World, trigger: UUID, retaining: Retention
) -> None:
    first = world.clock.now().date()
    for number in range(8):
        await happen(world, trigger, str(number))
        await deliver(world)
        world.clock.advance(DAY)
    today = world.clock.now().date()

    await retaining.forget()

    assert [day for day in await days(world, EVENT) if day < today] == [today - n * DAY for n in (3, 2, 1)]
    assert min(await days(world, ATTEMPT)) == today - 6 * DAY
    assert min(await days(world, OUTCOME)) == today - 6 * DAY
    assert await count(world, "event") == 3
    assert await count(world, "attempt") == await count(world, "outcome") == 6
    assert first < today - 6 * DAY


async def test_a_day_with_a_delivery_on_its_way_is_kept_with_its_attempts_until_that_has_ended(
    world: World, trigger: UUID, retaining: Retention
) -> None:
    delivered = await happen(world, trigger, "delivered")
    await deliver(world)
    stuck = await happen(world, trigger, "stuck")
    world.clock.advance(30 * DAY)

    await retaining.forget()
    assert [await status(world, one.id) for one in (delivered, stuck)] == ["delivered", "pending"]

    await deliver(world)
    await retaining.forget()
    assert [await status(world, one.id) for one in (delivered, stuck)] == [None, None]
    assert delivered.day not in await days(world, ATTEMPT)


async def test_dead_letters_and_replays_go_with_their_events(world: World, trigger: UUID, retaining: Retention) -> None:
    old = await happen(world, trigger, "old")
    await deliver(world, dead="No more attempts.")
    world.clock.advance(2 * DAY)
    new = await happen(world, trigger, "new")
    async with world.store.transaction() as tx:
        await replays.add(tx, [old, new], "a test", world.clock.now())
    await deliver(world, dead="No more attempts.")
    assert (await count(world, "dead"), await count(world, "replay")) == (4, 2)
    world.clock.advance(2 * DAY)

    await retaining.forget()

    assert (await count(world, "dead"), await count(world, "replay")) == (2, 1)
    assert await status(world, new.id) == "dead"


async def test_keys_are_remembered_as_long_as_they_are_seen_and_seven_days_more(
    world: World, trigger: UUID, retaining: Retention
) -> None:
    for key in ("seen once", "seen again"):
        await happen(world, trigger, key)
    world.clock.advance(7 * DAY)
    await retaining.forget_keys()
    async with world.store.transaction() as tx:
        assert await events.known(tx, trigger, ["seen once", "seen again"]) == {"seen once", "seen again"}
        await retention.remember_keys(tx, [(trigger, "seen again")], world.clock.now().date())
    world.clock.advance(DAY)

    await retaining.forget_keys()

    async with world.store.transaction() as tx:
        assert await events.known(tx, trigger, ["seen once", "seen again"]) == {"seen again"}


async def test_all_pages_of_the_keys_are_looked_through(world: World, trigger: UUID, retaining: Retention) -> None:
    async with world.store.transaction() as tx:
        await tx.connection.execute(
            text(
                """
                INSERT INTO event_key SELECT gen_random_uuid(), repeat('k', 400) || n, gen_random_uuid(), :day
                FROM generate_series(1, 60000) AS n
                """
            ),
            {"day": world.clock.now().date() - 10 * DAY},
        )
        pages = await tx.connection.execute(text("SELECT max(pg_relation_size(relid)) / 8192 FROM pg_stat_user_tables"))
        assert pages.scalar_one() > retention.KEY_PAGES

    await retaining.forget_keys()

    assert await count(world, "event_key") == 0


async def test_replays_of_many_go_with_the_ledger_when_they_have_ended(world: World, retaining: Retention) -> None:
    replaying = Replays(store=world.store, clock=world.clock, work=Wake())

    async def started() -> UUID:
        return (await replaying.start(world.caller, ReplayQuery(), 10, None)).id

    async def left() -> list[UUID]:
        return [one.id for one in await replaying.list(world.caller, limit=10, before=None)]

    ended = await started()
    await replaying.run_due()
    cancelled, under_way = await started(), await started()
    await replaying.cancel(world.caller, cancelled)
    world.clock.advance(6 * DAY)
    await retaining.forget()
    assert set(await left()) == {ended, cancelled, under_way}
    world.clock.advance(timedelta(seconds=1))

    await retaining.forget()

    assert await left() == [under_way]


async def test_answers_for_repeated_requests_are_kept_for_a_day(world: World, retaining: Retention) -> None:
    async with world.store.transaction() as tx:
        for n in range(retention.BATCH + 1):
            await idempotency.begin(tx, world.caller.org_id, f"old {n}", b"", world.clock.now())
    world.clock.advance(DAY + timedelta(seconds=1))
    async with world.store.transaction() as tx:
        await idempotency.begin(tx, world.caller.org_id, "new", b"", world.clock.now())

    await retaining.forget()

    assert await count(world, "idempotency") == 1


async def test_operational_events_go_with_the_ledger_and_the_alerts_of_them_too(
    world: World, retaining: Retention
) -> None:
    async def tell() -> None:
        now = world.clock.now()
        details = DiskUsed(used_percent=91)
        told = OperationalEvent(new_id(now), world.caller.org_id, OperationalType.DISK_LOW, now, "It is low.", details)
        async with world.store.transaction() as tx:
            await operational_events.record(tx, [told])

    async def left() -> int:
        async with world.store.transaction() as tx:
            return len(await operational_events.page(tx, world.caller.org_id, limit=10))

    await tell()
    world.clock.advance(6 * DAY)
    await tell()
    await retaining.forget()
    assert await left() == 2
    world.clock.advance(DAY)
    await retaining.forget()
    assert await left() == 1


async def test_a_reader_that_takes_long_holds_up_the_dropping_and_no_event(
    world: World, trigger: UUID, retaining: Retention
) -> None:
    old = await happen(world, trigger, "old")
    await deliver(world)
    world.clock.advance(5 * DAY)
    await happen(world, trigger, "before")

    async with _reading(world.store):
        dropping = asyncio.create_task(retaining.forget())
        await until(partial(locks.waiting, world.store))
        await happen(world, trigger, "meanwhile")
        assert not dropping.done()
        pass_time(timedelta(seconds=partitions._DETACH_SECONDS))
        await dropping
        async with world.store.transaction() as tx:
            await partitions.make(tx.connection, [world.clock.now().date() + 100 * DAY])  # no new partition waits
        assert old.day - DAY not in await days(world, EVENT)  # this day is hidden already
        assert old.day in await days(world, EVENT)

    await retaining.forget()
    assert old.day not in await days(world, EVENT)
    async with world.store.transaction() as tx:
        assert [await partitions.detached(tx, table) for table in partitions.TABLES] == [[], [], []]


@asynccontextmanager
async def _reading(store: Store) -> AsyncIterator[None]:
    """Keep a transaction open that has read all events and attempts."""
    async with store.transaction() as tx:
        await tx.connection.execute(text("SELECT count(*) FROM event"))
        await tx.connection.execute(text("SELECT count(*) FROM attempt"))
        yield


async def test_a_day_without_a_partition_is_made_when_an_insert_misses_it(world: World, trigger: UUID) -> None:
    world.clock.advance(1000 * DAY)
    event = an_event(world.caller.org_id, world.project_id, trigger, "later", world.clock.now())

    with pytest.raises(Unavailable):
        async with world.store.transaction() as tx:
            await events.append(tx, [event])
    async with world.store.transaction() as tx:
        assert await events.append(tx, [event]) == {event.id}


async def test_the_statement_of_a_webhook_finds_its_day_at_the_second_try(world: World, trigger: UUID) -> None:
    world.clock.advance(3000 * DAY)
    outcome = Outcome(Kind.WEBHOOK, Code.REJECTED, world.clock.now(), None, trigger)
    async with open_statements(world.store) as statements:
        with pytest.raises(Unavailable):
            await request_batches.write(statements, [Write(outcomes=[outcome])], world.clock.now())
        await request_batches.write(statements, [Write(outcomes=[outcome])], world.clock.now())

    assert await count(world, "outcome") == 1


async def test_processes_that_make_partitions_at_once_do_not_disturb_each_other(world: World) -> None:
    wanted = [world.clock.now().date() + n * DAY for n in range(2000, 2005)]

    async def make() -> None:
        async with world.store.transaction() as tx:
            await partitions.make(tx.connection, wanted)

    await asyncio.gather(*(make() for _ in range(4)))

    assert set(wanted) <= set(await days(world, EVENT))


async def test_the_clocks_are_compared(world: World) -> None:
    async with world.store.transaction() as tx:
        assert abs(await retention.clock_difference(tx, datetime.now().astimezone())) < 5
        assert await retention.clock_difference(tx, datetime.now().astimezone() - DAY) > 80_000
