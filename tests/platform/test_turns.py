import asyncio

import pytest

from hairtrigger.platform.turns import Turns

pytestmark = pytest.mark.anyio

KIB = 1024


async def test_so_much_is_done_between_two_turns_of_the_loop_and_no_more_however_many_ask() -> None:
    turns, done_in_turn, ended = Turns(), [0], asyncio.Event()

    async def work() -> None:
        for _ in range(20):
            await turns.take(KIB)
            done_in_turn[-1] += KIB

    async def look() -> None:
        while not ended.is_set():
            done_in_turn.append(0)
            await asyncio.sleep(0)

    watchdog = asyncio.create_task(look())
    await asyncio.gather(*(work() for _ in range(100)))
    ended.set()
    await watchdog

    assert sum(done_in_turn) == 100 * 20 * KIB
    assert max(done_in_turn) <= 64 * KIB


async def test_more_than_fits_is_let_through_alone() -> None:
    turns = Turns()

    await turns.take(KIB * KIB)
    await turns.take(KIB * KIB)


async def test_turns_are_given_in_the_order_of_asking() -> None:
    turns, order = Turns(), []

    async def work(name: str, cost: int) -> None:
        await turns.take(cost)
        order.append(name)

    await asyncio.gather(work("first", 30 * KIB), work("large", 30 * KIB), work("small", 1))

    assert order == ["first", "large", "small"]


async def test_a_task_that_is_cancelled_keeps_nobody_waiting() -> None:
    turns = Turns()
    await turns.take(32 * KIB)
    given_up = asyncio.create_task(turns.take(32 * KIB))
    waiting = asyncio.create_task(turns.take(32 * KIB))
    await asyncio.sleep(0)

    given_up.cancel()

    await waiting


async def test_what_work_charges_counts_before_other_work_is_let_through() -> None:
    turns, ran_in_turn, left = Turns(), [0], 20
    ended = asyncio.Event()

    def work() -> None:
        nonlocal left
        turns.charge(70 * KIB)
        ran_in_turn[-1] += 1
        left -= 1
        if not left:
            ended.set()

    await turns.take(32 * KIB)
    for _ in range(left):
        turns.call(KIB, work)
    while not ended.is_set():
        await asyncio.sleep(0)
        ran_in_turn.append(0)

    assert max(ran_in_turn) == 1


async def test_work_that_fails_keeps_no_other_work_waiting() -> None:
    turns, ended, told = Turns(), asyncio.Event(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail() -> None:
        raise ValueError("on purpose")

    await turns.take(32 * KIB)
    turns.call(KIB, fail)
    turns.call(KIB, ended.set)
    await ended.wait()
    loop.set_exception_handler(None)

    assert [type(error) for error in told] == [ValueError]


async def test_a_tenant_that_asks_for_little_need_not_wait_for_one_that_asks_for_much() -> None:
    turns = Turns()
    waiting = [asyncio.create_task(turns.take(4 * KIB, "many")) for _ in range(100)]
    await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
        assert not waiting[-1].done()
        assert turns.taken(KIB, "few")
        assert not turns.taken(KIB, "many")
    await asyncio.gather(*waiting)


async def test_tenants_that_wait_get_the_same_part_however_much_they_ask_for() -> None:
    turns, order = Turns(), []

    async def work(tenant: str, cost: int) -> None:
        await turns.take(cost, tenant)
        order.append(tenant)

    await asyncio.gather(
        *(work("many", 4 * KIB) for _ in range(100)),
        *(work("large", 8 * KIB) for _ in range(100)),
        *(work("few", 4 * KIB) for _ in range(3)),
    )

    waited = order[8:]  # the first ones filled a turn of the loop alone
    assert waited[:9].count("few") == 3
    assert abs(waited[:60].count("many") - 2 * waited[:60].count("large")) <= 6
