import asyncio
from asyncio import Event, Task
from collections.abc import AsyncIterator, Callable

import pytest

from hairtrigger.platform.shares import Shares

pytestmark = pytest.mark.anyio


class Crowd:
    """Calls of tenants, which enter when they may and stay until they are told to leave."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.inside: list[str] = []
        self._leave: dict[str, Event] = {}
        self.tasks: dict[str, Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Let calls ask for a place; `a1` and `a2` are calls of the tenant `a`."""
        for name in names:
            self._leave[name] = Event()
            self.tasks[name] = asyncio.ensure_future(self._stay(name))
        await settled()

    async def _stay(self, name: str) -> None:
        async with self.shares.place(name[0]):
            self.inside.append(name)
            try:
                await self._leave[name].wait()
            finally:
                self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await settled()

    async def give_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await settled()


@pytest.fixture
async def gather() -> AsyncIterator[Callable[[Shares], Crowd]]:
    """Return what makes a crowd, and end all tasks of the crowds after the test."""
    crowds: list[Crowd] = []

    def make(shares: Shares) -> Crowd:
        crowds.append(Crowd(shares))
        return crowds[-1]

    yield make
    tasks = [task for crowd in crowds for task in crowd.tasks.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_tenant_has_no_more_than_its_share_although_places_are_free(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(3, of_one=2))
    await crowd.come("a1", "a2", "a3", "b1")

    assert crowd.inside == ["a1", "a2", "b1"]


async def test_those_that_wait_take_turns_by_tenant(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(1, of_one=1))
    await crowd.come("a0", "a1", "a2", "a3", "b1", "b2", "c1")
    order = []
    for _ in range(7):
        [name] = crowd.inside
        order.append(name)
        await crowd.leave(name)

    assert order == ["a0", "a1", "b1", "c1", "a2", "b2", "a3"]


async def test_a_place_that_the_next_tenant_may_not_have_goes_to_one_after_it(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares(2, of_one=1))
    await crowd.come("a1", "b1", "a2", "c1")
    await crowd.leave("b1")

    assert crowd.inside == ["a1", "c1"]


async def test_one_that_gives_up_waiting_is_passed_over(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(1, of_one=1))
    await crowd.come("a1", "b1", "c1")
    await crowd.give_up("b1")
    await crowd.leave("a1")

    assert crowd.inside == ["c1"]


async def test_one_that_gives_up_at_the_moment_it_may_enter_passes_the_place_on(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares(1, of_one=1))
    await crowd.come("a1", "b1", "c1")
    crowd._leave["a1"].set()
    while crowd.inside:
        await asyncio.sleep(0)
    await crowd.give_up("b1")

    assert crowd.inside == ["c1"]
    await crowd.leave("c1")
    await crowd.come("d1")
    assert crowd.inside == ["d1"]
