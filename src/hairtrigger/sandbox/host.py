"""The sandbox for users' polling JavaScript."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

import structlog

from hairtrigger.sandbox.code import (
    DEFAULT_LIMITS,
    Fetch,
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Limits,
    Outcome,
    PollError,
    PollErrorKind,
    Program,
    SyntaxProblem,
)
from hairtrigger.sandbox.frames import Kind
from hairtrigger.sandbox.process import NotStarted, WorkerProcess

_log = structlog.get_logger(__name__)

_POLLS_PER_WORKER = 100
_RESTART_SECONDS = 1


class Sandbox:
    """Runs strangers' code in worker processes that can do nothing but ask for a fetch.

    Every poll has an engine and a memory of its own, and one that breaks its limits ends alone. When a worker breaks,
    its polls fail with `sandbox_fault` and another worker takes its place.
    """

    def __init__(self, workers: int, limits: Limits, compiled: bytes) -> None:
        self._limits = limits
        self._compiled = compiled
        self._serving: list[WorkerProcess] = []
        self._arrival = asyncio.Event()
        self._turns = asyncio.Semaphore(workers * _POLLS_PER_WORKER)

    @staticmethod
    async def compiled() -> bytes:
        """The guest as machine code, which takes a second to make: begin it before it is needed."""
        async with WorkerProcess.started(DEFAULT_LIMITS, b"") as compiler:
            return compiler.compiled

    @classmethod
    @asynccontextmanager
    async def start(
        cls, workers: int = 2, limits: Limits = DEFAULT_LIMITS, compiled: bytes | None = None
    ) -> AsyncIterator["Sandbox"]:
        sandbox = cls(workers, limits, await cls.compiled() if compiled is None else compiled)
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(sandbox._keep_a_worker()) for _ in range(workers)]
            await sandbox._least_loaded()
            yield sandbox
            for keeper in keepers:
                keeper.cancel()

    async def run(self, program: Program, fetch: Fetch) -> Outcome:
        """Raises PollError. What `fetch` raises besides FetchFailed is a fault of ours, and passes through."""
        return await self._poll(Kind.RUN, program, fetch)

    async def check(self, code: str) -> None:
        """Raises SyntaxProblem if the code cannot be compiled. Does not run it."""
        program = Program(code, {}, {}, datetime.now(UTC))
        try:
            await self._poll(Kind.CHECK, program, _nothing)
        except PollError as error:
            if error.kind is PollErrorKind.SANDBOX_FAULT:
                raise
            raise SyntaxProblem(error.message, error.line) from None

    async def _poll(self, kind: Literal[Kind.RUN, Kind.CHECK], program: Program, fetch: Fetch) -> Outcome:
        async with self._turns:
            worker = await self._least_loaded()
            with worker.poll(kind, program, fetch) as live:
                try:
                    async with asyncio.timeout(self._limits.wall.total_seconds()):
                        return await live.outcome()
                except TimeoutError:
                    raise live.error(PollErrorKind.WALL_LIMIT) from None

    async def _least_loaded(self) -> WorkerProcess:
        while not self._serving:
            self._arrival.clear()
            await self._arrival.wait()
        return min(self._serving, key=lambda worker: worker.load)

    async def _keep_a_worker(self) -> None:
        while True:
            try:
                async with WorkerProcess.started(self._limits, self._compiled) as worker:
                    await self._serve(worker)
            except NotStarted as error:
                _log.error("a worker of the sandbox did not start", reason=repr(error.__cause__))
                await asyncio.sleep(_RESTART_SECONDS)

    async def _serve(self, worker: WorkerProcess) -> None:
        self._serving.append(worker)
        self._arrival.set()
        try:
            reason = await worker.serve()
        finally:
            self._serving.remove(worker)
        _log.error("a worker of the sandbox is replaced", reason=reason, polls=worker.load)


async def _nothing(_request: HttpRequest) -> HttpResponse:
    raise FetchFailed("Code that is only checked has no fetch.")
