"""A process that receives new work wakes the processes that do it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from hairtrigger.platform.wake import TOLD, UNTOLD, Wake
from hairtrigger.services.delivery.notifications import Notifications
from hairtrigger.store.database import Store
from tests.support.clock import pass_time
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

LONG = timedelta(days=1)  # a worker would not look by itself before


@asynccontextmanager
async def told(store: Store) -> AsyncIterator[tuple[Wake, Wake]]:
    """Provide two wake-ups: the one that is set where work comes in, and the one that waits where work is done."""
    here, there = Wake(), Wake()
    async with asyncio.TaskGroup() as tasks:
        loops = [
            tasks.create_task(Notifications(store, here).tell()),
            tasks.create_task(Notifications(store, there).listen()),
        ]
        await there.wait(LONG)  # until it has begun to listen
        yield here, there
        for loop in loops:
            loop.cancel()


async def test_a_worker_hears_of_work_that_comes_in_elsewhere_and_need_not_look_often(store: Store) -> None:
    async with told(store) as (here, there):
        for _ in range(3):
            here.set()
            await there.wait(LONG)
        assert there.patience == TOLD


async def test_a_worker_that_hears_nothing_any_more_looks_often_and_listens_again(store: Store) -> None:
    async with told(store) as (here, there):
        async with store.transaction() as tx:
            last = "query = 'SELECT pg_backend_pid()'"  # the last query of the listening session
            await tx.connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {last}"))
        await until_true(lambda: there.patience == UNTOLD)
        pass_time(timedelta(seconds=1))
        await there.wait(LONG)
        assert there.patience == TOLD
        here.set()
        await there.wait(LONG)
