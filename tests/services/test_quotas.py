"""Quotas stop what one organisation does beyond them, lose no event that can come later, and say what is used up."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_core import to_json

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.errors import Conflict, HairtriggerError
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import Limits, Quota, QuotaFull, QuotaSpent
from hairtrigger.domain.target import LogTarget
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import github, schedule, webhook
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.replays import ReplayQuery, Replays
from hairtrigger.services.quotas import Quotas, midnight_after
from hairtrigger.services.secrets import MOST_LIVE
from hairtrigger.services.setup.integrations import ActionDraft, AuthDraft, Integrations, TriggerDraft
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history
from hairtrigger.store.events import events
from hairtrigger.store.quotas import EVENT_ROW
from hairtrigger.store.setup import triggers
from tests.services.scene import Scene, a_scene
from tests.services.world import World, a_world
from tests.store.build import a_project, a_trigger, an_event, an_organization
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

FEW = Limits(
    projects=2,
    project_triggers=2,
    connections=1,
    secrets_per_connection=2,
    api_keys=1,
    integrations=1,
    integration_triggers=1,
    integration_actions=1,
    running_replays=1,
    events_a_day=2,
)
MEBIBYTE = 1024 * 1024


class Items:
    """A provider whose items are numbers. Its cursor is the number of items that were seen."""

    def __init__(self) -> None:
        self.count = 0

    async def poll(self, question: Question[PollingConfig]) -> Page:
        seen = (question.cursor or {}).get("seen", 0)
        found = [Draft(key=str(number), data=to_json({"number": number})) for number in range(seen, self.count)]
        return Page(found, {"seen": self.count})

    @property
    def provider(self) -> Provider:
        poll = Polling(
            id="on_item",
            name="Item",
            description="",
            config=PollingConfig,
            poll=self.poll,
            every=timedelta(minutes=1),
            baseline=False,
            needs_connection=False,
        )
        return replace(schedule.provider, id="items", triggers=(poll,))


def at_noon(clock: ManualClock) -> None:
    clock.advance(clock.now().replace(hour=12, minute=0, second=0) - clock.now())


@pytest.fixture
def items() -> Items:
    return Items()


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, items: Items) -> AsyncIterator[Scene]:
    at_noon(clock)
    providers = (webhook.provider, schedule.provider, items.provider, github.provider)
    limits = replace(FEW, projects=10, project_triggers=10, connections=10)
    async with a_scene(store, clock, vault, *providers, limits=limits) as made:
        yield made


async def send(scene: Scene, id_: UUID, secret: str, key: str) -> None:
    """Send a request; raise what refuses it."""
    headers = Headers([("x-webhook-secret", secret), ("content-type", "application/json")])
    request = Request("POST", f"https://hooks.test/{id_}", headers, to_json({"id": key}), scene.clock.now())
    await scene.ingest.receive(str(id_), request)


async def next_day(scene: Scene) -> None:
    await scene.world.quotas.refresh()
    scene.clock.advance(midnight_after(scene.clock.now()) - scene.clock.now())
    await scene.world.quotas.refresh()


# -- events a day


async def test_a_request_beyond_the_events_of_a_day_is_refused_with_the_reason_until_midnight(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await send(scene, id_, secret, "a")
    scene.passes(minutes=10)
    await send(scene, id_, secret, "b")
    scene.passes(minutes=10)

    with pytest.raises(QuotaSpent) as refused:
        await send(scene, id_, secret, "c")

    assert refused.value.retry_after == timedelta(hours=11, minutes=40)
    assert refused.value.use.quota is Quota.EVENTS_A_DAY
    for told in ("'events_a_day'", "allows 2 ", "2 are used", "midnight UTC"):
        assert told in refused.value.message
    assert await scene.world.keys(id_) == ["a", "b"]
    assert (await scene.world.codes(id_, Kind.WEBHOOK)) == [Code.OVER_QUOTA]
    assert "used up a quota" in await scene.summary(id_, at=scene.clock.now(), within=timedelta(minutes=1))
    assert (await scene.why(id_)).health.reason.startswith("No new event of it is taken now. The quota 'events_a_day'")

    await next_day(scene)
    await send(scene, id_, secret, "c")
    assert await scene.world.keys(id_) == ["a", "b", "c"]


async def test_the_count_is_the_same_whether_it_was_added_to_the_database_or_not(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await send(scene, id_, secret, "a")
    await scene.world.quotas.refresh()
    await send(scene, id_, secret, "b")
    with pytest.raises(QuotaSpent):
        await send(scene, id_, secret, "c")
    await scene.world.quotas.refresh()
    with pytest.raises(QuotaSpent):
        await send(scene, id_, secret, "c")


async def test_a_repeat_counts_as_no_event(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    for _ in range(5):
        await send(scene, id_, secret, "a")
    scene.passes(seconds=1)
    await send(scene, id_, secret, "b")
    assert await scene.world.keys(id_) == ["a", "b"]


async def test_polls_beyond_the_events_of_a_day_wait_and_find_everything_later(scene: Scene, items: Items) -> None:
    id_ = await scene.world.enabled("items", "on_item")
    items.count = 2
    await scene.poll()
    items.count = 4
    scene.passes(minutes=2)
    await scene.poll()
    await scene.poll()  # nothing is due: it was postponed

    assert await scene.world.keys(id_) == ["0", "1"]
    clockwork = await scene.world.clockwork(id_)
    assert (clockwork.cursor, clockwork.failures) == ({"seen": 2}, 0)
    assert await scene.world.codes(id_, Kind.POLL) == [Code.ACCEPTED, Code.OVER_QUOTA]
    with pytest.raises(QuotaSpent):
        await scene.world.poller.poll_now(scene.world.caller, id_)
    assert "used up a quota" in await scene.summary(id_)

    refused_at = scene.time()
    await next_day(scene)
    scene.passes(minutes=2)
    await scene.poll()
    assert await scene.world.keys(id_) == ["0", "1", "2", "3"]
    evening = await scene.summary(id_, at=midnight_after(scene.clock.now()) - timedelta(hours=30))
    assert "no poll ran from " in evening
    assert f"{refused_at} until " in evening
    assert "because no new event was taken. The poll at " in evening
    assert "keep up" not in evening


async def test_a_late_firing_says_that_a_quota_put_the_earlier_ones_off(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "3h", "missed": "latest"})
    for _ in range(3):
        scene.passes(hours=3)
        await scene.world.schedules.run_due()
        await scene.world.quotas.refresh()
    assert await scene.world.codes(id_, Kind.SCHEDULE) == [Code.ACCEPTED, Code.ACCEPTED, Code.OVER_QUOTA]
    refused_at = scene.clock.now()

    scene.passes(hours=6)
    await scene.world.quotas.refresh()
    await scene.world.schedules.run_due()

    late = (await scene.world.outcomes(id_, Kind.SCHEDULE))[-1]
    assert late.code is Code.ACCEPTED
    assert late.detail == (
        f"Its times from {refused_at:%Y-%m-%d %H:%M:%S} UTC on passed before they could be fired. "
        "The organisation had used up a quota. Its policy does not make them up."
    )


async def test_a_schedule_beyond_the_events_of_a_day_fires_later_by_its_own_policy(scene: Scene) -> None:
    """A policy of `all` makes up for every time that passed meanwhile."""
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "4h", "missed": "all"})
    for _ in range(4):
        scene.passes(hours=4)
        await scene.world.schedules.run_due()
        await scene.world.quotas.refresh()
    assert Code.OVER_QUOTA not in await scene.world.codes(id_, Kind.SCHEDULE)  # 16, 20 | 0, 4: two on each day
    scene.passes(hours=4)
    await scene.world.schedules.run_due()
    assert (await scene.world.codes(id_, Kind.SCHEDULE))[-1] is Code.OVER_QUOTA
    with pytest.raises(QuotaSpent):
        await scene.world.schedules.fire_now(scene.world.caller, id_)
    before = len(await scene.world.keys(id_))

    await next_day(scene)
    scene.passes(minutes=11)
    await scene.world.schedules.run_due()

    fired = [datetime.fromisoformat(key) for key in await scene.world.keys(id_)]
    assert (before, len(fired)) == (4, 9)
    assert {later - earlier for earlier, later in pairwise(fired)} == {timedelta(hours=4)}


async def test_an_app_webhook_goes_on_for_the_organisations_within_their_quotas(scene: Scene) -> None:
    """The provider must get no refusal for it: it would switch the webhook off, for all organisations."""
    store, clock = scene.world.store, scene.clock
    async with store.transaction() as tx:
        other = await an_organization(tx, clock.now())
        listening = []
        for org_id in (scene.world.caller.org_id, other):
            project = await a_project(tx, org_id, clock.now())
            config: dict[str, object] = {"installation_id": 1}
            one = await a_trigger(
                tx, org_id, project, clock.now(), provider_id="github", trigger_id="on_push", config=config
            )
            listening.append(one)
            await triggers.route(tx, one, ["installation:1"])
    scene.world.counter.events([an_event(scene.world.caller.org_id, "p", listening[0].id, "k", clock.now())] * 2)

    body = to_json({"installation": {"id": 1}, "ref": "refs/heads/main", "after": "a"})
    signature = "sha256=" + hmac.new(b"a secret", body, "sha256").hexdigest()
    headers = {"x-hub-signature-256": signature, "x-github-event": "push", "x-github-delivery": "1"}
    answer = await scene.ingest.receive(
        "github", Request("POST", "https://hooks.test/github", Headers(headers.items()), body, clock.now())
    )

    assert answer.status == 200
    assert await scene.world.codes(listening[0].id, Kind.WEBHOOK) == [Code.OVER_QUOTA]
    assert await scene.world.keys(listening[0].id) == []
    async with store.transaction() as tx:
        assert len(await events.page(tx, other, limit=10)) == 1


# -- attempts a day


async def test_deliveries_beyond_the_attempts_of_a_day_stay_and_go_on_the_next_day(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    at_noon(clock)
    async with a_scene(store, clock, vault, webhook.provider, limits=Limits(attempts_a_day=2)) as scene:
        id_, secret = await scene.webhook()
        for key in "ab":
            await send(scene, id_, secret, key)
            await scene.deliver()
        assert scene.held == 0
        scene.passes(seconds=1)
        await send(scene, id_, secret, "c")

        async def is_held() -> bool:
            return scene.held > 0

        await scene.deliver(over=is_held)
        event = (await scene.world.events(id_))[-1]
        async with store.transaction() as tx:
            [delivery] = await history.deliveries(tx, scene.world.caller.org_id, limit=10, event_id=event.id)
        assert (delivery.status, delivery.attempts) == ("pending", 0)
        told = (await scene.why(id_)).health.reason
        assert told.startswith("Its deliveries are held. The quota 'attempts_a_day' allows 2 ")
        assert "go on at midnight UTC" in told
        assert "It is held. The quota 'attempts_a_day'" in await scene.summary(id_, event=event.id)
        use = {one.quota: one for one in await scene.world.quotas.usage(scene.world.caller)}[Quota.ATTEMPTS_A_DAY]
        assert (use.used, use.limit, use.resets_at) == (2, 2, midnight_after(clock.now()))

        await next_day(scene)
        await scene.deliver()
        assert "It was delivered" in await scene.summary(id_, event=event.id)
        assert "held" not in (await scene.why(id_)).health.reason


async def test_deliveries_of_other_organisations_go_on(store: Store, clock: ManualClock, vault: Vault) -> None:
    async with a_scene(store, clock, vault, webhook.provider, limits=Limits(attempts_a_day=1)) as scene:
        id_, secret = await scene.webhook()
        await send(scene, id_, secret, "a")
        await scene.deliver()
        await send(scene, id_, secret, "b")
        async with store.transaction() as tx:
            other = await an_organization(tx, clock.now())
            project = await a_project(tx, other, clock.now())
            theirs = await a_trigger(tx, other, project, clock.now())
            event = an_event(other, project, theirs.id, "k", clock.now())
            await events.append(tx, [event])

        async def is_delivered() -> bool:
            async with store.transaction() as tx:
                [one] = await history.deliveries(tx, other, limit=10, event_id=event.id)
            return one.status == "delivered"

        await scene.deliver(over=is_delivered)
        assert sorted(one.attempts for one in await _of(scene, id_)) == [0, 1]


async def _of(scene: Scene, id_: UUID) -> list[history.Delivery]:
    async with scene.world.store.transaction() as tx:
        return await history.deliveries(tx, scene.world.caller.org_id, limit=10, project_trigger_id=id_)


# -- several processes


@dataclass
class Process:
    counter: UseCounter
    quotas: Quotas


def process(store: Store, clock: ManualClock, limits: Limits) -> Process:
    counter = UseCounter()
    return Process(counter, Quotas(store, clock, counter, limits))


async def test_processes_learn_at_the_next_refresh_what_the_others_have_counted(
    store: Store, clock: ManualClock
) -> None:
    org_id = uuid4()
    one, two = process(store, clock, FEW), process(store, clock, FEW)
    event = an_event(org_id, "p", uuid4(), "k", clock.now())
    one.counter.events([event])
    two.counter.events([event])
    assert one.quotas.refusal(org_id) is two.quotas.refusal(org_id) is None

    await one.quotas.refresh()
    assert one.quotas.refusal(org_id) is None
    await two.quotas.refresh()
    assert isinstance(two.quotas.refusal(org_id), QuotaSpent)
    one.counter.outcomes(())
    one.counter.ledger(org_id, 1)
    await one.quotas.refresh()
    assert isinstance(one.quotas.refusal(org_id), QuotaSpent)


async def test_counts_are_kept_while_the_database_is_away(store: Store, clock: ManualClock) -> None:
    org_id = uuid4()
    ours = process(store, clock, FEW)
    ours.counter.events([an_event(org_id, "p", uuid4(), "k", clock.now())] * 2)
    away = Quotas(replace(store, engine=_away(store)), clock, ours.counter, FEW)
    with pytest.raises(HairtriggerError):
        await away.refresh()
    assert isinstance(away.refusal(org_id), QuotaSpent)
    await ours.quotas.refresh()
    async with store.transaction() as tx:
        assert (await quotas.of_day(tx, [org_id], clock.now().date()))[org_id].events == 2


def _away(store: Store) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    return create_async_engine("postgresql+asyncpg://nobody@/nothing?host=/nowhere")


# -- stored bytes


async def test_stored_bytes_refuse_events_and_configuration_until_old_days_are_dropped(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    at_noon(clock)
    async with a_scene(store, clock, vault, webhook.provider, limits=Limits(stored_bytes=MEBIBYTE)) as scene:
        id_, secret = await scene.webhook()
        await send(scene, id_, secret, "a")
        event = an_event(scene.world.caller.org_id, "p", id_, "k", clock.now(), bytes(MEBIBYTE))
        scene.world.counter.events([event])
        with pytest.raises(QuotaSpent) as refused:
            await send(scene, id_, secret, "b")
        assert refused.value.use.quota is Quota.STORED_BYTES
        await scene.world.quotas.refresh()
        with pytest.raises(QuotaSpent):
            await send(scene, id_, secret, "b")
        with pytest.raises(QuotaFull, match="'stored_bytes'"):
            await scene.world.projects.create(scene.world.caller, "More", LogTarget(), 1)
        # Changes that store no more than before are allowed.
        await scene.world.projects.update(scene.world.caller, scene.world.project_id, "New", None, None, None)

        await next_day(scene)
        with pytest.raises(QuotaSpent):
            await send(scene, id_, secret, "b")
        async with store.transaction() as tx:
            await quotas.forget(tx, clock.now().date(), [], [])
        scene.passes(minutes=2)
        await scene.world.quotas.refresh()
        await send(scene, id_, secret, "b")
        assert await scene.world.keys(id_) == ["a", "b"]


async def test_events_repeats_attempts_and_outcomes_are_counted_as_bytes(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    org_id, counter = scene.world.caller.org_id, scene.world.counter
    before = counter.take().get(org_id, quotas.Counts()).ledger_bytes
    await send(scene, id_, secret, "a")
    first = counter.take()[org_id]
    assert (first.events, first.event_bytes) == (1, EVENT_ROW + len(to_json({"id": "a"})))
    await send(scene, id_, secret, "a")
    repeat = counter.take()[org_id]
    assert (repeat.events, repeat.event_bytes) == (0, 0)
    assert repeat.ledger_bytes > before


# -- stored rows


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, webhook.provider, schedule.provider, limits=FEW)


async def _no_problem(*_: object) -> None:
    pass


def integrations(world: World, vault: Vault) -> Integrations:
    return Integrations(store=world.store, clock=world.clock, vault=vault, syntax=_no_problem, limits=FEW)


async def test_each_kind_of_rows_has_a_quota_that_says_what_is_used_and_what_to_do(world: World, vault: Vault) -> None:
    caller, ours = world.caller, integrations(world, vault)
    await world.projects.create(caller, "Second", LogTarget(), 1)
    for _ in range(2):
        await world.create("webhook", "on_request")
    await world.connections.create(caller, "webhook", "One", {})
    integration = await ours.create(caller, "One", "")
    action = ActionDraft("One", "", (), None, None)
    trigger = TriggerDraft("One", "", None, ())
    await ours.create_action(caller, integration.id, action)
    await ours.create_trigger(caller, integration.id, trigger)

    beyond = {
        Quota.PROJECTS: world.projects.create(caller, "Third", LogTarget(), 1),
        Quota.PROJECT_TRIGGERS: world.create("webhook", "on_request"),
        Quota.CONNECTIONS: world.connections.create(caller, "webhook", "Two", {}),
        Quota.SECRETS_PER_CONNECTION: world.connections.create(caller, "webhook", "Two", dict.fromkeys("abc", "s")),
        Quota.INTEGRATIONS: ours.create(caller, "Two", ""),
        Quota.INTEGRATION_ACTIONS: ours.create_action(caller, integration.id, replace(action, name="Two")),
        Quota.INTEGRATION_TRIGGERS: ours.create_trigger(caller, integration.id, replace(trigger, name="Two")),
    }
    for quota, creation in beyond.items():
        with pytest.raises(QuotaFull) as refused:
            await creation
        assert refused.value.use.quota is quota
        assert f"'{quota}' allows {FEW.of(quota)}" in refused.value.message
        assert quota.way_out in refused.value.message

    use = {one.quota: (one.used, one.limit) for one in await world.quotas.usage(caller)}
    assert use[Quota.PROJECTS] == (2, 2)
    assert use[Quota.PROJECT_TRIGGERS] == (2, 2)
    assert use[Quota.CONNECTIONS] == use[Quota.INTEGRATIONS] == use[Quota.INTEGRATION_ACTIONS] == (1, 1)
    assert use[Quota.SECRETS_PER_CONNECTION] == (None, 2)
    assert set(use) == set(Quota)


async def test_rows_that_are_deleted_make_room(world: World) -> None:
    second, _ = await world.projects.create(world.caller, "Second", LogTarget(), 1)
    with pytest.raises(QuotaFull):
        await world.projects.create(world.caller, "Third", LogTarget(), 1)
    await world.projects.delete(world.caller, second.id)
    await world.projects.create(world.caller, "Third", LogTarget(), 1)


async def test_requests_at_the_same_time_do_not_exceed_a_quota_together(world: World) -> None:
    async def create() -> bool:
        try:
            await world.projects.create(world.caller, "One of many", LogTarget(), 1)
        except QuotaFull:
            return False
        return True

    made = await asyncio.gather(*(create() for _ in range(8)))

    assert made.count(True) == 1
    assert len(await world.projects.list(world.caller)) == 2


async def test_a_full_quota_of_one_organisation_leaves_the_others_theirs(world: World) -> None:
    async with world.store.transaction() as tx:
        other = Caller(await an_organization(tx, world.clock.now()), uuid4(), frozenset(SCOPES))
    await world.projects.create(world.caller, "Second", LogTarget(), 1)
    with pytest.raises(QuotaFull):
        await world.projects.create(world.caller, "Third", LogTarget(), 1)
    await world.projects.create(other, "First", LogTarget(), 1)


async def test_a_replay_of_many_waits_for_a_place(world: World) -> None:
    replays = Replays(store=world.store, clock=world.clock, work=world.poller.work, limits=FEW)
    first = await replays.start(world.caller, ReplayQuery(), 1, None)
    with pytest.raises(QuotaFull, match="'running_replays'"):
        await replays.start(world.caller, ReplayQuery(), 1, None)
    await replays.cancel(world.caller, first.id)
    await replays.start(world.caller, ReplayQuery(), 1, None)


async def test_configuration_counts_with_the_size_of_its_values(world: World, vault: Vault) -> None:
    ours = replace(integrations(world, vault), limits=replace(FEW, stored_bytes=MEBIBYTE))
    one = await ours.create(world.caller, "One", "")
    image = b"\x89PNG\r\n\x1a\n" + uuid4().bytes * (MEBIBYTE // 16)
    incompressible = b"\x89PNG\r\n\x1a\n" + b"".join(uuid4().bytes for _ in range(MEBIBYTE // 16))
    await ours.set_icon(world.caller, one.id, image)  # the database compresses it
    with pytest.raises(QuotaFull, match="'stored_bytes'"):
        await ours.set_icon(world.caller, one.id, incompressible)
    auth = AuthDraft("NONE", (), incompressible.hex(), None, None)
    with pytest.raises(QuotaFull, match="'stored_bytes'"):
        await ours.set_auth(world.caller, one.id, auth)


async def test_single_replays_need_room_too(store: Store, clock: ManualClock, vault: Vault) -> None:
    async with a_scene(store, clock, vault, webhook.provider) as scene:
        id_, secret = await scene.webhook()
        await send(scene, id_, secret, "a")
        [event] = await scene.world.events(id_)
        await scene.deliver()
        replaying = Interventions(store=store, clock=clock, work=scene.world.poller.work, limits=Limits(stored_bytes=1))
        with pytest.raises(QuotaFull, match="'stored_bytes'"):
            await replaying.replay(scene.world.caller, event.id)


async def test_a_trigger_has_few_valid_secrets_however_often_one_is_made(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    for _ in range(MOST_LIVE):
        await world.triggers.rotate_secret(world.caller, id_)
    with pytest.raises(Conflict, match="overlap of 0"):
        await world.triggers.rotate_secret(world.caller, id_)
    newest = await world.triggers.rotate_secret(world.caller, id_, overlap=timedelta())
    assert world.secrets.live(await world.trigger(id_), world.clock.now()) == [newest]
    await world.triggers.rotate_secret(world.caller, id_)
