"""Faults. Each strikes something that the dice choose, and returns when nothing is in the way of a recovery any more.

Its name is what the figures call it.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from hairtrigger.platform.postgres import EmbeddedPostgresFailed
from tests.e2e.process import Service
from tests.faults import processes
from tests.faults.clock import JumpingClock
from tests.faults.disk import filled, limited
from tests.faults.proxy import Weather
from tests.faults.world import World

Fault = Callable[[World], Awaitable[None]]


async def service_killed(world: World) -> None:
    """Its embedded database notices, and ends as well."""
    await processes.killed([world.dice.choice(world.services).pid])


async def service_restarted(world: World) -> None:
    """As a rolling update does: what is under way is finished, and the next one waits until this one runs again."""
    service = world.dice.choice(world.services)
    started = service.output.count("running at")
    processes.kill([service.pid], signal.SIGTERM)
    async with asyncio.timeout(90):
        while service.output.count("running at") == started:
            await asyncio.sleep(0.05)


async def postmaster_killed(world: World) -> None:
    """The service of an embedded database ends with it."""
    pids = [_postmaster(world)] if world.database else [_postmaster(world), world.services[0].pid]
    processes.kill(pids[:1])
    await processes.ended(pids)
    await _brought_back(world)


async def server_process_killed(world: World) -> None:
    """A session, the checkpointer, the writer of the log, …: PostgreSQL ends all the others and recovers."""
    await _crash(world, processes.children(_postmaster(world)))


async def session_killed(world: World) -> None:
    every = processes.children(_postmaster(world))
    await _crash(world, [pid for pid in every if "hairtrigger hairtrigger" in processes.command(pid)])


async def sandbox_worker_killed(world: World) -> None:
    workers = [
        pid
        for service in world.services
        for pid in processes.children(service.pid)
        if "hairtrigger.sandbox" in processes.command(pid)
    ]
    if workers:
        await processes.killed([world.dice.choice(sorted(workers))])


async def everything_killed(world: World) -> None:
    """All processes at once, as a power cut would, as far as processes go."""
    roots = [service.pid for service in world.services] + ([world.database.pid] if world.database else [])
    await processes.killed([pid for root in roots for pid in processes.family(root)])
    await _brought_back(world)


async def database_restarted(world: World) -> None:
    assert world.database
    await world.database.stop()
    await world.database.restart()


async def database_away(world: World) -> None:
    """Killed, and not there for a while."""
    assert world.database
    await world.database.kill()
    await world.pause(1, 3)
    await world.database.restart()


async def service_frozen(world: World) -> None:
    """Stands still for longer than its leases, and then goes on as though nothing had happened."""
    service = world.dice.choice(world.services)
    processes.kill([service.pid], signal.SIGSTOP)
    try:
        await asyncio.sleep(35)
    finally:
        processes.kill([service.pid], signal.SIGCONT)


def process_killed_at_sync(tracer: str, number: int) -> Fault:
    """Each process of PostgreSQL dies at the sync that is its `number`th, those of the recovery too."""
    inject = f"inject=fsync,fdatasync:signal=KILL:when={number}"

    async def killed_at_sync(world: World) -> None:
        database = world.database
        assert database
        await world.dice.choice([database.stop, database.kill])()
        database.under = (tracer, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject)
        with suppress(EmbeddedPostgresFailed):
            await database.start()
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await processes.ended([database.pid])
        await database.kill()
        database.under = ()
        await database.restart()

    return killed_at_sync


def disk_filled(disk: Path) -> Fault:
    async def disk_full(world: World) -> None:
        await _without_room(world, filled(disk))

    return disk_full


async def quota_reached(world: World) -> None:
    assert world.database
    await _without_room(world, limited(processes.family(world.database.pid)))


def clock_jumped(clock: JumpingClock, by: timedelta) -> Fault:
    async def clock_jump(_: World) -> None:
        clock.jump(by)

    return clock_jump


def bad_weather(weather: Weather) -> Fault:
    async def network(world: World) -> None:
        """Then fine for as long as what failed needs for its second attempt; the third would come after minutes."""
        for one in world.networks:
            one.weather = weather
        await asyncio.sleep(2)
        for one in world.networks:
            one.weather = Weather.FINE
        await asyncio.sleep(world.settings.target_timeout.total_seconds() + 10)

    network.__name__ = f"network_{weather.value}"
    return network


async def _without_room(world: World, full: AbstractContextManager[None]) -> None:
    """Until the service refuses events, and a moment longer."""
    assert world.database
    before = world.ledger.refused.total()
    with full:
        async with asyncio.timeout(60):
            while world.ledger.refused.total() == before:
                await asyncio.sleep(0.05)
        await world.pause(1, 3)
    if not world.database.runs:
        await world.database.stop()
        await world.database.restart()


async def _brought_back(world: World) -> None:
    """A database of its own is the service's business."""
    if world.database:
        await world.database.kill()
        await world.database.restart()


async def _crash(world: World, candidates: Sequence[int]) -> None:
    """Returns when the postmaster has ended all the other processes too, and an operator's database has recovered."""
    if candidates:
        others = processes.children(_postmaster(world))
        processes.kill([world.dice.choice(sorted(candidates))])
        await processes.ended(others)
        if world.database:
            await world.database.ready()


def _postmaster(world: World) -> int:
    return world.database.pid if world.database else _embedded(world.services[0])


def _embedded(service: Service) -> int:
    file = service.folder / "data" / "postgres" / "cluster" / "postmaster.pid"
    return int(file.read_text().split()[0])
