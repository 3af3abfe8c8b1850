"""A parse ends well or is ended, and in both cases no other parse ends with it."""

import asyncio
import json
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hairtrigger.domain.errors import ParseKilled, ProviderFailed
from hairtrigger.platform.parser_process import Limits
from hairtrigger.platform.parsers import Parsers
from tests.platform import readers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
]

NONE = Limits(cpu=3600, wall=3600)  # for parses that run until the test ends them


@pytest.fixture
async def parsers() -> AsyncIterator[Parsers]:
    async with Parsers(2, Limits()) as started:
        yield started


async def parsed(parsers: Parsers, reader: Any, data: bytes = b"", tenant: str = "ours", **hints: str) -> list[Any]:
    said = await parsers.parse(tenant, f"{reader.__module__}:{reader.__name__}", data, hints)
    return [json.loads(line) for line in said.splitlines()]


async def test_a_parse_gives_the_records_that_its_function_yields(parsers: Parsers) -> None:
    assert await parsed(parsers, readers.lines, "a\nü".encode(), url="x") == ["a", "ü", {"url": "x"}]
    assert await parsed(parsers, readers.lines, b"x" * 5_000_000) == ["x" * 5_000_000, {}]


async def test_no_process_runs_before_there_is_something_to_parse_and_one_serves_many(parsers: Parsers) -> None:
    assert parsers.processes == ()
    for _ in range(3):
        await parsed(parsers, readers.lines)

    assert len(parsers.processes) == 1


async def test_a_parse_leaves_nothing_to_the_next_one(parsers: Parsers) -> None:
    assert [await parsed(parsers, readers.leaving) for _ in range(3)] == [[1], [1], [1]]
    assert len(parsers.processes) == 1


@pytest.mark.parametrize(
    ("reader", "limits", "reason"),
    [
        (readers.endless, Limits(cpu=0.1, wall=3600), "more than 0.1 seconds of CPU time"),
        (readers.asleep, Limits(cpu=3600, wall=0.1), "more than 0.1 seconds"),
        (readers.greedy, NONE._replace(memory=64 << 20), "more than 64 MB of memory"),
        (readers.talkative, NONE._replace(result=1 << 20), "more than 1 MB when it is read"),
        (readers.crashing, NONE, "ended the process that reads"),
        (readers.unlimited_and_endless, Limits(cpu=0.1, wall=3600), "ended the process that reads"),
        (readers.unlimited_and_asleep, Limits(cpu=0.1, wall=0.1), "more than 0.1 seconds"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_parse_that_takes_too_much_is_ended_and_the_next_one_is_not(
    reader: Any, limits: Limits, reason: str
) -> None:
    async with Parsers(2, limits) as parsers:
        with pytest.raises(ParseKilled, match=reason):
            await parsed(parsers, reader)

        assert await parsed(parsers, readers.lines, b"a") == ["a", {}]
        assert [children(process) for process in parsers.processes] == [[]]


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (readers.refusing, "This is no feed."),
        (readers.broken, "too broken to be read"),
        (readers.deep, "too broken to be read"),
        (readers.no_text, "too broken to be read"),
    ],
)
async def test_a_parse_that_gives_up_says_why(parsers: Parsers, reader: Any, reason: str) -> None:
    with pytest.raises(ProviderFailed, match=reason) as failed:
        await parsed(parsers, reader)

    assert not isinstance(failed.value, ParseKilled)


async def test_a_parse_has_nothing_but_what_it_is_given(parsers: Parsers) -> None:
    found = dict(await parsed(parsers, readers.surroundings))

    assert found.pop("environment") == []
    assert found.pop("descriptors") == [0, 1, 2, 3]
    assert found.pop("root") is False
    assert set(found) == {"read a file", "write a file", "connect", "fork", "run", "allow more"}
    assert "done" not in found.values(), found


async def test_a_parse_without_end_costs_this_process_nothing() -> None:
    """The event loop is not held up, even by a regular expression, which would let no other thread run."""
    async with Parsers(2, Limits(cpu=1, wall=3600)) as parsers:
        await parsed(parsers, readers.lines)
        before = cpu(resource.RUSAGE_SELF)
        with pytest.raises(ParseKilled):
            await parsed(parsers, readers.endless)
        ours = cpu(resource.RUSAGE_SELF) - before

    assert ours < 0.25


async def test_one_tenant_leaves_a_process_to_the_others() -> None:
    async with Parsers(3, NONE) as parsers:
        hostile = [asyncio.ensure_future(parsed(parsers, readers.endless, tenant="hostile")) for _ in range(20)]
        for _ in range(3):
            assert await parsed(parsers, readers.lines, b"a", tenant="ours") == ["a", {}]

        assert len(parsers.processes) == 3
        assert not any(one.done() for one in hostile)
        await cancelled(hostile)


async def test_a_parse_that_is_given_up_is_ended_and_makes_room() -> None:
    async with Parsers(2, NONE) as parsers:
        given_up = asyncio.ensure_future(parsed(parsers, readers.endless))
        running = await a_parse_runs(parsers)
        await cancelled([given_up])
        await gone(running)

        assert await parsed(parsers, readers.lines, b"a") == ["a", {}]


async def test_a_process_that_ended_while_idle_is_replaced_and_no_parse_notices(parsers: Parsers) -> None:
    await parsed(parsers, readers.lines)
    [process] = parsers.processes
    os.kill(process, signal.SIGKILL)
    await gone([process])

    assert await parsed(parsers, readers.lines, b"a") == ["a", {}]
    assert process not in parsers.processes


async def test_a_parse_whose_process_ends_is_tried_once_more() -> None:
    async with Parsers(2, NONE) as parsers:
        unlucky = asyncio.ensure_future(parsed(parsers, readers.endless))
        for _ in range(2):
            running = await a_parse_runs(parsers)
            os.kill(parent(running[0]), signal.SIGKILL)
            await gone(running)
        with pytest.raises(ParseKilled, match="ended the process"):
            await unlucky


async def test_nothing_is_left_at_the_end() -> None:
    async with Parsers(3, NONE) as parsers:
        parses = [asyncio.ensure_future(parsed(parsers, readers.endless, tenant=str(n))) for n in range(3)]
        running = await a_parse_runs(parsers, count=3)
        processes = parsers.processes
        await cancelled(parses)

    assert [process for process in processes if Path(f"/proc/{process}").exists()] == []  # a zombie would be found too
    await gone(running)


SERVICE = """
import asyncio
from hairtrigger.platform.parser_process import Limits
from hairtrigger.platform.parsers import Parsers

async def main():
    async with Parsers(2, Limits(cpu=3600, wall=3600)) as parsers:
        parse = asyncio.ensure_future(parsers.parse("ours", "tests.platform.readers:endless", b"", {}))
        while not parsers.processes:
            await asyncio.sleep(0.01)
        print(*parsers.processes, flush=True)
        await parse

asyncio.run(main())
"""


async def test_processes_end_with_a_service_that_is_killed() -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdout=PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert service.stdout
    process = int(await service.stdout.readline())
    running = await until_there_are(process, 1)
    service.kill()
    await service.wait()

    await gone([process, *running])


async def a_parse_runs(parsers: Parsers, count: int = 1) -> list[int]:
    """Wait until `count` processes parse, and return them."""
    async with asyncio.timeout(120):
        while len(running := [child for process in parsers.processes for child in children(process)]) < count:
            await asyncio.sleep(0.01)
    return running


async def until_there_are(process: int, count: int) -> list[int]:
    async with asyncio.timeout(120):
        while len(found := children(process)) < count:
            await asyncio.sleep(0.01)
    return found


async def gone(processes: list[int]) -> None:
    async with asyncio.timeout(120):
        while any(alive(process) for process in processes):
            await asyncio.sleep(0.01)


async def cancelled(parses: list[Any]) -> None:
    for one in parses:
        one.cancel()
    await asyncio.gather(*parses, return_exceptions=True)


def children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:  # the process has just ended
        return []


def parent(process: int) -> int:
    return int(stat(process)[1])


def alive(process: int) -> bool:
    """Return whether a process runs. A zombie does not: the init process may reap it late."""
    try:
        return stat(process)[0] != "Z"
    except FileNotFoundError:
        return False


def stat(process: int) -> list[str]:
    """Return the fields of the process's `stat` file that follow its name."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def cpu(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime
