"""A poll whose sandbox workers die, as its user sees it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network

import pytest

from hairtrigger.domain.outcome import Code
from hairtrigger.domain.rhythm import AFTER_A_LOSS
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.vault import Vault
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.services.polling.user_triggers import UserTriggers
from hairtrigger.services.setup.integrations import Integrations, TriggerDraft
from hairtrigger.store.database import Store
from hairtrigger.store.polling import polls
from tests.services.world import a_world
from tests.support.clock import ManualClock
from tests.support.servers import Seen, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def user_triggers() -> AsyncIterator[UserTriggers]:
    """Provide user triggers; a fetch of deadly.example kills the sandbox worker that asked for it."""

    async def kill(_: Seen, writer: asyncio.StreamWriter) -> None:
        for worker in (*sandbox._serving.values(), *sandbox._apart):
            if worker.load:
                worker._spawned.kill()
        await asyncio.Event().wait()

    async with serving(kill) as server:
        policy = EgressPolicy((ip_network("127.0.0.1/32"),), {("deadly.example", 80): ("127.0.0.1", server.port)})
        async with Sandbox.start(workers=1) as sandbox, Egress(policy) as egress:
            yield UserTriggers(sandbox, egress)


async def _unchecked(*_: object) -> None:
    pass


async def test_a_poll_that_costs_two_workers_is_told_so_and_waits(
    store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers
) -> None:
    world = await a_world(store, clock, vault, user_providers=user_triggers.providers)
    integrations = Integrations(store=store, clock=clock, vault=vault, syntax=_unchecked)
    integration = await integrations.create(world.caller, "Tracker", "")
    draft = TriggerDraft("New Ticket", "", "return [(await fetch('http://deadly.example/')).status]", ())
    made = await integrations.create_trigger(world.caller, integration.id, draft)
    trigger = await world.enabled(str(integration.id), made.slug, {})
    clock.advance(timedelta(minutes=1))

    [result] = await world.poll_due()

    assert (result.code, result.error_kind) == (Code.WORKER_LOST, "worker_lost")
    assert "ended" in result.detail
    async with store.transaction() as tx:
        poll = await polls.get(tx, trigger)
    assert poll
    assert poll.failures == 1
    assert poll.next_at is not None
    assert poll.next_at >= clock.now() + AFTER_A_LOSS
