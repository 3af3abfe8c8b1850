"""Processes that parse foreign bytes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from bench.beside.case import Case, Measure, beside
from hairtrigger.platform.parser_process import Limits
from hairtrigger.platform.parsers import Parsers


def short(data: bytes) -> Iterator[int]:
    yield sum(data)


def endless(data: bytes) -> Iterator[int]:
    while True:
        yield from data[:0]


@asynccontextmanager
async def _parsers() -> AsyncIterator[Measure]:
    async with Parsers(2, Limits(cpu=1, wall=3)) as parsers:
        data = bytes(10_000)
        yield beside(
            lambda: parsers.parse("victim", f"{__name__}:short", data, {}),
            {
                "friendly": lambda: parsers.parse("neighbour", f"{__name__}:short", data, {}),
                "hostile": lambda: parsers.parse("neighbour", f"{__name__}:endless", data, {}),
            },
            at_a_time=1,
            per_second=10,
        )


CASES = (Case("parsers", "parse", _parsers),)
