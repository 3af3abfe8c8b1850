"""Our sandbox, used through its public interface, and the cost of its processes."""

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
    """CPU seconds so far: of the sandbox workers, and of their host, here `parent`."""

    worker: float
    parent: float

    def __sub__(self, before: "Cost") -> "Cost":
        return Cost(self.worker - before.worker, self.parent - before.parent)


@dataclass
class Internet:
    """A stub that gives every request the same answer, after `seconds`."""

    body: bytes
    seconds: float = 0
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    """The different requests that were made."""

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
        """Start the sandbox. Every descendant that this process did not have before counts as one of the sandbox."""
        others = descendants(os.getpid())
        async with Sandbox.start(workers=workers) as sandbox:
            ours = cls(sandbox, frozenset(others))
            await ours._settle()
            yield ours

    async def _settle(self) -> None:
        """Wait until the spare worker has started, which is when the workers use hardly any more CPU time."""
        before = -1.0
        while (now := self.cost().worker) > before + _AT_REST:
            before = now
            await asyncio.sleep(_SETTLING)

    @property
    def workers(self) -> tuple[int, ...]:
        """Return the ids of the processes in which polls run."""
        return self.sandbox.workers

    def cost(self) -> Cost:
        """Return the CPU time so far, with that of spare workers and of replaced ones."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = sum(cpu_seconds(worker) for worker in descendants(os.getpid()) - self._others)
        return Cost(living + ended.ru_utime + ended.ru_stime, time.process_time())

    async def run(self, case: Case, internet: Internet, tenant: str = "bench") -> Outcome:
        program = Program(case.code, INPUTS, SECRETS, LAST_POLL, tenant=tenant)
        return await self.sandbox.run(program, internet.fetch)
