"""Sandbox workers, which run users' JavaScript."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from bench.beside.case import Case, Measure, beside
from hairtrigger.sandbox.protocol.poll import FetchFailed, HttpRequest, HttpResponse, PollError, Program
from hairtrigger.sandbox.service.sandbox import Sandbox


async def _nothing(_: HttpRequest) -> HttpResponse:
    raise FetchFailed


def _program(code: str, tenant: str) -> Program:
    return Program(code, {}, {}, datetime.now(UTC), tenant=tenant)


@asynccontextmanager
async def _guests() -> AsyncIterator[Measure]:
    async with Sandbox.start(workers=2, unlocked=True) as sandbox:

        async def run(code: str, tenant: str) -> None:
            with suppress(PollError):
                await sandbox.run(_program(code, tenant), _nothing)

        yield beside(
            lambda: run("return [1]", "victim"),
            {
                "friendly": lambda: run("return [1]", "friendly neighbour"),
                "hostile": lambda: run("for (;;);", "hostile neighbour"),
            },
            at_a_time=40,
            per_second=20,
        )


CASES = (Case("sandbox workers", "poll", _guests),)
