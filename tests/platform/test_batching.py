import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from hairtrigger.domain.errors import Invalid, Unavailable
from hairtrigger.platform.batching import Batcher

pytestmark = pytest.mark.anyio


class Shelf:
    """A store for batches that refuses chosen items."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.refused: dict[str, Exception] = {}
        self.away = 0  # how many of the next flushes fail
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def flush(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        self.begun.set()
        await self.open.wait()
        if self.away:
            self.away -= 1
            raise Unavailable("The database is away.")
        for item in items:
            if item in self.refused:
                raise self.refused[item]
        return [item.upper() for item in items]

    def close(self) -> None:
        """Let flushes begin and not end."""
        self.begun.clear()
        self.open.clear()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@asynccontextmanager
async def running(batcher: Batcher[str, str]) -> AsyncIterator[Batcher[str, str]]:
    working = asyncio.create_task(batcher.run())
    yield batcher
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def submitted(batcher: Batcher[str, str], *items: str) -> "list[asyncio.Task[str]]":
    """Submit the items, and return the tasks of the callers, which wait."""
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def results(tasks: "Sequence[asyncio.Task[str]]") -> list[str | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_many_callers_share_a_flush_and_each_gets_its_own_result(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "b", "c")
    async with running(batcher):
        assert await results(callers) == ["A", "B", "C"]
    assert shelf.batches == [["a", "b", "c"]]


async def test_what_comes_during_a_flush_makes_the_next(shelf: Shelf) -> None:
    shelf.close()
    async with running(Batcher(shelf.flush, concurrency=1)) as batcher:
        first = await submitted(batcher, "a")
        await shelf.begun.wait()
        rest = await submitted(batcher, "b", "c", "d")
        shelf.open.set()
        assert await results([*first, *rest]) == ["A", "B", "C", "D"]
    assert shelf.batches == [["a"], ["b", "c", "d"]]


async def test_no_more_flushes_are_under_way_than_allowed_and_none_is_too_large(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, max_batch=2, concurrency=2)
    callers = await submitted(batcher, *"abcdefg")
    shelf.close()
    async with running(batcher):
        await shelf.begun.wait()
        assert [len(batch) for batch in shelf.batches] == [2, 2]
        shelf.open.set()
        assert await results(callers) == list("ABCDEFG")
    assert max(len(batch) for batch in shelf.batches) == 2


async def test_an_item_that_cannot_be_stored_fails_alone(shelf: Shelf) -> None:
    shelf.refused["bad"] = Invalid("No.")
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "bad", "b")
    async with running(batcher):
        first, bad, second = await results(callers)
        assert (first, second) == ("A", "B")
        assert isinstance(bad, Invalid)
        assert bad.message == "No."
        assert await batcher.submit("after") == "AFTER"
    assert shelf.batches == [["a", "bad", "b"], ["a"], ["bad", "b"], ["bad"], ["b"], ["after"]]


async def test_one_bad_item_among_many_is_found_in_few_steps(shelf: Shelf) -> None:
    shelf.refused["bad"] = Invalid("No.")
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, *(f"{n}" for n in range(255)), "bad")
    async with running(batcher):
        found = await results(callers)
    assert [type(one) for one in found] == [str] * 255 + [Invalid]
    assert len(shelf.batches) == 1 + 2 * 8


async def test_a_fault_that_is_no_error_of_ours_reaches_the_one_it_belongs_to(shelf: Shelf) -> None:
    shelf.refused["bad"] = KeyError("bad")
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "bad")
    async with running(batcher):
        good, bad = await results(callers)
    assert good == "A"
    assert isinstance(bad, KeyError)


async def test_while_nothing_can_be_stored_everybody_hears_it_and_nothing_is_tried_one_by_one(shelf: Shelf) -> None:
    shelf.away = 1
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "b", "c")
    async with running(batcher):
        errors = await results(callers)
        assert [type(error) for error in errors] == [Unavailable] * 3
        assert len({id(error) for error in errors}) == 3, "each caller raises its own"
        assert await batcher.submit("after") == "AFTER"
    assert shelf.batches == [["a", "b", "c"], ["after"]]


async def test_when_the_database_goes_away_between_a_refusal_and_the_second_tries_the_rest_hear_that(
    shelf: Shelf,
) -> None:
    shelf.refused["bad"] = Invalid("No.")
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "bad", "b")
    shelf.close()
    async with running(batcher):
        await shelf.begun.wait()
        original, tries = shelf.flush, iter(range(10))

        async def flush(items: Sequence[str]) -> list[str]:
            shelf.away = int(next(tries) == 0)
            return await original(items)

        batcher._flush = flush
        shelf.open.set()
        assert [type(result) for result in await results(callers)] == [Unavailable, Invalid, str]


async def test_who_waits_while_nothing_can_be_stored_hears_it_with_the_others_and_not_one_batch_after_the_other(
    shelf: Shelf,
) -> None:
    shelf.away = 1
    batcher = Batcher(shelf.flush, max_batch=2, concurrency=1)
    callers = await submitted(batcher, *"abcde")
    async with running(batcher):
        assert [type(error) for error in await results(callers)] == [Unavailable] * 5
        assert await batcher.submit("after") == "AFTER"
    assert shelf.batches == [["a", "b"], ["after"]]


async def test_beyond_its_bound_it_refuses_at_once(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, max_waiting=3)
    waiting = await submitted(batcher, "a", "b", "c")
    with pytest.raises(Unavailable, match="Too much is waiting"):
        await batcher.submit("d")
    async with running(batcher):
        assert await results(waiting) == ["A", "B", "C"]
        assert await batcher.submit("e") == "E"


async def test_beyond_its_bound_of_bytes_it_refuses_at_once(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, size=len, max_waiting_bytes=10)
    waiting = await submitted(batcher, "four", "four")
    with pytest.raises(Unavailable, match="Too much is waiting"):
        await batcher.submit("four")
    waiting += await submitted(batcher, "in")
    async with running(batcher):
        assert await results(waiting) == ["FOUR", "FOUR", "IN"]
        assert await batcher.submit("four") == "FOUR"


async def test_an_item_larger_than_the_bound_waits_alone(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, size=len, max_waiting_bytes=3, max_batch_bytes=3)
    waiting = await submitted(batcher, "larger")
    with pytest.raises(Unavailable):
        await batcher.submit("x")
    async with running(batcher):
        assert await results(waiting) == ["LARGER"]


async def test_no_batch_is_larger_than_its_bound_of_bytes(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, size=len, max_batch_bytes=5, concurrency=1)
    callers = await submitted(batcher, "aa", "bb", "cc", "larger", "d")
    async with running(batcher):
        assert await results(callers) == ["AA", "BB", "CC", "LARGER", "D"]
    assert shelf.batches == [["aa", "bb"], ["cc"], ["larger"], ["d"]]


async def test_an_item_whose_caller_has_gone_takes_no_room(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, size=len, max_batch_bytes=5, max_waiting_bytes=8)
    gone, stays = await submitted(batcher, "gone", "stays"[:4])
    gone.cancel()
    async with running(batcher):
        assert await results([stays]) == ["STAY"]
        again = await submitted(batcher, "aaaa", "bbbb")
        assert await results(again) == ["AAAA", "BBBB"]


async def test_a_caller_that_goes_away_while_it_waits_is_not_flushed(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush)
    first, second, third = await submitted(batcher, "a", "b", "c")
    second.cancel()
    await asyncio.sleep(0)
    async with running(batcher):
        assert await results([first, third]) == ["A", "C"]
    assert shelf.batches == [["a", "c"]]


async def test_a_caller_that_goes_away_during_the_flush_disturbs_no_other(shelf: Shelf) -> None:
    shelf.close()
    batcher = Batcher(shelf.flush, concurrency=1)
    callers = await submitted(batcher, "a", "b", "c")
    async with running(batcher):
        await shelf.begun.wait()
        callers[1].cancel()
        shelf.open.set()
        assert await results([callers[0], callers[2]]) == ["A", "C"]
        assert await batcher.submit("after") == "AFTER"


async def test_when_everybody_has_gone_nothing_is_flushed(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, concurrency=1)
    [only] = await submitted(batcher, "a")
    only.cancel()
    await asyncio.sleep(0)
    async with running(batcher):
        assert await batcher.submit("b") == "B"
    assert shelf.batches == [["b"]]


async def test_a_stop_in_the_middle_of_a_flush_leaves_nobody_waiting(shelf: Shelf) -> None:
    shelf.close()
    batcher = Batcher(shelf.flush)
    callers = await submitted(batcher, "a", "b")
    async with running(batcher):
        await shelf.begun.wait()
    assert [type(result) for result in await results(callers)] == [asyncio.CancelledError] * 2


async def test_tenants_take_turns_in_each_batch(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, tenant=lambda item: item[0], max_batch=4, concurrency=1)
    callers = await submitted(batcher, "a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1")
    async with running(batcher):
        await results(callers)
    assert shelf.batches == [["a1", "b1", "c1", "a2"], ["b2", "a3", "a4", "a5"]]


async def test_a_tenant_that_fills_its_room_leaves_some_to_others(shelf: Shelf) -> None:
    batcher = Batcher(shelf.flush, size=len, tenant=lambda item: item[0], max_waiting=8, max_waiting_bytes=40)
    waiting = await submitted(batcher, *8 * ["a"])
    with pytest.raises(Unavailable, match="Too much is waiting"):
        await batcher.submit("a")
    waiting += await submitted(batcher, "b", "c")
    async with running(batcher):
        await results(waiting)
        waiting = await submitted(batcher, 20 * "a", 20 * "a")
        with pytest.raises(Unavailable, match="Too much is waiting"):
            await batcher.submit("a")
        waiting += await submitted(batcher, 8 * "b")
        assert await results(waiting) == [20 * "A", 20 * "A", 8 * "B"]
