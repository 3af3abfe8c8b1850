"""A full disk: no new event is taken, none is lost, and the service says so; later it goes on by itself."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from pydantic_core import to_json
from structlog.testing import capture_logs

from hairtrigger.domain.disk import Thresholds
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import DiskFull
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.store.database import Store
from tests.services.scene import Scene, a_scene
from tests.services.test_quotas import Items, at_noon
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


def test_each_change_of_the_state_is_logged_once(clock: ManualClock) -> None:
    disk = DiskWatch(clock, (), Thresholds())
    with capture_logs() as logs:
        for used in (0.5, 0.6, 0.91, 0.92, 0.97, 0.98, 0.975, 0.93, 0.91, 0.4, 0.5):
            disk.found(used, clock.now())
    assert [(one["log_level"], one["event"]) for one in logs] == [
        ("warning", "the disk is nearly full"),
        ("error", "the disk is full"),
        ("warning", "the disk is nearly full"),
        ("info", "the disk has room again"),
    ]


async def test_the_fullest_of_what_is_measured_counts(clock: ManualClock) -> None:
    async def half() -> float:
        return 0.5

    async def nearly_all() -> float:
        return 0.99

    disk = DiskWatch(clock, (half, nearly_all), Thresholds())
    await disk.look()
    assert (disk.use.used, disk.full) == (0.99, True)
    blind = DiskWatch(clock, (), Thresholds())
    await blind.look()
    assert (blind.use.state, blind.refusal()) == ("unknown", None)


@pytest.fixture
def items() -> Items:
    return Items()


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, items: Items) -> AsyncIterator[Scene]:
    at_noon(clock)
    async with a_scene(store, clock, vault, webhook.provider, schedule.provider, items.provider) as made:
        yield made


def fill(scene: Scene, used: float) -> None:
    scene.world.disk.found(used, scene.clock.now())


async def test_requests_are_refused_and_told_when_there_is_room_again(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    headers = Headers([("x-webhook-secret", secret), ("content-type", "application/json")])

    async def send(key: str) -> None:
        body = to_json({"id": key})
        await scene.ingest.receive(str(id_), Request("POST", "https://hooks.test", headers, body, scene.clock.now()))

    await send("a")
    fill(scene, 0.98)
    scene.passes(minutes=10)
    for _ in range(3):
        with pytest.raises(DiskFull) as refused:
            await send("b")
        scene.refusals.turned_away(str(id_), refused.value)
        assert refused.value.retry_after == timedelta(minutes=1)
    assert "The disk is 98.0% full." in (await scene.why(id_)).health.reason
    await scene.request(id_, "wrong")
    assert await scene.world.codes(id_, Kind.WEBHOOK) == []  # nothing is written that can be written later

    fill(scene, 0.5)
    await scene.refusals.flush()
    told = {one.code: one.count for one in await scene.world.outcomes(id_, Kind.WEBHOOK)}
    assert told == {Code.DISK_FULL: 3, Code.REJECTED: 1}
    scene.passes(minutes=1)
    await send("b")
    assert await scene.world.keys(id_) == ["a", "b"]


async def test_polls_wait_and_leave_one_outcome_however_long_it_takes(scene: Scene, items: Items) -> None:
    id_ = await scene.world.enabled("items", "on_item")
    await scene.poll()
    fill(scene, 0.98)
    items.count = 3
    for _ in range(20):
        scene.passes(minutes=1)
        await scene.poll()
    assert await scene.world.codes(id_, Kind.POLL) == [Code.EMPTY, Code.DISK_FULL]
    with pytest.raises(DiskFull):
        await scene.world.poller.poll_now(scene.world.caller, id_)

    fill(scene, 0.5)
    scene.passes(minutes=2)
    await scene.poll()
    assert await scene.world.keys(id_) == ["0", "1", "2"]


async def test_schedules_wait_and_follow_their_policy_later(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "5m", "missed": "all"})
    fill(scene, 0.98)
    for _ in range(20):
        scene.passes(minutes=1)
        await scene.world.schedules.run_due()
    assert await scene.world.codes(id_, Kind.SCHEDULE) == [Code.DISK_FULL]
    with pytest.raises(DiskFull):
        await scene.world.schedules.fire_now(scene.world.caller, id_)

    fill(scene, 0.5)
    scene.passes(minutes=1, seconds=1)
    await scene.world.schedules.run_due()
    fired = [datetime.fromisoformat(key) for key in await scene.world.keys(id_)]
    assert len(fired) == 4
    assert {(one - fired[0]) % timedelta(minutes=5) for one in fired} == {timedelta()}


async def test_a_firing_that_the_full_disk_put_off_is_not_said_to_have_been_unseen(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "5m", "missed": "skip"})
    first = scene.clock.now() + timedelta(minutes=5)
    fill(scene, 0.98)
    for _ in range(12):
        scene.passes(minutes=1)
        await scene.world.schedules.run_due()
    assert (await scene.world.clockwork(id_)).error == "The service's disk was nearly full."
    fill(scene, 0.5)
    scene.passes(minutes=12)
    await scene.world.schedules.run_due()

    missed = (await scene.world.outcomes(id_, Kind.SCHEDULE))[-1]
    assert missed.code is Code.MISSED
    assert missed.detail == (
        f"Its times from {first:%Y-%m-%d %H:%M:%S} UTC on passed before they could be fired. "
        "The service's disk was nearly full."
    )
    assert (await scene.world.clockwork(id_)).error is None
    assert (await scene.summary(id_, at=missed.at)).startswith(
        f"The schedule at {missed.at:%H:%M:%S} UTC did not fire: its time was missed, and its policy is to skip. "
        f"{missed.detail}"
    )
    between = await scene.summary(id_, at=first + timedelta(minutes=3), within=timedelta(seconds=30))
    assert "The schedule at 12:05:00 UTC was not taken, because the service's disk is nearly full." in between
    assert "the last firing before" not in between


async def test_deliveries_go_on(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "a")
    fill(scene, 0.98)
    await scene.deliver()
    [event] = await scene.world.events(id_)
    assert "It was delivered" in await scene.summary(id_, event=event.id)
