"""A change is told once: it is recorded, handed to the projects that ask for it, and logged with one line."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog.testing
from jsonschema import Draft202012Validator

from hairtrigger.domain.errors import AccessDenied, Conflict, CredentialsRefused, InvalidConfig, ProviderFailed
from hairtrigger.domain.operational import OperationalType, schema_of
from hairtrigger.domain.outcome import Code, Failure
from hairtrigger.domain.quotas import Limits
from hairtrigger.domain.target import LogTarget, Sent
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import hairtrigger, schedule, webhook
from hairtrigger.services.alerts.operational_watch import OperationalWatch
from hairtrigger.store import accounts
from hairtrigger.store.accounts import User
from hairtrigger.store.alerts import operational_events, told_states
from hairtrigger.store.alerts.operational_events import Recorded
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import connection_health
from hairtrigger.store.setup.connection_health import Mark
from tests.services.polling.test_poller import Source, page
from tests.services.scene import DELIVERED, Scene, a_scene
from tests.services.world import Killed, dying
from tests.store.build import an_organization
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

BUSY = Sent("failed", 503, "The target answered 503 Service Unavailable.", failure=Failure.STATUS)
GONE = Sent("gone", 410, "The target answered 410 Gone.", failure=Failure.STATUS)


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@dataclass
class Watched:
    """A scene whose changes are told."""

    scene: Scene
    watch: OperationalWatch
    logged: list[MutableMapping[str, Any]]

    @property
    def org_id(self) -> UUID:
        return self.scene.world.caller.org_id

    async def look(self, **passed: float) -> list[str]:
        """Let time pass, look, and return the types of what was told by that, oldest first."""
        self.scene.passes(**passed)
        before = {one.id for one in await self.told()}
        with structlog.testing.capture_logs() as logged:
            await self.watch.look()
        self.logged += logged
        return [one.type.value for one in await self.told() if one.id not in before]

    async def told(self) -> list[Recorded]:
        """Return what was told, oldest first."""
        async with self.watch.store.transaction() as tx:
            return (await operational_events.page(tx, self.org_id, limit=1000))[::-1]

    async def last(self) -> Recorded:
        return (await self.told())[-1]

    async def listener(self, project_id: str | None = None, **asked: Any) -> tuple[str, UUID]:
        """Make a project, or take this one, that asks for operational events; return the ids of it and its trigger."""
        world = self.scene.world
        project_id = project_id or (await world.projects.create(world.caller, "Alerts", LogTarget(), 5))[0].id
        made = await world.triggers.create(world.caller, project_id, "hairtrigger", "on_operational_event", asked, None)
        await world.triggers.enable(world.caller, made.id)
        return project_id, made.id

    async def got(self, trigger_id: UUID) -> list[Event]:
        return await self.scene.world.events(trigger_id)


@pytest.fixture
async def watched(store: Store, clock: ManualClock, vault: Vault, source: Source) -> AsyncIterator[Watched]:
    providers = (source.provider(), schedule.provider, webhook.provider, hairtrigger.provider)
    async with a_scene(store, clock, vault, *providers) as scene:
        yield Watched(scene, a_watch(scene), [])


def a_watch(scene: Scene) -> OperationalWatch:
    world = scene.world
    return OperationalWatch(
        store=world.store,
        clock=scene.clock,
        diagnosis=scene.watchdog.diagnosis,
        quotas=world.quotas,
        disk=world.disk,
        counter=world.counter,
        work=Wake(),
    )


async def fails(scene: Scene, keys: Sequence[str] = "a") -> UUID:
    """Return a trigger whose deliveries have failed."""
    id_, secret = await scene.webhook()
    scene.answers[:] = [BUSY]
    for key in keys:
        await scene.request(id_, secret, key)
    await scene.deliver()
    return id_


# -- the health of triggers


async def test_a_stalled_trigger_is_told_within_a_minute_of_its_due_time(watched: Watched) -> None:
    scene = watched.scene
    id_ = await scene.world.enabled("source", "on_item")
    due = (await scene.world.clockwork(id_)).next_at
    assert due
    passed = 0
    while not await watched.look(seconds=5):
        passed += 5
        if passed % 10 == 0:
            await scene.watchdog.look()
    [told] = await watched.told()
    assert told.type == OperationalType.TRIGGER_STALLED
    assert told.at - due <= timedelta(seconds=60)
    assert told.sentence == (
        "It is overdue, and no worker has taken it. See whether a worker runs, and whether it keeps up."
    )
    assert told.data["details"]["stall"] == "overdue"

    await scene.poll()
    await scene.watchdog.look()
    assert await watched.look(seconds=1) == ["trigger.recovered"]
    assert (await watched.last()).data["details"]["was"] == "stalled"
    assert await watched.look(seconds=30) == []


async def test_a_trigger_that_fails_is_told_once_and_once_more_when_it_works_again(
    watched: Watched, source: Source
) -> None:
    scene = watched.scene
    id_ = await scene.world.enabled("source", "on_item", {"polling_frequency": 3600})
    source.says(ProviderFailed("The provider answered 500."))
    await scene.poll()
    assert await watched.look(seconds=14) == [], "it may be over soon"
    assert await watched.look(seconds=1) == ["trigger.failing"]
    [told] = await watched.told()
    assert told.sentence == "The last poll failed. The provider answered 500."
    assert (told.project_trigger_id, told.project_id) == (id_, scene.world.project_id)
    assert told.data["details"]["sides"] == ["polls"]
    assert await watched.look(minutes=5) == []

    source.says(page())
    scene.passes(hours=2)
    await scene.poll()
    assert await watched.look() == ["trigger.recovered"]
    lines = [(line["event"], line["log_level"], line["project_trigger_id"]) for line in watched.logged]
    assert lines == [("trigger failing", "warning", str(id_)), ("trigger recovered", "warning", str(id_))]
    assert [line["says"] for line in watched.logged] == [one.sentence for one in await watched.told()]


async def test_a_delivery_that_arrives_at_the_first_retry_is_not_told(watched: Watched) -> None:
    scene = watched.scene
    await fails(scene)
    assert await watched.look(seconds=5) == []
    scene.answers[:] = [DELIVERED]
    await scene.deliver()
    assert await watched.look(minutes=5) == []


async def test_requests_that_are_refused_are_told(watched: Watched) -> None:
    scene = watched.scene
    id_, secret = await scene.webhook()
    for _ in range(40):
        await scene.request(id_, "wrong")
    await scene.refusals.note_refused()
    assert await watched.look(seconds=15) == ["trigger.failing"]
    told = await watched.last()
    assert told.sentence.startswith("The last 40 requests were refused: ")
    assert told.data["details"]["sides"] == ["requests"]
    await scene.request(id_, secret, "first")
    assert await watched.look(seconds=1) == ["trigger.recovered"]


async def test_polls_whose_requests_all_fail_are_told(watched: Watched, source: Source) -> None:
    scene = watched.scene
    id_ = await scene.world.enabled("source", "on_item", {"polling_frequency": 10})
    for count in range(1, 7):
        source.says(page(fruitless_polls=count))
        scene.passes(seconds=10)
        await scene.poll()
    assert await watched.look(seconds=15) == ["trigger.failing"]
    assert (await watched.last()).project_trigger_id == id_
    source.says(page())
    scene.passes(seconds=10)
    await scene.poll()
    assert await watched.look() == ["trigger.recovered"]


async def test_what_comes_and_goes_is_told_once_a_minute_at_most(watched: Watched, source: Source) -> None:
    scene = watched.scene
    await scene.world.enabled("source", "on_item", {"polling_frequency": 10})
    told = []
    for round_ in range(20):
        source.says(ProviderFailed("No.") if round_ % 2 else page())
        scene.passes(seconds=20)
        await scene.poll()
        told += await watched.look(seconds=15)
    minutes = 20 * 35 / 60
    assert 0 < told.count("trigger.failing") <= minutes
    assert 0 <= told.count("trigger.failing") - told.count("trigger.recovered") <= 1


async def test_a_failing_trigger_that_its_user_disables_is_told_no_more(watched: Watched) -> None:
    id_ = await fails(watched.scene)
    assert await watched.look(seconds=15) == ["trigger.failing", "target.failing"]
    await watched.scene.world.triggers.disable(watched.scene.world.caller, id_)
    assert await watched.look(minutes=2) == []


# -- deliveries and targets


async def test_a_target_is_told_when_it_fails_and_when_it_takes_deliveries_again(watched: Watched) -> None:
    scene = watched.scene
    await fails(scene, "abc")
    assert await watched.look(seconds=15) == ["trigger.failing", "target.failing"]
    told = await watched.last()
    assert told.sentence == (
        "The last 3 attempts to deliver to the project's target failed: The target answered 503 Service Unavailable."
    )
    assert (told.project_id, told.data["details"]["failed_attempts"]) == (scene.world.project_id, 3)
    scene.answers[:] = [DELIVERED]
    scene.passes(minutes=5)
    await scene.deliver()
    assert await watched.look() == ["trigger.recovered", "target.recovered"]


async def test_a_target_that_takes_deliveries_of_one_trigger_is_not_failing(watched: Watched) -> None:
    scene = watched.scene
    other, secret = await scene.webhook()
    await fails(scene)
    scene.answers[:] = [DELIVERED]
    await scene.request(other, secret, "b")
    await scene.deliver()
    assert await watched.look(seconds=15) == ["trigger.failing"]


async def test_dead_letters_are_told_once_a_minute_with_their_number(watched: Watched) -> None:
    scene = watched.scene
    id_ = await fails(scene, [str(number) for number in range(25)])
    await watched.look(seconds=15)
    for _ in range(9):
        scene.passes(hours=30)
        await scene.deliver()
    assert "delivery.dead" in await watched.look()
    [told] = [one for one in await watched.told() if one.type is OperationalType.DELIVERY_DEAD]
    assert told.project_trigger_id == id_
    assert told.sentence.startswith("25 deliveries are dead letters. All 10 attempts failed: ")
    assert told.data["details"]["count"] == 25
    async with scene.world.store.transaction() as tx:
        dead = await history.deliveries(tx, watched.org_id, limit=100, status="dead")
    ids = told.data["details"]["delivery_ids"]
    assert len(set(ids)) == 20
    assert set(ids) < {str(one.id) for one in dead}


async def test_a_trigger_that_the_service_disables_is_told(watched: Watched) -> None:
    scene = watched.scene
    id_, secret = await scene.webhook()
    scene.answers[:] = [GONE]
    await scene.request(id_, secret, "a")
    await scene.deliver()
    assert sorted(await watched.look()) == ["delivery.dead", "trigger.disabled"]
    told = {one.type: one for one in await watched.told()}[OperationalType.TRIGGER_DISABLED]
    assert told.sentence == "The target answered 410 Gone, so the trigger was disabled."
    assert told.data["details"] == {"code": "target_gone"}


async def test_a_schedule_that_ends_as_planned_is_not_told_and_one_that_can_not_be_read_is(watched: Watched) -> None:
    world = watched.scene.world
    at = (world.clock.now() + timedelta(minutes=1)).isoformat()
    await world.enabled("schedule", "on_schedule_once", {"run_at": at})
    broken = await world.enabled("schedule", "on_schedule", {"interval": "1m"})
    await world.set_config(broken, {"cron": "nonsense"})
    watched.scene.passes(minutes=2)
    await world.schedules.run_due()
    assert await watched.look() == ["trigger.disabled"]
    assert (await watched.last()).project_trigger_id == broken


# -- quotas and the disk


async def test_a_quota_of_rows_is_told_when_it_is_near_and_when_it_is_reached(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    async with a_scene(store, clock, vault, webhook.provider, limits=Limits(project_triggers=5)) as scene:
        watched = Watched(scene, a_watch(scene), [])
        made = [await scene.world.create("webhook", "on_request") for _ in range(3)]
        assert await watched.look() == []
        made.append(await scene.world.create("webhook", "on_request"))
        assert await watched.look() == ["quota.near"]
        details = (await watched.last()).data["details"]
        assert details == {"quota": "project_triggers", "limit": 5, "used": 4, "resets_at": None}
        assert await watched.look(minutes=5) == []
        made.append(await scene.world.create("webhook", "on_request"))
        assert await watched.look(seconds=1) == ["quota.reached"]
        with pytest.raises(Conflict):
            await scene.world.create("webhook", "on_request")
        assert await watched.look(days=1) == []

        for id_ in made[:3]:
            await scene.world.triggers.delete(scene.world.caller, id_)
        assert await watched.look(minutes=1) == []
        for _ in range(2):
            await scene.world.create("webhook", "on_request")
        assert await watched.look(minutes=1) == ["quota.near"]


async def test_the_events_of_a_day_are_told_when_they_are_nearly_used_up_and_again_the_next_day(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    async with a_scene(store, clock, vault, webhook.provider, limits=Limits(events_a_day=10)) as scene:
        watched = Watched(scene, a_watch(scene), [])
        id_, secret = await scene.webhook()
        for day in range(2):
            for number in range(8):
                await scene.request(id_, secret, f"{day} {number}")
            await scene.world.quotas.refresh()
            assert await watched.look() == ["quota.near"]
            for number in range(8, 12):
                await scene.request(id_, secret, f"{day} {number}")
            await scene.world.quotas.refresh()
            assert await watched.look(seconds=1) == ["quota.reached"]
            details = (await watched.last()).data["details"]
            assert (details["quota"], details["used"]) == ("events_a_day", 10)
            assert await watched.look(seconds=5) == []
            scene.passes(days=1)
            await scene.world.quotas.refresh()
            assert await watched.look() == []


async def test_the_disk_is_told_to_the_operators_organisation_alone(watched: Watched) -> None:
    scene = watched.scene
    async with scene.world.store.transaction() as tx:
        user = User(uuid4(), watched.org_id, "operator@example.com", "", operator=True, created_at=scene.clock.now())
        await accounts.add_user(tx, user)
        await accounts.add_organization(tx, accounts.Organization(uuid4(), "Other", scene.clock.now()))
    for used, told in (
        (0.5, []),
        (0.91, ["disk.low"]),
        (0.92, []),
        (0.98, ["disk.full"]),
        (0.895, ["disk.low"]),  # events are taken again, and another process may still see it as low
        (0.5, ["disk.recovered"]),
        (0.5, []),
    ):
        scene.world.disk.found(used, scene.clock.now())
        assert await watched.look(seconds=5) == told
    async with scene.world.store.transaction() as tx:
        assert await operational_events.silent(tx, scene.clock.now()) == []
        count = await operational_events.operators(tx)
    assert count == [watched.org_id]


# -- kept once


async def test_a_process_that_dies_while_it_tells_loses_nothing_and_tells_nothing_twice(watched: Watched) -> None:
    scene = watched.scene
    _, listener = await watched.listener()
    await fails(scene)
    scene.passes(seconds=15)
    with pytest.raises(Killed):
        await replace(watched.watch, store=dying(scene.world.store, at=1)).look()
    assert await watched.told() == []
    assert await watched.got(listener) == []
    assert await watched.look() == ["trigger.failing", "target.failing"]
    assert await watched.look() == []
    assert len(await watched.got(listener)) == 2


async def test_watches_that_race_tell_it_once(watched: Watched) -> None:
    await fails(watched.scene)
    watched.scene.passes(seconds=15)
    assert sum(await asyncio.gather(*(watched.watch.look() for _ in range(5)))) == 2
    assert len(await watched.told()) == 2


async def test_an_organisation_is_told_a_bounded_number_an_hour_and_the_rest_in_the_next(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operational_events, "MOST_AN_HOUR", 2)
    for _ in range(3):
        await fails(watched.scene)
        await watched.look(seconds=15)
    assert [one.type for one in await watched.told()] == ["trigger.failing", "target.failing"]
    assert await watched.look(hours=1) == ["trigger.failing", "trigger.failing"]


# -- to projects


async def test_a_project_gets_the_operational_events_that_it_asks_for_as_its_own(watched: Watched) -> None:
    project, all_of_it = await watched.listener()
    _, of_targets = await watched.listener(types=["target.failing", "target.recovered"])
    _, of_itself = await watched.listener(projects=[project])
    await fails(watched.scene)
    await watched.look(seconds=15)

    assert [event.type for event in await watched.got(all_of_it)] == ["trigger.failing", "target.failing"]
    assert [event.type for event in await watched.got(of_targets)] == ["target.failing"]
    assert await watched.got(of_itself) == []
    for event, told in zip(await watched.got(all_of_it), await watched.told(), strict=True):
        assert (event.project_id, event.key) == (project, str(told.id))
        assert json.loads(event.body) == told.data
    watched.scene.answers[:] = [DELIVERED]
    await watched.scene.deliver()
    async with watched.watch.store.transaction() as tx:
        sent = await history.deliveries(tx, watched.org_id, limit=10, project_trigger_id=all_of_it)
    assert [one.status for one in sent] == ["delivered", "delivered"]


async def test_every_told_event_is_what_its_schema_says(watched: Watched) -> None:
    scene = watched.scene
    for type_ in OperationalType:
        Draft202012Validator.check_schema(schema_of(type_))
    await fails(scene)
    await watched.look(seconds=15)
    scene.answers[:] = [GONE]
    scene.passes(minutes=5)
    await scene.deliver()
    await watched.look()
    told = await watched.told()
    assert len({one.type for one in told}) >= 4
    for one in told:
        Draft202012Validator(schema_of(one.type)).validate(one.data)


async def test_a_project_is_not_told_of_its_own_target(watched: Watched) -> None:
    scene = watched.scene
    _, own = await watched.listener(scene.world.project_id)
    _, other = await watched.listener()
    await fails(scene)
    await watched.look(seconds=15)
    assert await watched.got(own) == []
    assert [event.type for event in await watched.got(other)] == ["trigger.failing", "target.failing"]


async def test_alerts_whose_targets_fail_make_no_further_alerts_for_projects(watched: Watched) -> None:
    """Two projects are told of everything, and both of their targets fail."""
    scene = watched.scene
    _, one = await watched.listener()
    _, two = await watched.listener()
    await fails(scene)
    for _ in range(30):  # until every delivery of these is a dead letter
        await watched.look(hours=5)
        await scene.deliver()
    await watched.look()
    first, second = [[event.type for event in await watched.got(id_)] for id_ in (one, two)]
    assert first == second == ["trigger.failing", "target.failing", "delivery.dead"]
    failing = {one.project_trigger_id for one in await watched.told() if one.type is OperationalType.TRIGGER_FAILING}
    assert failing >= {one, two}, "people are told"
    assert (await scene.why(one)).health.status == "failing"


async def test_a_trigger_of_operational_events_waits_for_these_and_names_projects_that_exist(watched: Watched) -> None:
    _, id_ = await watched.listener()
    health = (await watched.scene.why(id_)).health
    assert health.status == "healthy"
    assert health.reason.startswith("It waits for operational events.")
    assert await watched.scene.watchdog.look() == 0
    with pytest.raises(InvalidConfig, match="proj_nowhere"):
        await watched.listener(projects=["proj_nowhere"])


async def test_the_triggers_of_operational_events_are_few(watched: Watched) -> None:
    for _ in range(20):
        await watched.listener()
    with pytest.raises(Conflict, match="20 enabled triggers"):
        await watched.listener()


async def test_of_two_states_of_one_quota_the_last_is_kept(store: Store, clock: ManualClock) -> None:
    async with store.transaction() as tx:
        org_id = await an_organization(tx, clock.now())
        near = told_states.ToldState("quota", org_id, "events", "near", None, clock.now())
        await told_states.save(tx, [near, replace(near, state="reached")])
        assert [one.state for one in await told_states.told(tx, "quota")] == ["reached"]


# -- connections


async def test_a_connection_that_breaks_is_told_once_whatever_number_of_triggers_use_it(
    watched: Watched, source: Source
) -> None:
    world = watched.scene.world
    connection = await world.connections.create(world.caller, "source", "Mine", {"token": "t"}, external_user_id="ada")
    ids = [await world.create("source", "on_own_item", connection_id=connection.id) for _ in range(3)]
    for id_ in ids:
        await world.triggers.enable(world.caller, id_)
    _, listening = await watched.listener()
    source.says(CredentialsRefused("The provider refused access with 401."))
    watched.scene.passes(minutes=2)
    assert [one.code for one in await world.poll_due()] == [Code.CREDENTIALS_REFUSED] * 3

    assert await watched.look() == []  # it may be over at once
    assert await watched.look(seconds=20) == ["connection.broken"]
    assert await watched.look(minutes=5) == []
    told = await watched.last()
    assert told.data["details"] == {
        "connection_id": str(connection.id),
        "provider_id": "source",
        "name": "Mine",
        "external_user_id": "ada",
        "status": "refused",
        "since": told.data["details"]["since"],
        "enabled_triggers": 3,
    }
    assert told.sentence == (
        "The connection 'Mine' to 'source' is not accepted any more: The provider refused access with 401."
    )

    source.says(page())
    await world.connections.update(world.caller, connection.id, None, {"token": "new"})
    assert await watched.look() == ["connection.recovered"]
    assert await watched.look(seconds=1) == []
    assert {one.code for one in await world.poll_due()} <= {Code.ACCEPTED, Code.EMPTY, Code.BASELINE}
    assert await watched.look(minutes=2) == []
    assert [one.type for one in await watched.got(listening)] == ["connection.broken", "connection.recovered"]
    for one in await watched.told():
        Draft202012Validator(schema_of(one.type)).validate(one.data)


async def test_a_trigger_that_may_not_ask_for_something_is_told_and_not_its_connection(
    watched: Watched, source: Source
) -> None:
    world = watched.scene.world
    connection = await world.connections.create(world.caller, "source", "Mine", {"token": "t"})
    id_ = await world.create("source", "on_own_item", connection_id=connection.id)
    await world.triggers.enable(world.caller, id_)
    source.says(AccessDenied("The provider refused access with 403."))
    watched.scene.passes(minutes=2)
    await world.poll_due()
    assert await watched.look(seconds=20) == ["trigger.failing"]


async def test_a_broken_connection_that_is_deleted_is_forgotten(watched: Watched, source: Source) -> None:
    world = watched.scene.world
    connection = await world.connections.create(world.caller, "source", "Mine", {"token": "t"})
    async with world.store.transaction() as tx:
        await connection_health.mark(tx, [Mark(connection.id, world.clock.now(), "No.")])
    assert await watched.look(seconds=20) == ["connection.broken"]
    await world.connections.delete(world.caller, connection.id)
    assert await watched.look(minutes=2) == []
    async with world.store.transaction() as tx:
        assert await told_states.told(tx, "connection") == []
