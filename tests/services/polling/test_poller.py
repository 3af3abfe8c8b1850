"""Polls on the real store: each item of a provider is stored once, whatever breaks in between."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from hairtrigger.domain.errors import (
    Conflict,
    CredentialsRefused,
    NotFound,
    NotReady,
    PollFailed,
    ProviderFailed,
    Unavailable,
)
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.rhythm import next_beat
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.config import Empty
from hairtrigger.kit.cursor import LookBack
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import Replays
from hairtrigger.services.polling.poller import Result
from hairtrigger.services.upkeep.due_work import DueWork
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections
from tests.services.world import Killed, Meddled, World, a_world, at, dying, seconds
from tests.support.clock import ManualClock, pass_time
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

EVERY = timedelta(minutes=1)  # longer than a lease
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)  # the time that an answer takes


def page(*keys: str, more: bool = False, **cursor: Any) -> Page:
    return Page([Draft(key=key, data=to_json({"id": key})) for key in keys], cursor, more=more)


@dataclass
class Source:
    """A provider that gives the answers of a test in turn, and then repeats the last one."""

    clock: ManualClock
    answers: list[Page | Exception | Callable[[], Awaitable[Page]]] = field(default_factory=lambda: [page()])
    asked: list[Question[Any]] = field(default_factory=list)

    async def poll(self, question: Question[Any]) -> Page:
        self.asked.append(question)
        self.clock.advance(MOMENT)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        match answer:
            case Page():
                return answer
            case Exception():
                raise answer
            case _:
                return await answer()

    def says(self, *answers: Page | Exception | Callable[[], Awaitable[Page]]) -> None:
        self.answers[:] = answers

    def provider(self, *, baseline: bool = False) -> Provider:
        poll = Polling(
            id="on_item",
            name="Item",
            description="",
            config=PollingConfig,
            poll=self.poll,
            every=EVERY,
            baseline=baseline,
            needs_connection=False,
        )
        connected = replace(poll, id="on_own_item", needs_connection=True)
        return Provider(id="source", name="Source", auth=Bearer("token"), triggers=(poll, connected))


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, source: Source) -> World:
    return await a_world(store, clock, vault, source.provider(), schedule.provider)


@pytest.fixture
async def item(world: World) -> UUID:
    """Make an enabled trigger that is due, and return its id."""
    return await world.enabled("source", "on_item")


async def cursor(world: World, id_: UUID) -> Any:
    return (await world.clockwork(id_)).cursor


async def polled(world: World) -> Result:
    """Run the one poll that is due, and return its result."""
    [result] = await world.poll_due()
    return result


# -- events and cursor


async def test_a_poll_stores_its_events_in_order_with_its_cursor_and_says_so(
    world: World, source: Source, item: UUID
) -> None:
    source.says(page("c", "a", "b", seen=3))

    result = await polled(world)

    assert (result.code, len(result.events)) == (Code.ACCEPTED, 3)
    assert await world.keys(item) == ["c", "a", "b"]
    assert await cursor(world, item) == {"seen": 3}
    [outcome] = await world.outcomes(item, Kind.POLL)
    assert (outcome.code, outcome.events) == (Code.ACCEPTED, 3)


async def test_what_was_there_before_is_a_repeat_and_nothing_is_empty(world: World, source: Source, item: UUID) -> None:
    for answer, code in ((page("a", n=1), "accepted"), (page("a", n=2), "duplicate"), (page(n=3), "empty")):
        source.says(answer)
        assert (await polled(world)).code == code
        world.clock.advance(EVERY)
    assert await world.keys(item) == ["a"]
    assert await world.codes(item, Kind.POLL) == [Code.ACCEPTED, Code.DUPLICATE, Code.EMPTY]
    assert await cursor(world, item) == {"n": 3}


async def test_a_process_that_dies_with_the_commit_leaves_neither_events_nor_cursor(
    world: World, source: Source, item: UUID
) -> None:
    source.says(page("a", seen=1))
    [claimed] = (await world.poller.claim(10)).mine
    with pytest.raises(Killed):
        await world.poller_on(dying(world.store, at=1)).run(claimed)
    assert (await world.keys(item), await cursor(world, item)) == ([], None)

    world.clock.advance(EVERY)
    await polled(world)

    assert (await world.keys(item), await cursor(world, item)) == (["a"], {"seen": 1})
    assert [question.cursor for question in source.asked] == [None, None]


async def test_every_page_is_stored_as_it_comes_and_the_next_is_asked_from_there(
    world: World, source: Source, item: UUID
) -> None:
    stored: list[list[str]] = []

    async def second() -> Page:
        stored.append(await world.keys(item))
        return page("b", more=True, page=2)

    source.says(page("a", more=True, page=1), second, page("c", page=3))

    result = await polled(world)

    assert stored == [["a"]], "the first page waited for the second"
    assert [question.cursor for question in source.asked] == [None, {"page": 1}, {"page": 2}]
    assert await world.keys(item) == ["a", "b", "c"]
    assert len(result.events) == 3
    [outcome] = await world.outcomes(item, Kind.POLL)
    assert (outcome.code, outcome.events) == (Code.ACCEPTED, 3)


async def test_what_came_before_a_page_that_fails_is_kept_and_counted(world: World, source: Source, item: UUID) -> None:
    source.says(page("a", more=True, page=1), ProviderFailed("The provider answered 500."))

    result = await polled(world)

    assert (result.code, len(result.events)) == (Code.FAILED, 1)
    assert (await world.keys(item), await cursor(world, item)) == (["a"], {"page": 1})
    [outcome] = await world.outcomes(item, Kind.POLL)
    assert (outcome.code, outcome.events) == (Code.FAILED, 1)


async def test_a_provider_that_always_has_more_is_left_for_the_next_poll(
    world: World, source: Source, item: UUID
) -> None:
    source.says(page("a", more=True))

    assert (await polled(world)).code == Code.ACCEPTED

    assert len(source.asked) == 100
    assert await world.poll_due() == []


# -- failures


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (ProviderFailed("The provider answered 500."), Code.FAILED, "The provider answered 500."),
        (PollFailed("TypeError: x is undefined (line 3)"), Code.FAILED, "TypeError: x is undefined (line 3)"),
        (CredentialsRefused(), Code.CREDENTIALS_REFUSED, "Connect the account again."),
        (ProviderFailed("429", retry_after=seconds(5)), Code.RATE_LIMITED, "429"),
        (KeyError("a fault of a provider file"), Code.BROKEN, "The poll broke inside the service; see its log."),
        (ValueError("\0"), Code.BROKEN, "The poll broke inside the service; see its log."),
    ],
)
async def test_a_poll_that_raises_leaves_the_cursor_says_why_and_gives_the_lease_back(
    world: World, source: Source, item: UUID, error: Exception, code: Code, reason: str
) -> None:
    source.says(page("a", seen=1))
    await polled(world)
    world.clock.advance(EVERY)
    source.says(error)

    result = await polled(world)

    assert result.code == code
    assert await cursor(world, item) == {"seen": 1}
    outcome = (await world.outcomes(item, Kind.POLL))[-1]
    assert outcome.code == code
    assert reason in outcome.detail
    found = await world.clockwork(item)
    again = HOUR if code is Code.CREDENTIALS_REFUSED else EVERY
    assert (found.lease, found.failures, found.next_at) == (None, 1, world.clock.now() + again)
    assert found.error == outcome.detail


async def test_a_missing_secret_is_told_and_nobody_is_asked(world: World, source: Source) -> None:
    connection = await world.connections.create(world.caller, "source", "Mine", {"token": "secret"})
    id_ = await world.create("source", "on_own_item", connection_id=connection.id)
    await world.triggers.enable(world.caller, id_)
    await world.connections.update(world.caller, connection.id, None, {"token": "other"})
    await polled(world)
    assert source.asked[-1].api.carried.headers == {"authorization": "Bearer other"}

    sealed = world.secrets.seal_for_connection(connection.id, {})  # as if an earlier version needed no token
    async with world.store.transaction() as tx:
        await connections.change(tx, connection.id, world.clock.now(), secrets=sealed)
    world.clock.advance(EVERY)
    result = await polled(world)

    assert (result.code, result.detail) == (Code.CREDENTIALS_REFUSED, "The connection lacks token.")
    assert len(source.asked) == 1


async def test_a_configuration_that_is_no_longer_valid_is_told(world: World, source: Source, item: UUID) -> None:
    await world.set_config(item, {"polling_frequency": "often"})
    assert (await polled(world)).code == Code.FAILED
    assert source.asked == []


async def test_the_next_poll_is_never_before_the_provider_allows(world: World, source: Source, item: UUID) -> None:
    source.says(ProviderFailed("429", retry_after=HOUR * 7))
    await polled(world)
    world.clock.advance(HOUR * 7 - seconds(1))
    assert await world.poll_due() == []
    world.clock.advance(seconds(1))
    assert len(await world.poll_due()) == 1


async def test_failures_in_a_row_wait_longer_up_to_an_hour_and_a_success_forgets_them(
    world: World, source: Source, item: UUID
) -> None:
    source.says(ProviderFailed("500"))
    waits = []
    for _ in range(20):
        await polled(world)
        found = await world.clockwork(item)
        assert found.next_at
        waits.append(found.next_at - world.clock.now())
        world.clock.advance(waits[-1])
    assert waits == [min(EVERY * 2**n, HOUR) for n in range(20)]

    source.says(page())
    await polled(world)
    found = await world.clockwork(item)
    assert (found.failures, found.next_at) == (0, next_beat(item, EVERY, world.clock.now()))
    world.clock.advance(EVERY)
    source.says(ProviderFailed("500"))
    await polled(world)
    assert (await world.clockwork(item)).next_at == at(world.clock, 60)


async def test_why_a_trigger_fails_and_since_when_is_kept_until_it_succeeds(
    world: World, source: Source, item: UUID
) -> None:
    source.says(ProviderFailed("first"), ProviderFailed("second"))
    await polled(world)
    began = world.clock.now()
    world.clock.advance(EVERY)
    await polled(world)
    found = await world.clockwork(item)
    assert (found.failures, found.error, found.failing_since) == (2, "second", began)

    world.clock.advance(HOUR)
    source.says(page())
    await polled(world)
    found = await world.clockwork(item)
    assert (found.failures, found.error, found.failing_since) == (0, None, None)


async def test_a_trigger_polled_less_than_hourly_does_not_come_back_sooner_when_it_fails(
    world: World, source: Source
) -> None:
    id_ = await world.enabled("source", "on_item", {"polling_frequency": 7200})
    source.says(ProviderFailed("500"))
    for _ in range(3):
        await polled(world)
        assert (await world.clockwork(id_)).next_at == at(world.clock, 7200)
        world.clock.advance(HOUR * 2)


async def test_a_poll_over_its_deadline_fails(world: World, source: Source, item: UUID) -> None:
    source.says(partial(hang, world))
    [claimed] = (await world.poller.claim(10)).mine

    result = await world.poller.run(claimed)

    assert result.code == Code.TIMED_OUT
    assert "longer than" in result.detail
    assert (await world.clockwork(item)).lease is None


async def hang(world: World) -> Page:
    """Let the deadline pass without an answer."""
    pass_time(world.poller.deadline)
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_hung_poll_gives_its_slot_to_the_next(world: World, source: Source, item: UUID) -> None:
    """Run the real loops, with one place for two triggers that are due."""
    other = await world.enabled("source", "on_item")
    second = asyncio.Event()

    async def answer() -> Page:
        second.set()
        return page("a")

    source.says(partial(hang, world), answer)
    work = Wake()
    due_work = DueWork(
        store=world.store,
        clock=world.clock,
        poller=world.poller,
        schedules=world.schedules,
        webhook_removals=world.webhook_removals,
        subscriptions=world.subscriptions,
        pauses=Pauses(store=world.store, clock=world.clock, work=work),
        replays=Replays(store=world.store, clock=world.clock, work=work),
        work=work,
        places=Shares.beyond(1),
    )
    loops = asyncio.create_task(due_work.run())
    await second.wait()
    loops.cancel()
    await asyncio.gather(loops, return_exceptions=True)

    assert sorted([(await world.clockwork(one)).failures for one in (item, other)]) == [0, 1]


async def test_while_the_database_is_away_the_lease_runs_out_by_itself(
    world: World, source: Source, item: UUID
) -> None:
    async def away(_: int) -> None:
        raise Unavailable

    source.says(page("a"))
    [claimed] = (await world.poller.claim(10)).mine
    with pytest.raises(Unavailable):
        await world.poller_on(Meddled(world.store.engine, world.store.connect, before_begin=away)).run(claimed)
    assert await world.poll_due() == []
    world.clock.advance(EVERY)
    await polled(world)
    assert await world.keys(item) == ["a"]


# -- leases


async def test_two_workers_run_one_due_poll_once(world: World, source: Source) -> None:
    for _ in range(20):
        await world.enabled("source", "on_item")
    claims = await asyncio.gather(*(world.poller.claim(20) for _ in range(5)))
    claimed = [one.trigger.id for share in claims for one in share.mine]
    assert len(claimed) == len(set(claimed)) == 20


async def _disable(world: World, id_: UUID) -> None:
    await world.triggers.disable(world.caller, id_)


async def _enable_again(world: World, id_: UUID) -> None:
    await _disable(world, id_)
    await world.triggers.enable(world.caller, id_)


async def _delete(world: World, id_: UUID) -> None:
    await world.triggers.delete(world.caller, id_)


async def _edit(world: World, id_: UUID) -> None:
    await world.set_config(id_, {"polling_frequency": 60})


@pytest.mark.parametrize("change", [_disable, _enable_again, _delete, _edit])
@pytest.mark.parametrize("answer", [page("a", seen=1), page("a", more=True, seen=1), ProviderFailed("500")])
async def test_a_poll_begun_before_its_trigger_was_changed_stores_nothing_and_says_so(
    world: World,
    source: Source,
    item: UUID,
    change: Callable[[World, UUID], Awaitable[None]],
    answer: Page | ProviderFailed,
) -> None:
    async def meanwhile() -> Page:
        await change(world, item)
        if isinstance(answer, ProviderFailed):
            raise answer
        return answer

    source.says(meanwhile)

    assert (await polled(world)).code == Code.STALE
    assert (await world.keys(item), len(source.asked)) == ([], 1)
    assert await world.codes(item, Kind.POLL) == [Code.STALE]


@pytest.mark.parametrize("change", [_disable, _enable_again, _delete, _edit])
async def test_a_trigger_changed_between_two_pages_keeps_the_first_and_stores_no_second(
    world: World, source: Source, item: UUID, change: Callable[[World, UUID], Awaitable[None]]
) -> None:
    async def meanwhile() -> Page:
        await change(world, item)
        return page("b", page=2)

    source.says(page("a", more=True, page=1), meanwhile)

    result = await polled(world)

    assert (result.code, len(result.events)) == (Code.STALE, 1)
    assert await world.keys(item) == ["a"]
    if change is not _delete:
        assert await cursor(world, item) == {"page": 1}
    [outcome] = await world.outcomes(item, Kind.POLL)
    assert (outcome.code, outcome.events) == (Code.STALE, 1)


async def test_a_poll_whose_process_died_between_two_pages_goes_on_from_the_second(
    world: World, source: Source, item: UUID
) -> None:
    source.says(page("a", more=True, page=1), page("b", page=2))
    [claimed] = (await world.poller.claim(10)).mine
    with pytest.raises(Killed):
        await world.poller_on(dying(world.store, at=2)).run(claimed)
    world.clock.advance(world.poller.leases.hold)
    await polled(world)

    assert await world.keys(item) == ["a", "b"]
    assert [question.cursor for question in source.asked] == [None, {"page": 1}, {"page": 1}]


async def test_very_many_events_are_stored_in_parts_and_the_cursor_with_the_last(
    world: World, source: Source, item: UUID
) -> None:
    """The event loop has a turn between parts; a process that dies there loses nothing and repeats nothing."""
    many = [f"{number:04}" for number in range(1200)]
    source.says(page(*many, seen=1))
    [claimed] = (await world.poller.claim(10)).mine
    with pytest.raises(Killed):
        await world.poller_on(dying(world.store, at=3)).run(claimed)
    assert (await world.keys(item), await cursor(world, item)) == (many[:1000], None)

    world.clock.advance(world.poller.leases.hold)
    result = await polled(world)

    assert (await world.keys(item), await cursor(world, item)) == (many, {"seen": 1})
    assert (result.code, len(result.events), result.repeats) == (Code.ACCEPTED, 200, 1000)
    assert (await world.outcomes(item, Kind.POLL))[-1].events == 200


async def test_a_trigger_that_is_changed_while_parts_are_stored_gets_no_more_of_them(
    world: World, source: Source, item: UUID
) -> None:
    source.says(page(*map(str, range(1200)), seen=1))

    async def change(number: int) -> None:
        if number == 2:
            await _disable(world, item)

    [claimed] = (await world.poller.claim(10)).mine
    result = await world.poller_on(Meddled(world.store.engine, world.store.connect, before_begin=change)).run(claimed)

    assert result.code == Code.STALE
    assert len(await world.keys(item)) == 500


async def test_how_long_a_poll_is_left_to_a_process_that_died_is_a_setting(world: World, item: UUID) -> None:
    await world.poller.claim(10)
    poller = replace(world.poller, leases=replace(world.poller.leases, beyond=seconds(5)))
    world.clock.advance(poller.deadline + seconds(29))
    assert not (await world.poller.claim(10)).mine
    other = await world.enabled("source", "on_item")
    await poller.claim(10)
    world.clock.advance(poller.deadline + seconds(5))
    assert {one.trigger.id for one in (await poller.claim(10)).mine} == {item, other}


async def test_a_worker_whose_lease_has_gone_to_another_stores_nothing(
    world: World, source: Source, item: UUID
) -> None:
    async def slow() -> Page:
        world.clock.advance(EVERY)
        source.says(page("b", seen=2))
        assert (await polled(world)).code == Code.ACCEPTED
        return page("a", seen=1)

    source.says(slow)

    assert (await polled(world)).code == Code.STALE
    assert await world.keys(item) == ["b"]
    assert await cursor(world, item) == {"seen": 2}


# -- polls by hand


async def test_a_poll_by_hand_tells_what_it_found(world: World, source: Source, item: UUID) -> None:
    source.says(replace(page("a", "b", seen=2), note="Two of them.", console=("hello",)))

    result = await world.poller.poll_now(world.caller, item)

    assert (result.code, result.detail, result.repeats, result.console) == (
        Code.ACCEPTED,
        "Two of them.",
        0,
        ("hello",),
    )
    assert list(result.events) == [event.id for event in await world.events(item)]
    again = await world.poller.poll_now(world.caller, item)
    assert (again.code, again.events, again.repeats) == (Code.DUPLICATE, (), 2)


async def test_a_poll_by_hand_is_refused_while_another_runs(world: World, source: Source, item: UUID) -> None:
    [_] = (await world.poller.claim(10)).mine
    with pytest.raises(Conflict):
        await world.poller.poll_now(world.caller, item)
    assert source.asked == []


async def test_only_an_enabled_polling_trigger_of_ones_own_can_be_polled_by_hand(
    world: World, source: Source, item: UUID
) -> None:
    await world.triggers.disable(world.caller, item)
    with pytest.raises(NotReady, match="disabled"):
        await world.poller.poll_now(world.caller, item)
    scheduled = await world.enabled("schedule", "on_schedule", {"interval": "1h"})
    with pytest.raises(NotReady, match="does not poll"):
        await world.poller.poll_now(world.caller, scheduled)
    with pytest.raises(NotFound):
        await world.poller.poll_now(replace(world.caller, org_id=uuid4()), item)
    with pytest.raises(NotFound):
        await world.poller.poll_now(world.caller, uuid4())


# -- the first poll


async def test_what_was_there_when_a_trigger_was_enabled_is_not_news(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    world = await a_world(store, clock, vault, source.provider(baseline=True))
    source.says(page("old", more=True, seen=1), page("older", seen=2))
    id_ = await world.enabled("source", "on_item")
    assert await cursor(world, id_) == {"seen": 2}

    source.says(page("new", seen=3))
    await polled(world)

    assert source.asked[-1].cursor == {"seen": 2}
    assert await world.keys(id_) == ["new"]


async def test_a_trigger_that_has_no_cursor_yet_starts_with_a_silent_look_even_if_its_first_one_breaks_off(
    store: Store, clock: ManualClock, vault: Vault, world: World, source: Source, item: UUID
) -> None:
    """An earlier version, whose provider had no baseline, may have enabled the trigger."""
    later = await a_world(store, clock, vault, source.provider(baseline=True))
    source.says(page("old", more=True, seen=1), ProviderFailed("500"))
    assert (await polled(later)).code == Code.FAILED
    assert await cursor(world, item) is None
    clock.advance(EVERY)
    source.says(page("old", more=True, seen=1), page("older", seen=2))

    assert (await polled(later)).code == Code.BASELINE

    assert (await world.keys(item), await cursor(world, item)) == ([], {"seen": 2})
    assert await world.codes(item, Kind.POLL) == [Code.FAILED, Code.BASELINE]


async def test_the_look_at_enabling_reads_all_pages_so_that_nothing_old_makes_an_event(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    world = await a_world(store, clock, vault, source.provider(baseline=True))
    source.says(*(page(str(number), more=True, page=number) for number in range(1, 200)), page("last", page=200))
    id_ = await world.enabled("source", "on_item")
    assert (len(source.asked), await cursor(world, id_)) == (200, {"page": 200})


async def test_the_look_at_enabling_ends_at_the_deadline_of_a_poll_and_the_trigger_stays_disabled(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    async def hang() -> Page:
        await asyncio.Event().wait()
        raise AssertionError

    world = await a_world(store, clock, vault, source.provider(baseline=True))
    id_ = await world.create("source", "on_item")
    source.says(hang)
    with pytest.raises(ProviderFailed, match="took longer than 0:00:00"):
        await replace(world.triggers, poll_deadline=timedelta()).enable(world.caller, id_)
    assert not (await world.trigger(id_)).enabled
    assert await world.codes(id_, Kind.REGISTRATION) == [Code.FAILED]


async def test_enabling_again_goes_on_where_it_stopped(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    world = await a_world(store, clock, vault, source.provider(baseline=True))
    source.says(page("old", seen=1))
    id_ = await world.enabled("source", "on_item")
    await world.triggers.disable(world.caller, id_)
    clock.advance(HOUR)
    assert await world.poll_due() == []
    source.says(page("meanwhile", seen=2))

    await world.triggers.enable(world.caller, id_)
    await polled(world)

    assert await world.keys(id_) == ["meanwhile"]
    assert [question.cursor for question in source.asked] == [None, {"seen": 1}]


async def test_a_trigger_whose_first_answer_fails_is_not_enabled(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    world = await a_world(store, clock, vault, source.provider(baseline=True))
    source.says(CredentialsRefused())
    id_ = await world.create("source", "on_item")
    with pytest.raises(CredentialsRefused):
        await world.triggers.enable(world.caller, id_)
    assert not (await world.trigger(id_)).enabled
    assert await world.codes(id_, Kind.REGISTRATION) == [Code.FAILED]
    assert await world.poll_due() == []


# -- a provider with coarse timestamps, whose items appear late and vanish again

LATEST = 3  # in ticks: an item may appear so late, and a poll looks back so far
PAGE = 2


@dataclass
class Timeline:
    """A provider whose items are dated by ticks; several items may have the same tick."""

    clock: ManualClock
    now: int = 0
    visible: dict[str, int] = field(default_factory=dict)
    coming: dict[str, tuple[int, int]] = field(default_factory=dict)  # the tick of its date, and of its appearance
    made: int = 0
    failures: int = 0
    began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    def make(self, late: int) -> None:
        self.coming[f"item {self.made}"] = self.now, self.now + late
        self.made += 1
        self._appear()

    def tick(self) -> None:
        self.now += 1
        self._appear()

    def _appear(self) -> None:
        self.visible |= {name: dated for name, (dated, due) in self.coming.items() if due == self.now}

    def delete_newest(self) -> None:
        if self.visible:
            del self.visible[max(self.visible, key=lambda name: (self.visible[name], name))]

    async def poll(self, question: Question[Empty]) -> Page:
        """Return the page that begins after the last item of the page before; a tick is a second."""
        self.clock.advance(MOMENT)
        if self.failures:
            self.failures -= 1
            raise ProviderFailed("500")
        look = LookBack(timedelta(seconds=LATEST)).look(question)
        found = sorted((self._dated(tick), name) for name, tick in self.visible.items())
        left = [(at, name) for at, name in found if at >= look.since and [at.isoformat(), name] > (look.token or [])]
        drafts = [Draft(key=name, data=b"{}", occurred_at=at) for at, name in left[:PAGE]]
        last = [left[PAGE - 1][0].isoformat(), left[PAGE - 1][1]] if len(left) > PAGE else None
        return look.page(drafts, last)

    def _dated(self, tick: int) -> datetime:
        return self.began + timedelta(seconds=tick)


@pytest.fixture
def timeline(clock: ManualClock) -> Timeline:
    return Timeline(clock)


@pytest.fixture
async def watchdog(store: Store, clock: ManualClock, vault: Vault, timeline: Timeline) -> World:
    poll: Polling[Empty] = Polling(
        id="on_item", name="Item", description="", config=Empty, poll=timeline.poll, every=EVERY, baseline=False
    )
    return await a_world(store, clock, vault, Provider(id="timeline", name="Timeline", triggers=(poll,)))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.integers(0, LATEST)),
        st.tuples(st.sampled_from(["tick", "delete newest", "poll"]), st.just(0)),
        st.tuples(st.just("die"), st.integers(1, 5)),  # the number of a transaction, if the poll has so many
        st.tuples(st.just("fail"), st.integers(1, 2)),
    ),
    max_size=20,
)


@given(steps)
@example([("make", 0), ("poll", 0), ("make", 0), ("make", 1), ("poll", 0), ("tick", 0)])
@example([*[("make", 0)] * 5, ("die", 4), ("poll", 0), ("delete newest", 0), ("poll", 0)])
@settings(max_examples=25)
async def test_late_equal_and_deleted_things_through_failures_and_deaths_are_each_stored_once(
    watchdog: World, timeline: Timeline, happened: list[tuple[str, int]]
) -> None:
    vars(timeline).update(vars(Timeline(watchdog.clock)))
    id_ = await watchdog.enabled("timeline", "on_item")
    there: set[str] = set()  # items seen by a whole look that worked
    for step, number in [*happened, *[("tick", 0)] * LATEST, ("poll", 0), ("poll", 0), ("poll", 0)]:
        match step:
            case "make":
                timeline.make(number)
            case "tick":
                timeline.tick()
            case "delete newest":
                timeline.delete_newest()
            case "fail":
                timeline.failures = number
            case "die":
                watchdog.clock.advance(EVERY)
                dead = watchdog.poller_on(dying(watchdog.store, at=number))
                with suppress(Killed):
                    await dead.poll_now(watchdog.caller, id_)
            case _:
                watchdog.clock.advance(EVERY)
                whole = "token" not in (await cursor(watchdog, id_) or {})  # it is no rest of an earlier look
                result = await watchdog.poller.poll_now(watchdog.caller, id_)
                there |= timeline.visible.keys() if whole and result.code is not Code.FAILED else set()
    stored = await watchdog.keys(id_)
    await watchdog.triggers.delete(watchdog.caller, id_)

    assert len(stored) == len(set(stored))
    assert there <= set(stored) <= timeline.coming.keys()


async def test_deleting_the_newest_thing_makes_no_other_new_again(watchdog: World, timeline: Timeline) -> None:
    id_ = await watchdog.enabled("timeline", "on_item")
    for _ in range(4):
        timeline.make(0)
        timeline.tick()
    await polled(watchdog)
    timeline.delete_newest()
    watchdog.clock.advance(EVERY)

    assert (await polled(watchdog)).code == Code.EMPTY
    assert await watchdog.keys(id_) == [f"item {n}" for n in range(4)]


async def test_a_poll_that_a_stop_can_not_wait_for_is_given_back_at_once(
    world: World, source: Source, item: UUID
) -> None:
    begun = asyncio.Event()

    async def hang() -> Page:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    source.says(hang, page("a"))
    world.clock.advance(EVERY)
    work = Wake()
    due_work = DueWork(
        store=world.store,
        clock=world.clock,
        poller=world.poller,
        schedules=world.schedules,
        webhook_removals=world.webhook_removals,
        subscriptions=world.subscriptions,
        pauses=Pauses(store=world.store, clock=world.clock, work=work),
        replays=Replays(store=world.store, clock=world.clock, work=work),
        work=work,
        places=Shares.beyond(5),
    )
    loop = asyncio.create_task(due_work.run())
    await begun.wait()
    draining = asyncio.create_task(due_work.drain(seconds(1)))
    await until_true(lambda: due_work._stopping)
    pass_time(seconds(1))
    await draining
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop

    assert [result.code for result in await world.poll_due()] == [Code.ACCEPTED]
