"""A flood of refused requests is counted in full and stored in few rows."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Malformed, NotFound, TooLarge, Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import webhook
from hairtrigger.services.ingest.refusal_counter import RefusalCounter
from hairtrigger.store.database import Store
from hairtrigger.store.events.outcomes import Outcome
from tests.services.scene import Scene, a_scene
from tests.services.world import Meddled
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, webhook.provider) as scene:
        yield scene


async def rows(scene: Scene) -> list[tuple[UUID | None, str, int]]:
    async with scene.world.store.transaction() as tx:
        found = await tx.connection.execute(
            text("SELECT project_trigger_id, code, count FROM outcome WHERE kind = 'webhook' ORDER BY count")
        )
        return [(trigger_id, code, count) for trigger_id, code, count in found]


async def test_addresses_that_nobody_has_are_one_row_however_many_they_are(scene: Scene) -> None:
    for _ in range(3000):
        scene.refusals.turned_away(str(uuid4()), NotFound())
    scene.refusals.turned_away("no id", NotFound())
    await scene.refusals.flush()
    assert await rows(scene) == [(None, Code.UNKNOWN_ADDRESS, 3001)]
    await scene.refusals.flush()
    assert len(await rows(scene)) == 1


async def test_what_is_known_of_a_trigger_is_told_of_it(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    for error, times in ((TooLarge(), 2), (None, 3), (Unavailable(), 4)):
        for _ in range(times):
            scene.refusals.turned_away(str(id_), error)
    scene.refusals.turned_away(str(id_), Malformed())  # the ingest records that one itself
    await scene.refusals.flush()
    assert await rows(scene) == [(id_, Code.TOO_LARGE, 2), (id_, Code.INCOMPLETE, 3), (id_, Code.UNAVAILABLE, 4)]


async def test_what_can_not_be_stored_while_the_database_is_away_is_stored_afterwards(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    away = [True]

    async def begin(_: int) -> None:
        if away:
            raise Unavailable

    refusals = RefusalCounter(
        Meddled(scene.world.store.engine, scene.world.store.connect, before_begin=begin), scene.clock
    )
    refusals.turned_away(str(id_), Unavailable())
    with pytest.raises(Unavailable):
        await refusals.flush()
    refusals.turned_away(str(id_), Unavailable())
    away.clear()
    await refusals.flush()
    assert await rows(scene) == [(id_, Code.UNAVAILABLE, 2)]


async def test_the_first_of_a_minute_are_recorded_one_by_one_at_each_address(scene: Scene) -> None:
    def refused(id_: UUID) -> bool:
        return scene.refusals.admit(Outcome(Kind.WEBHOOK, Code.REJECTED, scene.clock.now(), project_trigger_id=id_))

    for _ in range(3000):
        scene.refusals.turned_away(str(uuid4()), TooLarge())
    one, other = uuid4(), uuid4()
    assert sum(refused(one) for _ in range(100)) == 10
    assert refused(other)
    await scene.refusals.flush()
    assert refused(one), "a new minute has begun"
