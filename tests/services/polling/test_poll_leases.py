"""Providers are asked at a fixed rate, as often as they allow, and by few polls at a time for each connection."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from hairtrigger.domain.errors import Conflict, CredentialsRefused, ProviderFailed, RateLimited
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.rhythm import next_beat
from hairtrigger.domain.target import LogTarget
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.vault import Vault
from hairtrigger.services.polling.poller import Result
from hairtrigger.services.provider_calls import tenant_of
from hairtrigger.store.database import Store
from tests.services.world import World, a_world, at, seconds
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)
PLACES = 4


@dataclass
class Shop:
    """A provider whose answers a test decides; it records the token of each poll."""

    answer: Callable[[Question[Any]], Awaitable[Page]] | None = None
    asked: list[str] = field(default_factory=list)  # the token of each poll

    async def poll(self, question: Question[Any]) -> Page:
        self.asked.append(question.secrets.get("token", ""))
        return await self.answer(question) if self.answer else Page((), {"n": len(self.asked)})

    def provider(self) -> Provider:
        poll = Polling(
            id="on_sale",
            name="Sale",
            description="",
            config=PollingConfig,
            poll=self.poll,
            every=MINUTE,
            baseline=False,
        )
        return Provider(id="shop", name="Shop", auth=Bearer("token"), triggers=(poll,))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, shop: Shop) -> World:
    return await a_world(store, clock, vault, shop.provider())


async def connected(world: World, count: int = 1, **params: Any) -> tuple[UUID, list[UUID]]:
    """Make a connection and enabled triggers that use it, and return their ids."""
    connection = await world.connections.create(world.caller, "shop", "Mine", {"token": "first"})
    ids = [await world.create("shop", "on_sale", params, connection.id) for _ in range(count)]
    for id_ in ids:
        await world.triggers.enable(world.caller, id_)
    return connection.id, ids


def raising(error: Exception) -> Callable[[Question[Any]], Awaitable[Page]]:
    async def answer(_: Question[Any]) -> Page:
        raise error

    return answer


async def polled(world: World) -> Result:
    [result] = await world.poll_due()
    return result


# -- at a fixed rate


async def test_triggers_enabled_together_are_polled_at_times_of_their_own_and_stay_there(world: World) -> None:
    ids = [id_ for _ in range(10) for id_ in (await connected(world, PLACES))[1]]
    assert len(await world.poll_due()) == 40
    due = {id_: (await world.clockwork(id_)).next_at for id_ in ids}
    assert len(set(due.values())) == 40
    assert due == {id_: next_beat(id_, MINUTE, world.clock.now()) for id_ in ids}

    for _ in range(3):
        world.clock.advance(MINUTE)
        assert len(await world.poll_due()) == 40, "none has drifted"


async def test_a_late_poll_does_not_move_the_next(world: World) -> None:
    _, [id_] = await connected(world)
    await polled(world)
    beat = next_beat(id_, MINUTE, world.clock.now())
    for late in (0.5, 20, 59):
        world.clock.advance(beat + seconds(late) - world.clock.now())
        await polled(world)
        beat += MINUTE
        assert (await world.clockwork(id_)).next_at == beat


async def test_a_poll_slower_than_its_interval_skips_and_says_so(world: World, shop: Shop) -> None:
    async def slow(_: Question[Any]) -> Page:
        world.clock.advance(seconds(25))
        return Page((), {}, note="Nothing.")

    _, [id_] = await connected(world, polling_frequency=10)
    shop.answer = slow
    await polled(world)

    [outcome] = await world.outcomes(id_, Kind.POLL)
    assert outcome.detail in {f"Nothing. It took so long that {n} polls were left out." for n in (2, 3)}
    assert (await world.clockwork(id_)).next_at == next_beat(id_, seconds(10), world.clock.now())
    assert await world.poll_due() == []


async def test_a_poll_whose_worker_died_is_picked_up_when_its_lease_ends_not_a_day_later(
    world: World, shop: Shop
) -> None:
    _, [id_] = await connected(world, polling_frequency=86_400)
    await world.poller.claim(10)
    assert (await world.clockwork(id_)).next_at == world.clock.now() + world.poller.leases.hold
    world.clock.advance(world.poller.leases.hold)

    assert (await polled(world)).code == Code.EMPTY
    assert (await world.clockwork(id_)).next_at == next_beat(id_, timedelta(days=1), world.clock.now())


# -- the waits that a provider asks for


async def test_a_provider_that_wants_to_be_left_alone_is_for_the_whole_connection(world: World, shop: Shop) -> None:
    _, ids = await connected(world, 3)
    shop.answer = raising(ProviderFailed("429", retry_after=HOUR))
    [first, *_] = (await world.poller.claim(1)).mine
    assert (await world.poller.run(first)).code == Code.RATE_LIMITED
    shop.answer, shop.asked = None, []
    _, [stranger] = await connected(world)

    results = await world.poll_due()

    assert [result.code for result in results] == [Code.EMPTY], "the other connection"
    assert await world.codes(stranger, Kind.POLL) == [Code.EMPTY]
    waiting = [await world.clockwork(id_) for id_ in ids if id_ != first.trigger.id]
    assert all(one.next_at and one.next_at > at(world.clock, 3600) for one in waiting)
    assert [(one.failures, one.error) for one in waiting] == [(0, None)] * 2
    assert [await world.codes(one.project_trigger_id, Kind.POLL) for one in waiting] == [[], []]

    world.clock.advance(HOUR + seconds(1))
    assert len(await world.poll_due()) == 4, "none was lost"


async def test_a_quota_that_a_good_answer_has_used_up_pauses_the_connection_too(world: World, shop: Shop) -> None:
    async def last_one(question: Question[Any]) -> Page:
        question.api.quota.note(200, [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "600")])
        return Page((), {"n": 1})

    _, ids = await connected(world, 2)
    shop.answer = last_one
    [first] = (await world.poller.claim(1)).mine
    assert (await world.poller.run(first)).code == Code.EMPTY
    shop.answer = None
    assert await world.poll_due() == []
    world.clock.advance(seconds(599))
    assert await world.poll_due() == []
    world.clock.advance(seconds(2))
    assert len(await world.poll_due()) == 2
    for id_ in ids:
        assert (await world.clockwork(id_)).failures == 0


async def test_a_poll_by_hand_is_refused_while_the_provider_wants_to_be_left_alone(world: World, shop: Shop) -> None:
    _, [id_] = await connected(world)
    shop.answer = raising(ProviderFailed("429", retry_after=HOUR))
    await polled(world)
    with pytest.raises(Conflict, match="asked not to be asked"):
        await world.poller.poll_now(world.caller, id_)


async def test_a_provider_is_obeyed_for_a_day_at_most(world: World, shop: Shop) -> None:
    _, [id_] = await connected(world)
    shop.answer = raising(ProviderFailed("429", retry_after=timedelta(days=10_000)))
    await polled(world)
    assert (await world.clockwork(id_)).next_at == world.clock.now() + timedelta(days=1)


# -- few polls of a connection at a time


async def test_a_connection_is_asked_by_few_at_a_time_however_many_workers_there_are(world: World, shop: Shop) -> None:
    _, ids = await connected(world, 30, polling_frequency=365 * 86_400)
    claims = await asyncio.gather(*(world.poller.claim(10) for _ in range(5)))
    mine = [claimed for one in claims for claimed in one.mine]
    assert len(mine) == PLACES
    assert len(shop.asked) == 0

    turns = [mine]
    for _ in range(10):
        for claimed in turns[-1]:
            await world.poller.run(claimed)
        world.clock.advance(seconds(0.2))
        turns.append((await world.poller.claim(100)).mine)
    assert max(len(turn) for turn in turns) <= PLACES
    assert {claimed.trigger.id for turn in turns for claimed in turn} == set(ids), "whoever had to wait came again"
    for id_ in ids:
        assert await world.codes(id_, Kind.POLL) == [Code.EMPTY]
        assert (await world.clockwork(id_)).failures == 0


async def test_a_crowded_connection_does_not_crowd_out_others(world: World, shop: Shop) -> None:
    await connected(world, 50)
    world.clock.advance(MOMENT)
    _, [other] = await connected(world)
    looks = [await world.poller.claim(10) for _ in range(6)]

    assert [claims.looked_at for claims in looks] == [10] * 5 + [1], "each that found no place was looked at once"
    assert [claimed.trigger.id for claimed in looks[-1].mine] == [other]
    assert (await world.poller.claim(10)).looked_at == 0


async def test_the_places_of_a_worker_that_died_come_back(world: World, shop: Shop) -> None:
    await connected(world, PLACES + 1)
    assert len((await world.poller.claim(10)).mine) == PLACES
    world.clock.advance(world.poller.leases.hold)
    assert len((await world.poller.claim(10)).mine) == PLACES


# -- credentials


async def test_refused_credentials_pause_polls_keep_the_cursor_and_new_ones_are_tried_at_once(
    world: World, shop: Shop
) -> None:
    connection, [id_] = await connected(world)
    await polled(world)
    shop.answer = raising(CredentialsRefused())
    world.clock.advance(MINUTE)
    assert (await polled(world)).code == Code.CREDENTIALS_REFUSED
    found = await world.clockwork(id_)
    assert (found.cursor, found.next_at) == ({"n": 1}, world.clock.now() + HOUR)
    shop.answer = None

    await world.connections.update(world.caller, connection, None, {"token": "second"})

    assert (await polled(world)).code == Code.EMPTY
    assert shop.asked == ["first", "first", "second"]
    found = await world.clockwork(id_)
    assert (found.failures, found.error, found.cursor) == (0, None, {"n": 3})


async def test_what_was_said_to_the_old_credentials_does_not_bind_the_new(world: World, shop: Shop) -> None:
    connection, _ = await connected(world)
    shop.answer = raising(ProviderFailed("429", retry_after=HOUR))
    await polled(world)
    shop.answer = None
    await world.connections.update(world.caller, connection, None, {"token": "second"})
    assert (await polled(world)).code == Code.EMPTY


async def test_a_poll_begun_with_credentials_that_were_replaced_meanwhile_stores_nothing(
    world: World, shop: Shop
) -> None:
    """The replaced credentials may be those of another account."""
    connection, [id_] = await connected(world)

    async def meanwhile(_: Question[Any]) -> Page:
        await world.connections.update(world.caller, connection, None, {"token": "second"})
        return Page((), {"account": "first"})

    shop.answer = meanwhile
    assert (await polled(world)).code == Code.STALE
    assert (await world.clockwork(id_)).cursor is None
    shop.answer = None
    await polled(world)
    assert shop.asked == ["first", "second"]


async def test_a_new_name_for_a_connection_disturbs_no_poll(world: World, shop: Shop) -> None:
    connection, [id_] = await connected(world)

    async def meanwhile(_: Question[Any]) -> Page:
        await world.connections.update(world.caller, connection, "Renamed", None)
        return Page((), {"n": 1})

    shop.answer = meanwhile
    assert (await polled(world)).code == Code.EMPTY
    assert (await world.clockwork(id_)).cursor == {"n": 1}


# -- organisations beside each other


def anonymous(shop: Shop) -> Provider:
    """Return the shop as a provider that needs no connection."""
    poll = Polling(id="on_sale", name="", description="", config=PollingConfig, poll=shop.poll, baseline=False)
    return Provider(id="shop", name="Shop", triggers=(poll,))


async def test_an_organisation_with_many_due_polls_leaves_places_to_others(
    store: Store, clock: ManualClock, vault: Vault, shop: Shop
) -> None:
    many, few, none = [await a_world(store, clock, vault, anonymous(shop)) for _ in range(3)]
    for _ in range(40):
        await many.enabled("shop", "on_sale")
    clock.advance(HOUR)
    for _ in range(3):
        await few.enabled("shop", "on_sale")
    clock.advance(HOUR)
    places = Shares.beyond(8)

    claims = await few.poller.claim(places.places, places)
    orgs = Counter(one.trigger.org_id for one in claims.mine)
    assert orgs == {many.caller.org_id: 8, few.caller.org_id: 3}
    assert claims.held_back
    assert places.held == 11
    assert not (await none.poller.claim(places.places, places)).mine

    places.leave(tenant_of(claims.mine[0].trigger))
    [more] = (await few.poller.claim(places.places, places)).mine
    assert more.trigger.org_id == many.caller.org_id


async def test_a_project_with_many_due_polls_leaves_places_to_others_of_its_organisation(
    store: Store, clock: ManualClock, vault: Vault, shop: Shop
) -> None:
    many = await a_world(store, clock, vault, anonymous(shop))
    project, _ = await many.projects.create(many.caller, "Other", LogTarget(), max_inflight=5)
    for _ in range(40):
        await many.enabled("shop", "on_sale")
    clock.advance(HOUR)
    await replace(many, project_id=project.id).enabled("shop", "on_sale")
    clock.advance(HOUR)
    places = Shares.beyond(8)

    claims = await many.poller.claim(places.places, places)
    assert Counter(one.trigger.project_id for one in claims.mine) == {many.project_id: 8, project.id: 1}


async def test_polls_that_find_no_place_at_their_connection_give_theirs_back(world: World) -> None:
    await connected(world, 10)
    world.clock.advance(HOUR)
    places = Shares.beyond(8)

    claims = await world.poller.claim(10, places)
    assert (len(claims.mine), places.held) == (PLACES, PLACES)


async def test_a_user_who_asks_for_too_many_polls_at_once_has_to_wait(world: World, shop: Shop) -> None:
    _, [first, second] = await connected(world, 2)
    poller = replace(world.poller, calls=replace(world.poller.calls, places=Shares(1, of_org=1, of_project=1)))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(_: Question[Any]) -> Page:
        begun.set()
        await go_on.wait()
        return Page((), {"n": 1})

    shop.answer = answer
    asked = asyncio.create_task(poller.poll_now(world.caller, first))
    await begun.wait()
    with pytest.raises(RateLimited):
        await poller.poll_now(world.caller, second)
    go_on.set()
    await asked

    assert (await poller.poll_now(world.caller, second)).code == Code.EMPTY
