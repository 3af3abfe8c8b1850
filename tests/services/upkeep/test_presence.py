"""A dead process loses its leases at once if its death is proved, and a living one never does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform import life_locks
from hairtrigger.platform.life_locks import LifeLock
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.services.polling.poll_leases import PollLeases
from hairtrigger.services.upkeep.presence import Presence
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.events import events
from hairtrigger.store.upkeep import processes
from hairtrigger.store.upkeep.processes import Stretch
from tests.services.polling.test_poll_leases import Shop, connected
from tests.services.world import World, a_world, seconds
from tests.store.build import an_event
from tests.store.claims import claim
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
_HOLDER = """
import sys
from pathlib import Path
from hairtrigger.platform import life_locks
with life_locks.held(Path(sys.argv[1])) as lock:
    print(lock is not None, flush=True)
    sys.stdin.read()
"""


@dataclass
class Process:
    """Another process of the service: its lock is held by a real one."""

    id: UUID
    lock: LifeLock
    holder: subprocess.Popen[str]

    def kill(self) -> None:
        self.holder.kill()
        self.holder.wait()


@contextmanager
def another_process(folder: Path) -> Iterator[Process]:
    id_ = uuid4()
    file = folder / f"{id_}.lock"
    command = [sys.executable, "-c", _HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        kernel = life_locks.this_kernel()
        assert kernel
        yield Process(id_, LifeLock(kernel, str(file)), holder)
        holder.kill()


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, Shop().provider())


def presence(world: World, *, id_: UUID | None = None, lock: LifeLock | None = None, alone: bool = False) -> Presence:
    return Presence(
        id=id_ or uuid4(),
        role="all",
        store=world.store,
        clock=world.clock,
        leases=world.poller.leases,
        work=Wake(),
        alone=alone,
        lock=lock,
    )


def leases_of(world: World, holder: UUID) -> PollLeases:
    return replace(world.poller.leases, holder=holder)


async def claimed(world: World, holder: UUID) -> tuple[int, int]:
    """Claim as this process, and return how many polls and deliveries there were."""
    polls = await leases_of(world, holder).due(100)
    _, sent = await claim(world.store, 100, HOUR, holder)
    return len(polls.mine), len(sent)


async def with_work(world: World) -> None:
    """Make one poll and one delivery that are due."""
    _, [trigger] = await connected(world)
    world.clock.advance(timedelta(minutes=2))
    async with world.store.transaction() as tx:
        event = an_event(world.caller.org_id, world.project_id, trigger, "key", world.clock.now())
        await events.append(tx, [event])


async def test_what_a_killed_process_of_this_machine_held_is_free_at_once(world: World, tmp_path: Path) -> None:
    await with_work(world)
    with another_process(tmp_path) as other:
        await presence(world, id_=other.id, lock=other.lock).beat()
        assert await claimed(world, other.id) == (1, 1)
        await presence(world).beat()
        assert await claimed(world, uuid4()) == (0, 0), "the process lives"
        other.kill()
        mine = presence(world)
        await mine.beat()
        assert await claimed(world, mine.id) == (1, 1)
    [trigger] = await world.triggers.of_project(world.caller, world.project_id)
    assert Code.CUT_OFF in [one.code for one in await world.outcomes(trigger.id, Kind.POLL)]
    assert not Path(other.lock.file).exists()


async def test_a_process_that_dies_later_is_noticed_by_one_that_goes_on(world: World, tmp_path: Path) -> None:
    await with_work(world)
    with another_process(tmp_path) as other:
        await presence(world, id_=other.id, lock=other.lock).beat()
        mine = presence(world)
        await mine.beat()
        assert await claimed(world, other.id) == (1, 1)
        other.kill()
        world.clock.advance(seconds(11))
        await mine.beat()
        assert await claimed(world, mine.id) == (1, 1)


async def test_a_lease_that_another_process_has_taken_over_stays(world: World, tmp_path: Path) -> None:
    await with_work(world)
    with another_process(tmp_path) as other:
        await presence(world, id_=other.id, lock=other.lock).beat()
        assert await claimed(world, other.id) == (1, 1)
        world.clock.advance(HOUR)  # as if it stood still until its leases ran out
        async with world.store.transaction() as tx:
            await tx.connection.execute(text("UPDATE pgmq.q_dispatch SET vt = clock_timestamp()"))
        assert await claimed(world, uuid4()) == (1, 1)
        other.kill()
        await presence(world).beat()
        assert await claimed(world, uuid4()) == (0, 0)


async def test_a_delivery_that_an_earlier_version_has_leased_since_stays(world: World, tmp_path: Path) -> None:
    await with_work(world)
    with another_process(tmp_path) as other:
        await presence(world, id_=other.id, lock=other.lock).beat()
        assert (await claimed(world, other.id))[1] == 1
        async with world.store.transaction() as tx:
            await tx.connection.execute(text("UPDATE pgmq.q_dispatch SET vt = clock_timestamp()"))
            await tx.connection.execute(text("SELECT pgmq.read('dispatch', 3600, 10)"))
        other.kill()
        await presence(world).beat()
        assert (await claimed(world, uuid4()))[1] == 0


@pytest.mark.parametrize("unproved", ["another kernel", "no file", "no lock"])
async def test_without_a_proof_leases_run_out_by_themselves(world: World, tmp_path: Path, unproved: str) -> None:
    await with_work(world)
    with another_process(tmp_path) as other:
        lock = replace(other.lock, kernel="of another machine") if unproved == "another kernel" else other.lock
        await presence(world, id_=other.id, lock=None if unproved == "no lock" else lock).beat()
        assert await claimed(world, other.id) == (1, 1)
        other.kill()
        if unproved == "no file":
            other.lock.remove()
        await presence(world).beat()
        assert await claimed(world, uuid4()) == (0, 0)


async def test_with_the_embedded_database_everything_is_free_at_the_start_and_only_then(world: World) -> None:
    await with_work(world)
    await presence(world, alone=True).beat()
    assert await claimed(world, uuid4()) == (1, 1)  # by a version that has no presence
    mine = presence(world, alone=True)
    await mine.beat()
    assert await claimed(world, mine.id) == (1, 1)
    world.clock.advance(seconds(20))
    await mine.beat()
    assert await claimed(world, mine.id) == (0, 0)


async def test_places_of_a_connection_that_a_dead_process_held_are_free_too(world: World, tmp_path: Path) -> None:
    places = world.poller.leases.places
    await connected(world, count=places + 1)
    world.clock.advance(timedelta(minutes=2))
    with another_process(tmp_path) as other:
        await presence(world, id_=other.id, lock=other.lock).beat()
        assert (await claimed(world, other.id))[0] == places
        other.kill()
    await presence(world).beat()
    assert (await claimed(world, uuid4()))[0] == places


async def test_a_process_that_ends_leaves_no_lock_behind(world: World, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "mine.lock"
    with life_locks.held(file) as lock:
        mine = presence(world, lock=lock)
        async with mine.announced():
            assert file.exists()
        assert not file.exists()
    [stretch] = await stretches(world)
    assert stretch.ended


async def test_where_no_file_can_be_made_there_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with life_locks.held(tmp_path / "file" / "lock") as lock:
        assert lock is None


async def test_a_break_in_the_life_of_a_process_is_on_record(world: World, tmp_path: Path) -> None:
    start = world.clock.now()
    mine = presence(world)
    for wait in (0, 2, 2, 36, 2):
        world.clock.advance(seconds(wait))
        await mine.beat()
    async with AsyncExitStack() as stack:
        away = await stack.enter_async_context(open_store("postgresql://x@/x?host=/nowhere"))
        database, mine.store = mine.store, away
        world.clock.advance(seconds(2))
        with pytest.raises(Unavailable):
            await mine.beat()
        mine.store = database
    world.clock.advance(seconds(2))
    await mine.beat()
    told = [(one.started_at - start, one.seen_at - start, one.after) for one in await stretches(world)]
    assert told == [
        (seconds(0), seconds(4), "start"),
        (seconds(40), seconds(42), "standstill"),
        (seconds(46), seconds(46), "database"),
    ]


async def stretches(world: World) -> list[Stretch]:
    async with world.store.transaction() as tx:
        return list(await processes.near(tx, world.clock.now() - HOUR, world.clock.now(), ["all"], 100))
