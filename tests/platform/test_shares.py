import asyncio
from asyncio import Event, Task
from collections.abc import AsyncIterator, Callable

import pytest

from hairtrigger.platform.shares import Shares, Tenant

pytestmark = pytest.mark.anyio


class Crowd:
    """Calls of tenants, which enter when they may and stay until they are told to leave."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.inside: list[str] = []
        self._leave: dict[str, Event] = {}
        self.tasks: dict[str, Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Let calls ask for a place; `ax1` and `ax2` are calls of the project `x` of the organisation `a`."""
        for name in names:
            self._leave[name] = Event()
            self.tasks[name] = asyncio.ensure_future(self._stay(name))
        await settled()

    async def _stay(self, name: str) -> None:
        async with self.shares.place(tenant(name)):
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

    def count(self, beginning: str) -> int:
        return sum(name.startswith(beginning) for name in self.inside)


def tenant(name: str) -> Tenant:
    return Tenant(name[0], name[:2])


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


def calls(beginning: str, count: int) -> list[str]:
    return [f"{beginning}{number}" for number in range(count)]


async def test_a_tenant_has_no_more_than_its_share_although_places_are_free(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(3, of_org=2, of_project=2))
    await crowd.come("ax1", "ax2", "ax3", "bx1")

    assert crowd.inside == ["ax1", "ax2", "bx1"]


async def test_one_alone_gets_all_places_that_it_may_have(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares.beyond(100))
    await crowd.come(*calls("ax", 1000))

    assert len(crowd.inside) == 100


async def test_a_project_leaves_places_to_others_of_its_organisation_and_that_to_other_organisations(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares.beyond(100))
    await crowd.come(*calls("ax", 1000))
    await crowd.come(*calls("ay", 1000))
    await crowd.come(*calls("bx", 20))

    assert crowd.count("ax") == 100
    assert crowd.count("ay") >= 10
    assert crowd.count("b") == 20


async def test_organisations_that_ask_for_everything_get_the_same_number(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares.beyond(100))
    await crowd.come(*calls("ax", 1000))
    await crowd.come(*calls("bx", 1000))
    for name in calls("ax", 60):
        await crowd.leave(name)

    assert abs(crowd.count("a") - crowd.count("b")) <= 1


async def test_a_place_that_becomes_free_goes_to_the_organisation_and_the_project_with_fewest(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares(4, of_org=4, of_project=4))
    await crowd.come("ax1", "ax2", "ay1", "bx1")
    await crowd.come("ax3", "ay2", "cx1")
    await crowd.leave("ax1")
    assert crowd.inside == ["ax2", "ay1", "bx1", "cx1"]
    await crowd.leave("ax2")
    assert crowd.inside == ["ay1", "bx1", "cx1", "ax3"]
    await crowd.leave("cx1")
    assert crowd.inside == ["ay1", "bx1", "ax3", "ay2"]


async def test_those_that_wait_take_turns_by_tenant(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(1, of_org=1, of_project=1))
    await crowd.come("ax0", "ax1", "ax2", "ax3", "bx1", "bx2", "cx1")
    order = []
    for _ in range(7):
        [name] = crowd.inside
        order.append(name)
        await crowd.leave(name)

    assert order == ["ax0", "bx1", "cx1", "ax1", "bx2", "ax2", "ax3"]


async def test_a_place_that_the_next_tenant_may_not_have_goes_to_one_after_it(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares(2, of_org=1, of_project=1))
    await crowd.come("ax1", "bx1", "ax2", "cx1")
    await crowd.leave("bx1")

    assert crowd.inside == ["ax1", "cx1"]


async def test_one_that_gives_up_waiting_is_passed_over(gather: Callable[[Shares], Crowd]) -> None:
    crowd = gather(Shares(1, of_org=1, of_project=1))
    await crowd.come("ax1", "bx1", "cx1")
    await crowd.give_up("bx1")
    await crowd.leave("ax1")

    assert crowd.inside == ["cx1"]


async def test_one_that_gives_up_at_the_moment_it_may_enter_passes_the_place_on(
    gather: Callable[[Shares], Crowd],
) -> None:
    crowd = gather(Shares(1, of_org=1, of_project=1))
    await crowd.come("ax1", "bx1", "cx1")
    crowd._leave["ax1"].set()
    while crowd.inside:
        await asyncio.sleep(0)
    await crowd.give_up("bx1")

    assert crowd.inside == ["cx1"]
    await crowd.leave("cx1")
    await crowd.come("dx1")
    assert crowd.inside == ["dx1"]


async def test_nothing_is_remembered_of_tenants_that_have_left(gather: Callable[[Shares], Crowd]) -> None:
    shares = Shares.beyond(2)
    crowd = gather(shares)
    names = [f"{org}{project}1" for org in "abcdef" for project in "xy"]
    await crowd.come(*names)
    await crowd.give_up(names[-1])
    for name in names[:-1]:
        await crowd.leave(name)

    held = [value for value in vars(shares).values() if not isinstance(value, int)]
    assert not any(held)


def test_those_that_may_have_no_more_are_named() -> None:
    shares = Shares.beyond(4)
    ours, other = Tenant("org", "project"), Tenant("org", "other")
    while shares.taken(ours):
        pass
    assert shares.barred() == ([], ["project"])

    while shares.taken(other):
        pass
    assert shares.barred() == (["org"], ["project", "other"])
    shares.leave(other)
    assert shares.barred() == ([], ["project"])
