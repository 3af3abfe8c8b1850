"""Bodies and events go as their trigger asks, also where its privacy was changed later."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from hairtrigger.domain.privacy import EVERYTHING, Privacy
from hairtrigger.domain.target import Outgoing, Sent
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.services.upkeep.kept_bodies import KeptBodies
from hairtrigger.store import partitions
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import bodies
from tests.services.scene import DELIVERED, Scene, a_scene
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

FAILED = Sent("failed", 500, "The target answered 500.", response=b"what the target said")
NONE = Privacy(keep_body=False)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, webhook.provider, schedule.provider) as scene:
        yield scene


@pytest.fixture
def keeping(scene: Scene) -> KeptBodies:
    return KeptBodies(store=scene.world.store, clock=scene.clock)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WINDOW", 2)


async def change(scene: Scene, trigger: UUID, privacy: Privacy) -> None:
    changes = TriggerChanges(frozenset({"privacy"}), privacy=privacy)
    await scene.world.triggers.change(scene.world.caller, trigger, changes)


async def held(scene: Scene, trigger: UUID) -> list[str]:
    """Return the keys of the trigger's events that have a body."""
    return [event.key for event in await scene.world.events(trigger) if event.body]


async def test_a_change_holds_for_what_is_stored_and_what_is_under_way_is_dropped_at_its_end(
    scene: Scene, keeping: KeptBodies
) -> None:
    hook, secret = await scene.webhook()
    scene.answers[:] = [FAILED, DELIVERED]
    await scene.request(hook, secret, "retried")
    await scene.deliver()
    for number in range(5):
        await scene.request(hook, secret, str(number))
    await scene.deliver()
    scene.passes(minutes=2)
    await keeping.sweep()
    assert len(await held(scene, hook)) == 6

    await change(scene, hook, NONE)
    await keeping.sweep()
    assert await held(scene, hook) == ["retried"]

    scene.passes(hours=2)
    await scene.deliver()
    assert await held(scene, hook) == []
    async with scene.world.store.transaction() as tx:
        answers = await tx.connection.execute(text("SELECT DISTINCT response FROM attempt"))
        assert list(answers.scalars()) == [b""]
        floors = await tx.connection.execute(text("SELECT count(*) FROM body_sweep WHERE floor = position"))
        assert floors.scalar_one() == 1

    await keeping.sweep()
    await change(scene, hook, EVERYTHING)
    await scene.request(hook, secret, "kept")
    await scene.deliver()
    scene.passes(minutes=2)
    await keeping.sweep()
    assert await held(scene, hook) == ["kept"]
    await change(scene, hook, NONE)
    await keeping.sweep()
    assert await held(scene, hook) == []


async def test_a_body_goes_with_a_delivery_that_was_under_way_when_its_trigger_asked_for_that(scene: Scene) -> None:
    hook, secret = await scene.webhook()
    other, secret_of_other = await scene.webhook()
    scene.answers[:] = [replace(DELIVERED, response=b"what the target said")]
    for number in range(3):
        await scene.request(hook, secret, f"private {number}")
        await scene.request(other, secret_of_other, f"kept {number}")

    async def ask(outgoing: Outgoing) -> None:
        if outgoing.event_key == "private 1":
            await change(scene, hook, NONE)

    scene.before_answer = ask
    await scene.deliver()

    async with scene.world.store.transaction() as tx:
        found = await tx.connection.execute(
            text("SELECT key, body, response FROM event JOIN attempt ON delivery_id = event.id ORDER BY key")
        )
        rows = {key: (body, response) for key, body, response in found}
    assert rows["private 1"] == (b"", b"")
    assert all(
        rows[f"kept {number}"] == (b'{"id": "kept %d"}' % number, b"what the target said") for number in range(3)
    )
    counted = scene.world.counter.of(scene.world.caller.org_id)
    assert counted
    assert counted.attempts == 6


async def test_dropped_bodies_do_not_count_as_stored(scene: Scene, keeping: KeptBodies) -> None:
    hook, secret = await scene.webhook()
    await scene.request(hook, secret, "a" * 300)
    await scene.deliver()
    await scene.world.quotas.refresh()
    stored = text("SELECT event_bytes FROM org_usage")
    async with scene.world.store.transaction() as tx:
        before = (await tx.connection.execute(stored)).scalar_one()
    await change(scene, hook, NONE)
    scene.passes(minutes=2)
    await keeping.sweep()
    async with scene.world.store.transaction() as tx:
        assert before - (await tx.connection.execute(stored)).scalar_one() > 300


async def test_events_go_after_the_days_that_their_trigger_keeps_them(scene: Scene, keeping: KeptBodies) -> None:
    short, secret = await scene.webhook()
    long, other = await scene.webhook()
    await change(scene, short, Privacy(retention_days=2))
    scene.passes(days=-3)
    async with scene.world.store.transaction() as tx:
        await partitions.make_ahead(tx, scene.clock.now().date())
    scene.answers[:] = [FAILED, DELIVERED]
    await scene.request(short, secret, "old and retried")
    await scene.deliver()
    for number in range(5):
        await scene.request(short, secret, f"old {number}")
    await scene.request(long, other, "old, of another trigger")
    scene.passes(days=3)
    await scene.request(short, secret, "new")
    async with scene.world.store.transaction() as tx:
        kept = await tx.connection.execute(text("SELECT message FROM retry"))
        [retry] = kept.scalars()
        await tx.connection.execute(text("UPDATE retry SET run_at = run_at + interval '10 days'"))
    assert retry
    await scene.deliver()

    await keeping.expire()

    assert await scene.world.keys(short) == ["old and retried", "new"]
    assert await scene.world.keys(long) == ["old, of another trigger"]
    async with scene.world.store.transaction() as tx:
        attempts = await tx.connection.execute(text("SELECT count(*) FROM attempt"))
        assert attempts.scalar_one() == 3
        await tx.connection.execute(text("UPDATE retry SET run_at = now() - interval '1 day'"))
    await scene.deliver()
    await keeping.expire()
    assert await scene.world.keys(short) == ["new"]
    scene.passes(days=-3)
    await scene.request(short, secret, "old 1")
    assert await scene.world.keys(short) == ["new"], "the key is remembered"


async def test_a_trigger_keeps_nothing_longer_than_the_service(scene: Scene) -> None:
    hook, _ = await scene.webhook()
    with pytest.raises(Exception, match="keeps events for 30 days"):
        await change(scene, hook, Privacy(retention_days=31))
    assert scene.world.triggers.kept == timedelta(days=30)
