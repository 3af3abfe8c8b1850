"""Faults. Each strikes something that the dice choose, and returns when nothing prevents a recovery any more.

The figures show a fault under the name of its function.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from hairtrigger.platform.postgres import EmbeddedPostgresFailed
from tests.e2e.process import Client, Service
from tests.faults import processes
from tests.faults.clock import JumpingClock
from tests.faults.disk import ballast, filled, limited
from tests.faults.proxy import Weather
from tests.faults.world import World
from tests.support.waiting import until_true

Fault = Callable[[World], Awaitable[None]]


async def service_killed(world: World) -> None:
    """Kill a service. Its embedded database notices this, and ends as well."""
    await processes.killed([world.dice.choice(world.services).pid])


async def service_restarted(world: World) -> None:
    """Restart a service as a rolling update does.

    The service finishes what is under way. The fault is over when the service runs again, so that no two services are
    away at once.
    """
    service = world.dice.choice(world.services)
    started = service.output.count("running at")
    processes.kill([service.pid], signal.SIGTERM)
    async with asyncio.timeout(90):
        while service.output.count("running at") == started:
            await asyncio.sleep(0.05)


async def postmaster_killed(world: World) -> None:
    """Kill the postmaster. A service with an embedded database ends with it."""
    pids = [_postmaster(world)] if world.database else [_postmaster(world), world.services[0].pid]
    processes.kill(pids[:1])
    await processes.ended(pids)
    await _brought_back(world)


async def server_process_killed(world: World) -> None:
    """Kill a session, the checkpointer or another process: PostgreSQL ends all the others and recovers."""
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
    """Kill all processes at once, which is as near to a power cut as signals can come."""
    roots = [service.pid for service in world.services] + ([world.database.pid] if world.database else [])
    await processes.killed([pid for root in roots for pid in processes.family(root)])
    await _brought_back(world)


async def database_restarted(world: World) -> None:
    assert world.database
    await world.database.stop()
    await world.database.restart()


async def database_away(world: World) -> None:
    """Kill the database, and start it again after one to three seconds."""
    assert world.database
    await world.database.kill()
    await world.pause(1, 3)
    await world.database.restart()


async def service_frozen(world: World) -> None:
    """Freeze a service for longer than its leases; then let it go on as if nothing had happened."""
    service = world.dice.choice(world.services)
    processes.kill([service.pid], signal.SIGSTOP)
    try:
        await asyncio.sleep(35)
    finally:
        processes.kill([service.pid], signal.SIGCONT)


def process_killed_at_sync(tracer: str, number: int) -> Fault:
    """Return a fault that kills each process of PostgreSQL at its `number`th sync, also during the recovery."""
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


def disk_filling(disk: Path) -> Fault:
    async def disk_filling(world: World) -> None:
        """Fill the disk percent by percent, until new events are refused. Make room when all that is stored has come.

        The schedule and the polls have taken nothing more by then either.
        """
        refused = world.ledger.refused
        before = refused["503"]
        with ballast(disk) as fill:
            for percent in range(88, 98):
                fill(percent / 100)
                await asyncio.sleep(1.5)  # the service looks at its disk every second
            await until_true(lambda: refused["503"] > before)
            client = Client(world.services[0])
            ready = await client.ask("GET", "/readyz", status=503)
            await client.close()
            assert "No new event is taken" in ready["status"], ready
            await until_true(lambda: not world.ledger.missing())

    return disk_filling


async def quota_reached(world: World) -> None:
    assert world.database
    await _without_room(world, limited(processes.family(world.database.pid)))


def clock_jumped(clock: JumpingClock, by: timedelta) -> Fault:
    async def clock_jump(_: World) -> None:
        clock.jump(by)

    return clock_jump


def bad_weather(weather: Weather) -> Fault:
    async def network(world: World) -> None:
        """Make the network bad for two seconds, and then fine.

        It stays fine for as long as a failed attempt needs until its second attempt. A third attempt would come only
        after minutes.
        """
        for one in world.networks:
            one.weather = weather
        await asyncio.sleep(2)
        for one in world.networks:
            one.weather = Weather.FINE
        await asyncio.sleep(world.settings.target_timeout.total_seconds() + 10)

    network.__name__ = f"network_{weather.value}"
    return network


async def _without_room(world: World, full: AbstractContextManager[None]) -> None:
    """Leave the database without room until the service refuses events, and one to three seconds longer."""
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
    """Start the operator's database again. A service with an embedded database starts that itself."""
    if world.database:
        await world.database.kill()
        await world.database.restart()


async def _crash(world: World, candidates: Sequence[int]) -> None:
    """Kill one of the candidates, which makes the postmaster end all its other processes.

    Return when those have ended and, if the database is an operator's, when it has recovered.
    """
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
