"""Workers that listen, in this process, and can end at any moment as a killed process does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.sockets import Sockets
from hairtrigger.platform.vault import Vault
from hairtrigger.services.listening.listener import Listener
from hairtrigger.services.listening.listeners import Listeners
from hairtrigger.store.database import Store
from tests.services.world import World, a_world, settling_alone
from tests.support.clock import ManualClock
from tests.support.waiting import until, until_true

LOOPBACK = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))
HOUR = timedelta(hours=1)


@dataclass
class Worker:
    world: World
    listeners: Listeners
    tasks: asyncio.TaskGroup

    async def look(self) -> None:
        await self.listeners.look(self.tasks)

    async def until_all_ended(self) -> None:
        await until_true(lambda: not self.listeners.under_way)


@dataclass
class Ears:
    """A world whose triggers can listen to servers on this machine."""

    world: World
    sockets: Sockets

    def listeners(self, store: Store | None = None, places: int = 20) -> Listeners:
        world, store = self.world, store or self.world.store
        return Listeners(
            store=store,
            clock=world.clock,
            leases=replace(world.poller.leases, store=store, kind="listen", holder=uuid4()),
            listener=Listener(
                clock=world.clock,
                calls=world.poller.calls,
                settle=settling_alone(store),
                work=world.poller.work,
                refusal=world.refusal,
                metrics=world.metrics,
            ),
            places=Shares.beyond(places),
        )

    @asynccontextmanager
    async def worker(self, store: Store | None = None, places: int = 20) -> AsyncIterator[Worker]:
        """Run a worker, which begins with what is due, and stop it at the end of the block as a service stops."""
        listeners = self.listeners(store, places)
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(self.world, listeners, tasks)
            await worker.look()
            yield worker
            await listeners.drain(HOUR)

    async def until_events(self, id_: UUID, count: int) -> list[str]:
        """Wait until the trigger has so many events, and return their keys."""

        async def enough() -> list[str]:
            keys = await self.world.keys(id_)
            return keys if len(keys) >= count else []

        return await until(enough)

    async def until_connected(self, id_: UUID) -> None:
        async def connected() -> bool:
            return Code.LISTENING in await self.world.codes(id_, Kind.LISTEN)

        await until(connected)


@asynccontextmanager
async def ears(
    store: Store, clock: ManualClock, vault: Vault, *providers: Provider, policy: EgressPolicy = LOOPBACK
) -> AsyncIterator[Ears]:
    async with Egress(policy) as egress, Sockets(egress.dialing, egress.turns) as sockets:
        world = await a_world(store, clock, vault, *providers, http=egress, door_of=sockets.of)
        yield Ears(world, sockets)
