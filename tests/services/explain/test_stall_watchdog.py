"""A stall of an enabled trigger is reported once when it begins, and once more when it is over."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import structlog.testing
from sqlalchemy import text

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.outcome import Code, Failure, Kind
from hairtrigger.domain.target import Sent
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import github, schedule, webhook
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.explain.health import Health
from hairtrigger.store.database import Store
from hairtrigger.store.explain import trigger_health
from hairtrigger.store.explain.trigger_health import Status
from tests.services.polling.test_poller import Source
from tests.services.scene import DELIVERED, Scene, a_scene
from tests.store.build import a_trigger
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, source: Source) -> AsyncIterator[Scene]:
    async with a_scene(
        store, clock, vault, source.provider(), schedule.provider, webhook.provider, github.provider
    ) as scene:
        yield scene


async def told(scene: Scene, id_: UUID) -> list[Code]:
    return await scene.world.codes(id_, Kind.WATCHDOG)


async def health(scene: Scene, id_: UUID) -> Health:
    return (await scene.why(id_)).health


async def run(scene: Scene, statement: str, id_: UUID) -> None:
    async with scene.world.store.transaction() as tx:
        await tx.connection.execute(text(statement), {"id": id_})


async def test_a_poll_that_nobody_runs_is_found_once_and_told_when_it_is_over(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    scene.passes(seconds=39)
    assert await scene.watchdog.look() == 0, "a worker may be late"
    scene.passes(seconds=2)
    assert await scene.watchdog.look() == 1
    assert await scene.watchdog.look() == 0
    assert await told(scene, id_) == [Code.STALLED]
    assert (await health(scene, id_)).status == "stalled"
    await scene.poll()
    assert await scene.watchdog.look() == 1
    assert await told(scene, id_) == [Code.STALLED, Code.RECOVERED]
    assert (await health(scene, id_)).status == "healthy"


async def test_watchdogs_that_race_tell_it_once(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    scene.passes(minutes=5)
    assert sum(await asyncio.gather(*(scene.watchdog.look() for _ in range(5)))) == 1
    assert await told(scene, id_) == [Code.STALLED]


async def test_a_poll_under_way_is_not_stalled_until_its_lease_is_over(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item", {"polling_frequency": 1})
    await scene.world.poller.claim(1)
    leased_until = (await scene.world.clockwork(id_)).leased_until
    assert leased_until
    scene.passes(seconds=30)
    assert (await health(scene, id_)).expected_by == leased_until
    assert await scene.watchdog.look() == 0
    scene.passes(minutes=5)
    assert await scene.watchdog.look() == 1, "its worker has died, and nobody has taken it over"


async def test_a_schedule_that_nobody_fires_is_found(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1h"})
    due = scene.clock.now() + timedelta(hours=1)
    assert (await health(scene, id_)).expected_by == due + timedelta(minutes=1)
    scene.passes(hours=1, minutes=3)
    assert await scene.watchdog.look() == 1
    scene.passes(seconds=1)
    await scene.world.schedules.run_due()
    assert await scene.watchdog.look() == 1
    assert await told(scene, id_) == [Code.STALLED, Code.RECOVERED]


@pytest.mark.parametrize(
    "mistake",
    [
        "DELETE FROM poll WHERE project_trigger_id = :id",
        "UPDATE poll SET next_at = NULL WHERE project_trigger_id = :id",
    ],
)
async def test_an_enabled_trigger_that_is_off_the_clock_is_found(scene: Scene, mistake: str) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await run(scene, mistake, id_)
    assert await scene.watchdog.look(at_all=False) == 0
    assert await scene.watchdog.look() == 1
    found = await health(scene, id_)
    assert (found.status, found.expected_by) == ("stalled", None)
    assert found.reason == "It is enabled but not on the clock, so it never comes due. Disable and enable it again."
    scene.passes(seconds=1)
    await scene.world.triggers.disable(scene.world.caller, id_)
    await scene.world.triggers.enable(scene.world.caller, id_)
    assert await scene.watchdog.look() == 1
    assert await told(scene, id_) == [Code.STALLED, Code.RECOVERED]


async def test_an_enabled_webhook_that_is_not_registered_is_found(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    assert await scene.watchdog.look() == 0
    assert await health(scene, id_) == Health(
        "healthy",
        "It waits for requests. Nothing can be expected by a time: they come when something happens.",
        scene.clock.now(),
        None,
        None,
    )
    await run(scene, "UPDATE project_trigger SET webhook_data = NULL WHERE id = :id", id_)
    assert await scene.watchdog.look() == 1
    assert (await health(scene, id_)).status == "stalled"


async def test_an_enabled_app_webhook_that_listens_to_nobody_is_found(scene: Scene) -> None:
    world = scene.world
    async with world.store.transaction() as tx:
        deaf = await a_trigger(
            tx,
            world.caller.org_id,
            world.project_id,
            scene.clock.now(),
            provider_id="github",
            trigger_id="on_issue_opened",
        )
    assert await scene.watchdog.look() == 1
    assert (await health(scene, deaf.id)).reason.startswith("It is enabled but listens to no account")


async def test_a_stalled_trigger_that_is_disabled_is_no_longer_told(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    scene.passes(minutes=5)
    await scene.watchdog.look()
    await scene.world.triggers.disable(scene.world.caller, id_)
    assert await scene.watchdog.look() == 0
    assert await told(scene, id_) == [Code.STALLED]
    await scene.world.triggers.enable(scene.world.caller, id_)
    scene.passes(minutes=5)
    assert await scene.watchdog.look() == 1, "it is a finding of its own"


async def test_a_list_of_how_triggers_are_has_each_in_its_place(scene: Scene, source: Source) -> None:
    world = scene.world
    off = await world.create("source", "on_item")
    fine, _ = await scene.webhook()
    failing = await world.enabled("source", "on_item", {"polling_frequency": 3600})
    source.says(ProviderFailed("The provider answered 500."))
    await scene.poll()
    stalled = await world.enabled("source", "on_item")
    scene.passes(minutes=5)
    wanted: dict[Status, UUID] = {"disabled": off, "healthy": fine, "failing": failing, "stalled": stalled}
    found = await scene.watchdog.health(world.caller, limit=10)
    assert {one.id: how.status for one, how in found} == {id_: status for status, id_ in wanted.items()}
    for status, id_ in wanted.items():
        [(one, how)] = await scene.watchdog.health(world.caller, limit=10, status=status)
        assert (one.id, how.status) == (id_, status)
        assert (await health(scene, id_)).status == status
    rest = await scene.watchdog.health(world.caller, limit=10, after=found[0][0].id)
    assert [one.id for one, _ in rest] == [one.id for one, _ in found[1:]]


async def test_looking_on_is_cheap_when_all_is_well(scene: Scene) -> None:
    """The query reads overdue triggers from one end of the index by due time, so their total number does not matter."""
    expected = scene.watchdog.diagnosis.expectations()
    parameters = {**expected.parameters(), "limit": 1000, "kind": "poll"}
    async with scene.world.store.transaction() as tx:
        await tx.connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.connection.execute(text(f"EXPLAIN {trigger_health.FIND_OVERDUE.text}"), parameters)
        lines = "\n".join(plan.scalars())
    assert "Index Scan using poll_due_idx" in lines
    assert "next_at <" in lines.split("Index Cond:")[1].split("\n")[0]


# What health says of requests, deliveries and pauses


BUSY = Sent("failed", 503, "The target answered 503 Service Unavailable.", failure=Failure.STATUS)


async def listed(scene: Scene, status: Status, id_: UUID) -> Health:
    [found] = [
        h for one, h in await scene.watchdog.health(scene.world.caller, limit=10, status=status) if one.id == id_
    ]
    return found


async def test_deliveries_that_fail_make_their_trigger_fail_until_one_arrives(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.answers[:] = [BUSY]
    began = scene.clock.now()
    with structlog.testing.capture_logs() as logged:
        for key in "abc":
            await scene.request(id_, secret, key)
        await scene.deliver()

    found = await health(scene, id_)
    assert (found.status, found.since) == ("failing", began)
    assert found.reason == "The last 3 attempts to deliver failed: The target answered 503 Service Unavailable."
    assert await listed(scene, "failing", id_) == found
    [line] = [line for line in logged if line["event"] == "deliveries fail"]
    assert (line["log_level"], line["project_trigger_id"], line["detail"]) == ("warning", str(id_), BUSY.detail)

    scene.answers[:] = [DELIVERED]
    with structlog.testing.capture_logs() as logged:
        scene.passes(minutes=5)
        await scene.deliver()
    assert (await health(scene, id_)).status == "healthy"
    [line] = [line for line in logged if line["event"] == "deliveries arrive again"]
    assert (line["project_trigger_id"], line["failed_attempts"]) == (str(id_), 3)


async def test_a_trigger_that_its_target_has_disabled_says_why(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.answers[:] = [Sent("gone", 410, "The target answered 410 Gone.", failure=Failure.STATUS)]
    await scene.request(id_, secret, "a")
    await scene.deliver()

    single, in_list = await health(scene, id_), await listed(scene, "disabled", id_)
    assert in_list.reason == single.reason == "The target answered 410 Gone, so the trigger was disabled."


async def test_requests_that_are_refused_make_their_trigger_fail_until_one_is_accepted(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "first")
    scene.passes(seconds=1)
    began = scene.clock.now()
    for _ in range(40):
        await scene.request(id_, "wrong")
    with structlog.testing.capture_logs() as logged:
        await scene.refusals.note_refused()

    found = await health(scene, id_)
    assert (found.status, found.since) == ("failing", began)
    assert found.reason.startswith("The last 40 requests were refused: ")
    assert await listed(scene, "failing", id_) == found
    assert [line["event"] for line in logged] == ["requests are refused"]

    scene.passes(seconds=1)
    await scene.request(id_, secret, "second")
    assert (await health(scene, id_)).status == "healthy"

    scene.passes(seconds=1)
    await scene.request(id_, "wrong")
    await scene.refusals.note_refused()
    assert (await health(scene, id_)).reason.startswith("The last request was refused: ")
    scene.passes(seconds=1)
    await scene.request(id_, secret, "second")  # a repeat: it leaves an outcome, and is no refusal
    assert (await health(scene, id_)).status == "healthy"


async def test_a_paused_trigger_says_since_when_by_whom_and_how_to_go_on(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    world = scene.world
    pauses = Pauses(store=world.store, clock=scene.clock, work=Wake())
    since = format(scene.clock.now(), "%Y-%m-%d %H:%M:%S UTC")
    await pauses.pause(world.caller, id_)
    scene.passes(minutes=1)
    await pauses.pause(world.caller, id_)
    for key in "ab":
        await scene.request(id_, secret, key)
    await scene.deliver()

    found = await health(scene, id_)
    assert found.status == "paused"
    assert found.reason == (
        f"It is paused since {since} by {world.caller.id}: what arrives is held, and 2 deliveries wait. "
        f"To go on: POST /v1/project-triggers/{id_}/resume"
    )
    assert await listed(scene, "paused", id_) == found
    assert found.reason in await scene.summary(id_)

    await pauses.resume(world.caller, id_)
    await pauses.pause(world.caller, world.project_id)
    assert (await health(scene, id_)).reason.startswith("Its project is paused since ")
    assert f"POST /v1/projects/{world.project_id}/resume" in (await health(scene, id_)).reason
    await pauses.resume(world.caller, world.project_id)
    assert (await health(scene, id_)).status == "healthy"


async def test_the_list_says_why_a_poll_failed_as_the_single_view_does(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(ProviderFailed("The provider answered 500."))
    scene.passes(seconds=10)
    await scene.poll()

    found = await listed(scene, "failing", id_)
    assert found == await health(scene, id_)
    assert found.reason == "The last poll failed. The provider answered 500."
