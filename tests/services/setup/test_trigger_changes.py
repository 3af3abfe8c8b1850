"""A project trigger that is changed keeps its cursor, its event keys, its address and its signing secret."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

from hairtrigger.domain.errors import Conflict, Invalid, InvalidConfig, NotReady, ProviderFailed
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.schedule import Missed
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.secrets import MASK
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store.database import Store
from hairtrigger.store.setup.triggers import TriggerWithCursor
from tests.services.setup.test_triggers import TOKEN, Remote
from tests.services.world import World, a_world
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


class Watched(PollingConfig):
    board: str
    password: str = Field("", json_schema_extra={"writeOnly": True})


class Source:
    """A provider that is polled. `asked` keeps the questions."""

    def __init__(self) -> None:
        self.asked: list[Question[Watched]] = []

    async def poll(self, question: Question[Watched]) -> Page:
        self.asked.append(question)
        seen = question.cursor["n"] if question.cursor else 0
        return Page([], {"n": seen + 1})

    def provider(self) -> Provider:
        trigger = Polling(id="on_card", name="Card", description="", config=Watched, poll=self.poll)
        return Provider(id="source", name="Source", triggers=(trigger,))


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, remote: Remote, source: Source) -> World:
    return await a_world(store, clock, vault, remote.provider(), source.provider(), webhook.provider, schedule.provider)


async def _change(world: World, id_: UUID, **given: Any) -> TriggerWithCursor:
    changes = TriggerChanges(
        frozenset(given), given.get("name"), given.get("trigger_config"), given.get("connection_id")
    )
    return await world.triggers.change(world.caller, id_, changes)


async def _connection(world: World) -> UUID:
    return (await world.connections.create(world.caller, "remote", "Remote", TOKEN)).id


async def _enabled(world: World, trigger_id: str) -> TriggerWithCursor:
    id_ = await world.create("remote", trigger_id, {}, await _connection(world))
    return await world.triggers.enable(world.caller, id_)


async def test_a_polling_trigger_goes_on_from_its_cursor_with_the_new_configuration(
    world: World, source: Source
) -> None:
    id_ = await world.enabled("source", "on_card", {"board": "a", "polling_frequency": 3600})
    before = await world.trigger(id_)

    changed = await _change(world, id_, trigger_config={"board": "b", "polling_frequency": 60}, name="Cards")

    assert changed == await world.trigger(id_)
    assert (changed.name, changed.config) == ("Cards", {"board": "b", "polling_frequency": 60})
    assert (changed.cursor, changed.generation) == (before.cursor, before.generation + 1)
    [result] = await world.poll_due()
    assert (source.asked[-1].config.board, source.asked[-1].cursor) == ("b", before.cursor)
    assert (await world.clockwork(id_)).every == timedelta(seconds=60)
    assert result.code is Code.EMPTY
    assert Code.CHANGED in await world.codes(id_, Kind.TRIGGER)


async def test_a_poll_that_began_before_the_change_stores_nothing(world: World) -> None:
    id_ = await world.enabled("source", "on_card", {"board": "a"})
    world.clock.advance(HOUR)
    [claimed] = (await world.poller.claim(10)).mine

    await _change(world, id_, trigger_config={"board": "b"})

    assert (await world.poller.run(claimed)).code is Code.STALE


async def test_a_secret_that_is_sent_back_masked_stays(world: World, source: Source) -> None:
    id_ = await world.enabled("source", "on_card", {"board": "a", "password": "s3cr3t"})

    changed = await _change(world, id_, trigger_config={"board": "b", "password": MASK})

    assert "s3cr3t" not in str(changed.config)
    await world.poll_due()
    assert source.asked[-1].config.password == "s3cr3t"


async def test_a_schedule_fires_by_its_new_expression(world: World) -> None:
    id_ = await world.enabled("schedule", "on_schedule", {"cron": "0 9 * * *"})

    await _change(world, id_, trigger_config={"cron": "*/5 * * * *"})

    after = (await world.clockwork(id_)).next_at
    assert after
    assert after - world.clock.now() <= timedelta(minutes=5)


@pytest.mark.parametrize("missed", list(Missed))
async def test_an_edited_schedule_fires_and_misses_no_time_before_the_edit(world: World, missed: Missed) -> None:
    id_ = await world.enabled("schedule", "on_schedule", {"interval": "24h"})
    world.clock.advance(timedelta(hours=10, minutes=30))
    await _change(world, id_, trigger_config={"interval": "1h", "missed": missed.value})
    due = (await world.clockwork(id_)).next_at
    assert due
    world.clock.advance(due - world.clock.now())

    await world.schedules.run_due()

    assert await world.keys(id_) == [due.isoformat()]
    [fired] = await world.outcomes(id_, Kind.SCHEDULE)
    assert (fired.code, fired.detail) == (Code.ACCEPTED, "")


async def test_a_generic_webhook_keeps_its_address_and_its_secret(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    secret = await world.triggers.rotate_secret(world.caller, id_)
    before = await world.triggers.enable(world.caller, id_)

    changed = await _change(world, id_, name="Door")

    assert changed.webhook_data == before.webhook_data
    assert world.secrets.live(changed, world.clock.now()) == [secret]
    assert (changed.enabled, changed.enabled_at) == (True, before.enabled_at)


async def test_a_webhook_at_a_provider_is_made_anew_only_where_that_is_necessary(world: World, remote: Remote) -> None:
    before = await _enabled(world, "on_push")
    [old] = world.secrets.live(before, world.clock.now())

    named = await _change(world, before.id, name="Pushes", trigger_config={})
    assert (remote.calls, named.webhook_data) == (["create"], before.webhook_data)

    changed = await _change(world, before.id, trigger_config={"branch": "next"})
    assert remote.calls == ["create", "remove", "create"]
    assert changed.webhook_data == {"hook_id": 2, "branch": "next"}
    assert list(remote.hooks) == [world.triggers.webhook_url(before.id)]
    assert world.secrets.live(changed, world.clock.now()) == ["secret 2", old]
    assert await world.webhook_removals.run_due() == 0

    moved = await _change(world, before.id, connection_id=await _connection(world))
    assert (moved.enabled, len(remote.hooks)) == (True, 1)


async def test_a_provider_that_refuses_leaves_the_trigger_disabled_and_says_why(world: World, remote: Remote) -> None:
    before = await _enabled(world, "on_push")
    remote.failure = ProviderFailed("No such branch.")

    with pytest.raises(ProviderFailed, match="No such branch"):
        await _change(world, before.id, trigger_config={"branch": "none"})

    after = await world.trigger(before.id)
    assert (after.enabled, after.config) == (False, {"branch": "none"})
    details = [one.detail for one in await world.outcomes(before.id, Kind.REGISTRATION)]
    assert "Enabling failed: No such branch." in details


async def test_a_trigger_of_an_app_listens_to_the_accounts_of_its_new_connection(world: World, remote: Remote) -> None:
    before = await _enabled(world, "on_message")
    remote.accounts = ("team:3",)

    changed = await _change(world, before.id, connection_id=await _connection(world))
    assert changed.webhook_data == {"accounts": ["team:3"]}

    remote.failure = ProviderFailed("Not now.")
    with pytest.raises(ProviderFailed):
        await _change(world, before.id, connection_id=await _connection(world))
    assert await world.trigger(before.id) == changed


async def test_a_change_that_does_not_fit_changes_nothing(world: World) -> None:
    id_ = await world.enabled("source", "on_card", {"board": "a"})
    before = await world.trigger(id_)
    with pytest.raises(InvalidConfig, match="board"):
        await _change(world, id_, trigger_config={"bord": "b"})
    with pytest.raises(Invalid, match="'remote'"):
        await _change(world, id_, connection_id=await _connection(world))
    assert await world.trigger(id_) == before


async def test_an_enabled_trigger_is_not_left_without_the_connection_it_needs(world: World) -> None:
    before = await _enabled(world, "on_push")
    with pytest.raises(NotReady):
        await _change(world, before.id, connection_id=None)
    assert await world.trigger(before.id) == before


async def test_of_two_changes_at_once_one_is_refused(world: World, remote: Remote) -> None:
    before = await _enabled(world, "on_message")
    hold = remote.hold()

    slow = asyncio.create_task(_change(world, before.id, trigger_config={"branch": "slow"}))
    await hold.begun.wait()
    await _change(world, before.id, name="Quick")
    hold.release.set()

    with pytest.raises(Conflict):
        await slow
    assert (await world.trigger(before.id)).name == "Quick"
