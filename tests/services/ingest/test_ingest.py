"""A remembered receiver is never used after its trigger has changed, even if another process changed it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_core import from_json, to_json

from hairtrigger.domain.errors import NotFound, Rejected, Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import webhook
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.services.ingest.receiver_cache import ReceiverCache
from hairtrigger.services.ingest.refusal_counter import RefusalCounter
from hairtrigger.services.ingest.sender_documents import SenderDocuments
from hairtrigger.services.recorder import Recorder
from hairtrigger.store.database import Store
from hairtrigger.store.statements import Statements
from tests.services.world import Meddled, Offline, World, a_world, no_integrations
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

SECRET = "s3cret"


class Watched(Statements):
    """Statements that first let a test do something in another process."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None
        self.count = 0

    async def row(self, statement: str, *arguments: Any) -> Any:
        self.count += 1
        if self.meanwhile:
            await self.meanwhile()
        return await super().row(statement, *arguments)


@dataclass(frozen=True)
class Door:
    """A process that receives requests. To it, everything else that a test does happens in another process."""

    world: World
    ingest: Ingest
    statements: Watched
    look_ups: list[int]

    async def trigger(self, params: Mapping[str, Any] | None = None, secret: str = SECRET) -> UUID:
        id_ = await self.world.create("webhook", "on_request", params)
        await self.world.triggers.rotate_secret(self.world.caller, id_, secret)
        await self.world.triggers.enable(self.world.caller, id_)
        return id_

    async def send(self, id_: UUID, key: str = "a", *, secret: str = SECRET, body: Any = None) -> dict[str, Any]:
        headers = Headers([("x-webhook-secret", secret), ("idempotency-key", key)])
        url = f"https://hooks.test/v1/webhooks/{id_}"
        request = Request("POST", url, headers, to_json(body or {}), self.world.clock.now())
        answer: dict[str, Any] = from_json((await self.ingest.receive(str(id_), request)).body)
        return answer

    async def codes(self, id_: UUID) -> list[Code]:
        return await self.world.codes(id_, Kind.WEBHOOK)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, webhook.provider)


@pytest.fixture
async def door(world: World) -> AsyncIterator[Door]:
    look_ups: list[int] = []

    async def count(number: int) -> None:
        look_ups.append(number)

    store = Meddled(world.store.engine, world.store.connect, before_begin=count)
    statements = Watched(world.store)
    recorder = Recorder(statements, world.clock, Wake(), max_waiting=100, max_waiting_bytes=1024 * 1024)
    receivers = ReceiverCache(store, world.secrets, most=2)
    catalogue = catalogue_of((webhook.provider,), no_integrations)
    running = [asyncio.create_task(recorder.run()), asyncio.create_task(receivers.run())]
    yield Door(
        world,
        Ingest(
            store=store,
            clock=world.clock,
            catalogue=catalogue,
            recorder=recorder,
            receivers=receivers,
            refusals=RefusalCounter(store, world.clock),
            documents=SenderDocuments(store, world.clock, lambda _: Offline()),
            app_secrets={},
        ),
        statements,
        look_ups,
    )
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    statements.close()


async def test_the_second_request_costs_one_statement_and_no_look_up(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")
    door.look_ups.clear()
    door.statements.count = 0

    assert (await door.send(id_, "b"))["status"] == "accepted"

    assert (door.look_ups, door.statements.count) == ([], 1)
    assert sorted(await world.keys(id_)) == ["a", "b"]


async def test_requests_for_unknown_webhooks_leave_room_for_known_ones(world: World) -> None:
    away = asyncio.Event()
    away.set()

    async def wait(_: int) -> None:
        await away.wait()

    store = Meddled(world.store.engine, world.store.connect, before_begin=wait)
    receivers = ReceiverCache(store, world.secrets, max_waiting=20)
    id_ = await world.create("webhook", "on_request", {})
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(receivers.run())
        assert await receivers.look_up(id_)
        away.clear()
        strangers: list[asyncio.Task[object]] = []
        while not any(_refused(one) for one in strangers[-20:]):  # until batches are under way and no room is left
            strangers += [asyncio.create_task(receivers.look_up(uuid4())) for _ in range(20)]
            for _ in range(5):
                await asyncio.sleep(0)
        known = tasks.create_task(receivers.look_up(id_))
        await asyncio.sleep(0)
        away.set()
        assert (found := await known)
        assert found.id == id_
        await asyncio.gather(*strangers, return_exceptions=True)
        running.cancel()


def _refused(task: asyncio.Task[object]) -> bool:
    return task.done() and isinstance(task.exception(), Unavailable)


async def test_a_repeat_is_known_from_memory_too(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_)
    assert await door.send(id_) == {"status": "duplicate", "events": []}
    assert await world.keys(id_) == ["a"]
    assert await door.codes(id_) == [Code.DUPLICATE]


async def test_a_trigger_disabled_between_two_requests_takes_no_more(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")
    await world.triggers.disable(world.caller, id_)
    assert (await door.send(id_, "b"))["reason"] == "disabled"
    assert await world.keys(id_) == ["a"]
    assert await door.codes(id_) == [Code.IGNORED_DISABLED]


async def test_a_trigger_enabled_between_two_requests_takes_the_second(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await world.triggers.disable(world.caller, id_)
    assert (await door.send(id_, "a"))["reason"] == "disabled"
    await world.triggers.enable(world.caller, id_)
    assert (await door.send(id_, "b"))["status"] == "accepted"


async def test_a_trigger_deleted_between_two_requests_is_not_found(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")
    await world.triggers.delete(world.caller, id_)
    with pytest.raises(NotFound):
        await door.send(id_, "b")
    assert await world.keys(id_) == ["a"]


async def test_a_secret_replaced_between_two_requests_opens_nothing_any_more(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")
    await world.triggers.rotate_secret(world.caller, id_, "another", timedelta())
    with pytest.raises(Rejected):
        await door.send(id_, "b")
    assert (await door.send(id_, "c", secret="another"))["status"] == "accepted"
    assert sorted(await world.keys(id_)) == ["a", "c"]
    assert await door.codes(id_) == [Code.REJECTED]


async def test_a_secret_valid_for_a_while_ends_by_the_clock_though_it_is_remembered(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await world.triggers.rotate_secret(world.caller, id_, "another", timedelta(minutes=1))
    await door.send(id_, "a")
    world.clock.advance(timedelta(minutes=2))
    with pytest.raises(Rejected):
        await door.send(id_, "b")


async def test_a_new_secret_is_good_at_once_though_the_old_one_is_remembered(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")
    await world.triggers.rotate_secret(world.caller, id_, "another")
    assert (await door.send(id_, "b", secret="another"))["status"] == "accepted"
    assert await door.codes(id_) == []


async def test_a_configuration_edited_between_two_requests_reads_the_second(world: World, door: Door) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a", body={"id": "b"})
    await world.set_config(id_, {"event_id": "/id"})
    await door.send(id_, "a", body={"id": "b"})
    assert sorted(await world.keys(id_)) == ["a", "b"]


async def test_a_trigger_changed_while_its_request_waits_to_be_stored_is_looked_up_again(
    world: World, door: Door
) -> None:
    id_ = await door.trigger()
    await door.send(id_, "a")

    async def disable() -> None:
        door.statements.meanwhile = None
        await world.triggers.disable(world.caller, id_)

    door.statements.meanwhile = disable
    assert (await door.send(id_, "b"))["reason"] == "disabled"
    assert await world.keys(id_) == ["a"]


async def test_a_trigger_that_never_stands_still_is_answered_with_try_again(world: World, door: Door) -> None:
    id_ = await door.trigger()

    async def rotate() -> None:
        await world.triggers.rotate_secret(world.caller, id_, SECRET)

    door.statements.meanwhile = rotate
    with pytest.raises(Unavailable, match="being changed"):
        await door.send(id_, "a")
    assert await world.keys(id_) == []


async def test_only_so_many_are_remembered_and_those_that_were_asked_for_last(world: World, door: Door) -> None:
    first, second, third = [await door.trigger() for _ in range(3)]
    for id_ in (first, second, first, third):
        await door.send(id_, "a")
    door.look_ups.clear()
    await door.send(first, "b")
    await door.send(third, "b")
    assert door.look_ups == []
    assert (await door.send(second, "b"))["status"] == "accepted"
    assert len(door.look_ups) == 1
