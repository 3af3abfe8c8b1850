"""Listeners on the real store: what a source sends is stored before it is acknowledged, whatever breaks in between."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import to_json

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.privacy import Privacy
from hairtrigger.domain.quotas import DiskFull
from hairtrigger.kit.config import Config
from hairtrigger.kit.trigger import Cursor, Listening, Page, Provider, Question
from hairtrigger.platform.vault import Vault
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store.database import Store
from hairtrigger.store.explain import trigger_health
from tests.services.listening.workers import Ears, ears
from tests.services.world import Killed, dying, seconds
from tests.support.clock import ManualClock, pass_time
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio


class Failed(Exception):
    """An exception of the source's client library."""


class Refused(Failed):
    """The source does not accept the credentials."""


class Settings(Config):
    queue: str = "one"


@dataclass
class Queue:
    """A source that keeps each message until it is acknowledged, and sends all that it keeps to each new listener."""

    kept: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    connections: int = 0
    opened: list[Question[Any]] = field(default_factory=list)
    fails: Exception | None = None
    gap: str = ""
    quiet: bool = False  # it gives no sign of life
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, *messages: str) -> None:
        self.kept += messages
        self.news.set()

    async def listen(self, question: Question[Settings]) -> AsyncGenerator[Page, None]:
        self.opened.append(question)
        if self.fails:
            raise self.fails
        self.connections += 1
        sent: set[str] = set()
        count = (question.cursor or {}).get("count", 0)
        try:
            yield Page((), {"count": count}, gap=self.gap)
            while True:
                while new := [one for one in self.kept if one not in sent]:
                    sent |= set(new)
                    count += len(new)
                    yield Page([Draft(key=one, data=to_json({"id": one})) for one in new], {"count": count})
                    self.acknowledged += new
                    self.kept = [one for one in self.kept if one not in new]
                if self.quiet:
                    await asyncio.Event().wait()
                self.news.clear()
                await self.news.wait()
                if self.fails:
                    raise self.fails
        finally:
            self.connections -= 1

    async def start(self, question: Question[Settings]) -> Cursor:
        if self.fails:
            raise self.fails
        return {"count": 0}

    def provider(self) -> Provider:
        listening = Listening(
            id="on_message",
            name="Message",
            description="",
            config=Settings,
            listen=self.listen,
            start=self.start,
            errors=(Failed,),
            refusals=(Refused,),
        )
        return Provider(id="queue", name="Queue", triggers=(listening,))


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
async def ear(store: Store, clock: ManualClock, vault: Vault, queue: Queue) -> AsyncIterator[Ears]:
    async with ears(store, clock, vault, queue.provider()) as made:
        yield made


@pytest.fixture
async def message(ear: Ears) -> UUID:
    return await ear.world.enabled("queue", "on_message")


async def state(ear: Ears, id_: UUID) -> tuple[str, str]:
    """Return the trigger's health and the reason of it."""
    world = ear.world
    diagnosis = Diagnosis(
        clock=world.clock, catalogue=world.poller.catalogue, poll_deadline=seconds(10), schedule_grace=seconds(60)
    )
    async with world.store.transaction() as tx:
        condition = await trigger_health.of_trigger(tx, world.caller.org_id, diagnosis.expectations(), id_)
    health = diagnosis.health(condition)
    return health.status, health.reason


async def test_a_message_is_stored_before_it_is_acknowledged(ear: Ears, queue: Queue, message: UUID) -> None:
    queue.send("a", "b")
    async with ear.worker():
        assert await ear.until_events(message, 2) == ["a", "b"]
        await until_true(lambda: queue.acknowledged == ["a", "b"])
        queue.send("c")
        await until_true(lambda: queue.acknowledged == ["a", "b", "c"])
        assert await ear.world.keys(message) == ["a", "b", "c"]
    assert (await ear.world.clockwork(message)).cursor == {"count": 3}
    assert queue.connections == 0


async def test_a_worker_that_dies_with_the_commit_acknowledges_nothing_and_nothing_is_lost_or_doubled(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    queue.send("a")
    listeners = ear.listeners()
    [claimed] = (await listeners.leases.due(1)).mine
    dead = dying(ear.world.store, at=2)  # the first page says that the connection stands
    with pytest.raises(Killed):
        await ear.listeners(dead).listener.run(claimed)
    assert (queue.kept, queue.acknowledged, await ear.world.keys(message)) == (["a"], [], [])

    assert await listeners.leases.take_back(None) == 1
    async with ear.worker():
        assert await ear.until_events(message, 1) == ["a"]
        await until_true(lambda: queue.acknowledged == ["a"])
    assert await ear.world.keys(message) == ["a"]


async def test_a_message_whose_acknowledgement_was_lost_comes_again_and_is_a_repeat(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    queue.send("a")
    async with ear.worker():
        await until_true(lambda: queue.acknowledged == ["a"])
    queue.send("a")
    ear.world.clock.advance(seconds(2))
    async with ear.worker():
        await until_true(lambda: queue.acknowledged == ["a", "a"])
    assert await ear.world.keys(message) == ["a"]


async def test_only_one_worker_listens_and_another_goes_on_when_it_stops(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    async with ear.worker() as first:
        await ear.until_connected(message)
        async with ear.worker() as second:
            assert (first.listeners.under_way, second.listeners.under_way) == (1, 0)
            await first.listeners.drain(timedelta())
            await second.look()
            assert second.listeners.under_way == 1
            queue.send("a")
            assert await ear.until_events(message, 1) == ["a"]
    assert queue.connections == 0


async def test_a_listener_outlives_its_first_lease_and_is_free_when_its_worker_no_longer_renews_it(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    async with ear.worker() as worker, ear.worker() as other:
        hold = worker.listeners.leases.hold
        for _ in range(4):
            ear.world.clock.advance(hold / 2)
            await worker.look()
            await other.look()
        assert (worker.listeners.under_way, other.listeners.under_way) == (1, 0)

        ear.world.clock.advance(hold)
        await other.look()
        assert other.listeners.under_way == 1
        await worker.look()
        await worker.until_all_ended()
        queue.send("a")
        assert await ear.until_events(message, 1) == ["a"]
    assert await ear.world.keys(message) == ["a"]


@pytest.mark.parametrize("change", ["disable", "delete", "edit", "privacy"])
async def test_a_listener_whose_trigger_changes_stores_nothing_more_and_begins_again_as_the_trigger_is_now(
    ear: Ears, queue: Queue, message: UUID, change: str
) -> None:
    world = ear.world
    async with ear.worker() as worker:
        await ear.until_connected(message)
        match change:
            case "disable":
                await world.triggers.disable(world.caller, message)
            case "delete":
                await world.triggers.delete(world.caller, message)
            case "edit":
                given = TriggerChanges(frozenset({"trigger_config"}), config={"queue": "two"})
                await world.triggers.change(world.caller, message, given)
            case "privacy":
                given = TriggerChanges(frozenset({"privacy"}), privacy=Privacy(redact=("/id",)))
                await world.triggers.change(world.caller, message, given)
        queue.send("a")  # the lease has ended with the change
        await worker.until_all_ended()
        assert (queue.kept, queue.acknowledged) == (["a"], [])
        await worker.look()
        if change in {"edit", "privacy"}:
            assert await ear.until_events(message, 1) == ["a"]
            assert queue.opened[-1].config.queue == ("two" if change == "edit" else "one")
            [stored] = await world.bodies(message)
            assert (stored == {"id": "a"}) == (change == "edit")
        else:
            assert worker.listeners.under_way == 0
            assert queue.acknowledged == []


async def test_a_connection_that_fails_is_made_again_after_longer_and_longer_waits(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    queue.fails = Failed("the broker is away")
    waits = []
    async with ear.worker() as worker:
        for _ in range(6):
            await worker.until_all_ended()
            row = await ear.world.clockwork(message)
            assert row.next_at
            waits.append((row.next_at - ear.world.clock.now()).total_seconds())
            ear.world.clock.advance(row.next_at - ear.world.clock.now())
            await worker.look()
        await worker.until_all_ended()
        assert waits == [5, 10, 20, 40, 60, 60]
        status, reason = await state(ear, message)
        assert status == "failing"
        assert "The last 7 connections failed. The connection failed: the broker is away." in reason

        queue.fails = None
        queue.send("a")
        ear.world.clock.advance(seconds(60))
        await worker.look()
        await ear.until_events(message, 1)
        status, reason = await state(ear, message)
        assert status == "healthy"
        assert "It is connected since" in reason
        assert "Its last event came at" in reason
    assert set(await ear.world.codes(message, Kind.LISTEN)) >= {Code.FAILED, Code.LISTENING}


async def test_credentials_that_are_refused_are_told_as_that(ear: Ears, queue: Queue, message: UUID) -> None:
    queue.fails = Refused("wrong password")
    async with ear.worker() as worker:
        await worker.until_all_ended()
    assert await ear.world.codes(message, Kind.LISTEN) == [Code.CREDENTIALS_REFUSED]


async def test_a_source_that_can_not_be_reached_is_told_when_the_trigger_is_enabled(ear: Ears, queue: Queue) -> None:
    queue.fails = Failed("the broker is away")
    id_ = await ear.world.create("queue", "on_message")
    with pytest.raises(ProviderFailed, match="the broker is away"):
        await ear.world.triggers.enable(ear.world.caller, id_)
    assert not (await ear.world.trigger(id_)).enabled


async def test_a_connection_without_a_sign_of_life_is_ended(ear: Ears, queue: Queue, message: UUID) -> None:
    queue.quiet = True
    async with ear.worker() as worker:
        await ear.until_connected(message)
        pass_time(timedelta(minutes=2))
        await worker.until_all_ended()
        assert queue.connections == 0
    [ended] = [one for one in await ear.world.outcomes(message, Kind.LISTEN) if one.code is not Code.LISTENING]
    assert (ended.code, ended.detail) == (Code.TIMED_OUT, "Nothing came for 60 seconds, not even a sign of life.")


async def test_a_gap_that_the_source_tells_is_recorded(ear: Ears, queue: Queue, message: UUID) -> None:
    queue.gap = "The queue begins at 7, and 3 came last."
    async with ear.worker():
        await ear.until_connected(message)
    told = await ear.world.outcomes(message, Kind.LISTEN)
    assert (Code.TRUNCATED, queue.gap) in [(one.code, one.detail) for one in told]


async def test_events_that_are_refused_are_not_acknowledged_and_come_later(
    ear: Ears, queue: Queue, message: UUID
) -> None:
    queue.send("a")
    listeners = ear.listeners()
    [claimed] = (await listeners.leases.due(1)).mine
    code = await replace(listeners.listener, refusal=lambda _: DiskFull()).run(claimed)
    assert (code, queue.acknowledged, await ear.world.keys(message)) == (Code.DISK_FULL, [], [])

    ear.world.clock.advance(timedelta(hours=1))
    async with ear.worker():
        assert await ear.until_events(message, 1) == ["a"]


async def test_a_listener_without_a_place_waits_and_is_overdue(ear: Ears, queue: Queue, message: UUID) -> None:
    second = await ear.world.enabled("queue", "on_message")
    async with ear.worker(places=1) as worker:
        assert worker.listeners.under_way == 1
        ear.world.clock.advance(seconds(60))
        waiting = [id_ for id_ in (message, second) if (await ear.world.clockwork(id_)).lease is None]
        assert [(await state(ear, id_))[0] for id_ in waiting] == ["stalled"]
