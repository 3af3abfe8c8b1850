"""Our sandbox through its public interface, and what its processes cost."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.machine import cpu_seconds, descendants
from bench.sandbox.cases import ANSWER_HEADERS, INPUTS, LAST_POLL, REQUEST, SECRETS, Case
from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse, Outcome, Program
from hairtrigger.sandbox.service.sandbox import Sandbox

_SETTLING = 0.5  # seconds
_AT_REST = 0.005


@dataclass(frozen=True)
class Cost:
    """CPU time so far."""

    worker: float
    parent: float

    def __sub__(self, before: "Cost") -> "Cost":
        return Cost(self.worker - before.worker, self.parent - before.parent)


@dataclass
class Internet:
    """Answers every request alike, after a while."""

    body: bytes
    seconds: float = 0
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    """Those that differ."""

    def __post_init__(self) -> None:
        headers = tuple((name, value) for name, value in ANSWER_HEADERS)
        self._answer = HttpResponse(200, "OK", str(REQUEST["url"]), False, headers, self.body)

    async def fetch(self, asked: HttpRequest) -> HttpResponse:
        request = {"method": asked.method, "url": asked.url, "headers": [list(pair) for pair in asked.headers]}
        if request not in self.requests:
            self.requests.append(request)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return self._answer


@dataclass(frozen=True)
class Ours:
    sandbox: Sandbox
    _others: frozenset[int]

    @classmethod
    @asynccontextmanager
    async def started(cls, workers: int = 1) -> AsyncIterator["Ours"]:
        """Every child that this process has afterwards, besides those it had before, counts as one of the sandbox."""
        others = descendants(os.getpid())
        async with Sandbox.start(workers=workers) as sandbox:
            ours = cls(sandbox, frozenset(others))
            await ours._settle()
            yield ours

    async def _settle(self) -> None:
        """Until the spare worker has started."""
        before = -1.0
        while (now := self.cost().worker) > before + _AT_REST:
            before = now
            await asyncio.sleep(_SETTLING)

    @property
    def workers(self) -> tuple[int, ...]:
        """The processes that polls run in."""
        return self.sandbox.workers

    def cost(self) -> Cost:
        """Spare workers count too, and those that were replaced meanwhile."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = sum(cpu_seconds(worker) for worker in descendants(os.getpid()) - self._others)
        return Cost(living + ended.ru_utime + ended.ru_stime, time.process_time())

    async def run(self, case: Case, internet: Internet, tenant: str = "bench") -> Outcome:
        program = Program(case.code, INPUTS, SECRETS, LAST_POLL, tenant=tenant)
        return await self.sandbox.run(program, internet.fetch)
