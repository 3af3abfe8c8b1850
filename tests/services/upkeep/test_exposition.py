"""The text of /metrics with what is in the database, which is asked seldom and may be away."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import Sent
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.upkeep.exposition import Exposition
from hairtrigger.store.database import Store
from hairtrigger.store.upkeep import processes
from hairtrigger.store.upkeep.processes import Stretch
from tests.services.scene import a_scene
from tests.services.world import Meddled
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, ...], float]


class Counted:
    """A store whose transactions are counted, and which may be away."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.away = False
        self.store = Meddled(store.engine, store.connect, before_begin=self._begin)

    async def _begin(self, _: int) -> None:
        self.count += 1
        if self.away:
            raise Unavailable


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


@pytest.fixture
def exposition(counted: Counted, clock: ManualClock) -> Exposition:
    return Exposition(metrics=Metrics(), store=counted.store, clock=clock, version="1.2.3", role="all")


async def read(exposition: Exposition) -> Samples:
    body, content_type = await exposition.text()
    assert content_type.startswith("text/plain; version=")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_it_tells_what_is_left_to_do_and_since_when(
    exposition: Exposition, store: Store, clock: ManualClock, vault: Vault
) -> None:
    async with a_scene(store, clock, vault, webhook.provider, schedule.provider) as scene:
        id_, secret = await scene.webhook()
        scene.answers = [Sent("failed", 503, "The target answered 503.", failure=Failure.STATUS)]
        await scene.request(id_, secret, "a")
        await scene.deliver()
        for key in ("b", "c"):
            await scene.request(id_, secret, key)
        scheduled = await scene.world.enabled("schedule", "on_schedule", {"interval": "1m"})
        async with store.transaction() as tx:
            await tx.connection.execute(
                text("UPDATE pgmq.q_dispatch SET enqueued_at = :at"), {"at": clock.now() - timedelta(seconds=40)}
            )
            await tx.connection.execute(
                text("UPDATE poll SET next_at = :at WHERE project_trigger_id = :id"),
                {"at": clock.now() - timedelta(seconds=30), "id": scheduled},
            )
            await tx.connection.execute(text("UPDATE retry SET run_at = :at"), {"at": clock.now()})
            for role, ago in (("worker", 1), ("worker", 29), ("worker", 31), ("api", 2)):
                seen = clock.now() - timedelta(seconds=ago)
                await processes.begin(tx, Stretch(uuid4(), seen, seen, ended=False, role=role, after="start"))
        samples = await read(exposition)

    def of(name: str) -> dict[str, float]:
        return {labels[0]: value for (found, *labels), value in samples.items() if found == f"hairtrigger_{name}"}

    assert samples["hairtrigger_shared_up",] == 1
    assert of("shared_deliveries") == {"queued": 2, "under_way": 0, "waiting": 0, "retrying": 1, "dead": 0}
    assert of("shared_oldest_due_seconds") == {
        "deliveries": 40,
        "retries": 0,
        "polls": 0,
        "schedules": 30,
        "removals": 0,
    }
    assert of("shared_triggers") == {"stalled": 0, "refused": 0, "failing": 1}
    assert of("shared_processes") == {"all": 0, "api": 1, "worker": 2}
    assert samples["hairtrigger_build_info", "all", "1.2.3"] == 1
    assert samples["process_resident_memory_bytes",] > 0


async def test_the_database_is_asked_once_in_ten_seconds_however_often_the_text_is_asked_for(
    exposition: Exposition, counted: Counted, clock: ManualClock
) -> None:
    await asyncio.gather(*(exposition.text() for _ in range(20)))
    clock.advance(timedelta(seconds=9))
    await exposition.text()
    assert counted.count == 1

    clock.advance(timedelta(seconds=1))
    await exposition.text()
    assert counted.count == 2


async def test_while_the_database_is_away_the_rest_is_told_and_it_is_not_asked_more_often(
    exposition: Exposition, counted: Counted, clock: ManualClock
) -> None:
    counted.away = True
    exposition.metrics.delivered(arrived=3, dead=0)

    away = await read(exposition)
    await read(exposition)

    assert counted.count == 1
    assert away["hairtrigger_shared_up",] == 0
    assert away["hairtrigger_deliveries_total", "delivered"] == 3
    assert {name for name, *_ in away if name.startswith("hairtrigger_shared")} == {"hairtrigger_shared_up"}

    counted.away = False
    clock.advance(timedelta(seconds=10))
    assert (await read(exposition))["hairtrigger_shared_up",] == 1


async def test_openmetrics_is_written_for_those_that_ask_for_it(exposition: Exposition) -> None:
    body, content_type = await exposition.text("application/openmetrics-text;version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
