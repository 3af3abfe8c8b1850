"""Runs users' polling code in sandbox workers."""

import asyncio
import hashlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import structlog

from hairtrigger.platform.remembered import Remembered
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.sandbox.protocol.frames import Kind
from hairtrigger.sandbox.protocol.poll import (
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
    Recording,
    SyntaxProblem,
)
from hairtrigger.sandbox.protocol.walls import UNLOCKED, Walls
from hairtrigger.sandbox.service.live_poll import LOST, MOVED, Ended, LivePoll, Mode, fixed
from hairtrigger.sandbox.service.worker_process import DONE_ITS_SHARE, NotStarted, WorkerProcess

_log = structlog.get_logger(__name__)

_SPARE = 1
_RESTART_SECONDS = 1
_ALONE_AT_A_TIME = 4  # polls that run again because their sandbox worker died
_REPEATABLE = ("GET", "HEAD")
_COSTLY = 0.1  # of the CPU time that a poll may use: a tenant with a poll that uses more is costly
_COSTLY_SECONDS = 300
_MOST_COSTLY = 10_000


class Sandbox:
    """Runs polling code in sandbox workers, which can do nothing but ask for a fetch.

    Every poll has an engine and a memory of its own, and a poll that breaks its limits ends alone. When a sandbox
    worker dies, each of its polls may have been the cause. So each of these polls runs once more, alone in a sandbox
    worker of its own. If that one dies too, the poll fails with `worker_lost`; the other polls do not notice. A second
    run may send a request again, as a poll does that runs again after the service was cut off. The exception is a
    request that is neither GET nor HEAD and was already answered, to which the second run gets the same answer. A spare
    sandbox worker takes the place of the dead one.

    The programs of one tenant run on one sandbox worker, and on another only when that one is replaced, or when a
    tenant becomes costly. Polls that use much CPU time can't be interrupted, so the polls of others would wait for
    them. While there are costly tenants, they have half of the sandbox workers, and the other tenants have the rest.
    """

    def __init__(self, limits: Limits, compiled: bytes, *, unlocked: bool) -> None:
        self._limits = limits
        self._compiled = compiled
        self._unlocked = unlocked
        self._serving: dict[int, WorkerProcess] = {}  # by place
        self._spares: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        self._arrival = asyncio.Event()
        self._alone = Shares(_ALONE_AT_A_TIME, of_org=_ALONE_AT_A_TIME - 1, of_project=_ALONE_AT_A_TIME - 1)
        self._costly: Remembered[str, float] = Remembered(_MOST_COSTLY)  # until when each tenant counts as costly
        self._costly_until = 0.0
        self._apart: set[WorkerProcess] = set()  # those that run one poll each
        self.cpu_seconds = 0.0  # that all polls have used, as far as their sandbox workers told it
        self._walls: asyncio.Future[Walls] = asyncio.get_running_loop().create_future()

    @staticmethod
    async def compiled() -> bytes:
        """Compile the guest and return its machine code. This takes seconds."""
        async with WorkerProcess.started(DEFAULT_LIMITS, b"", unlocked=True) as compiler:
            return compiler.compiled

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        workers: int = 2,
        limits: Limits = DEFAULT_LIMITS,
        compiled: bytes | None = None,
        *,
        unlocked: bool = False,
    ) -> AsyncIterator["Sandbox"]:
        """Yield a sandbox that runs `workers` sandbox workers until the block ends.

        `compiled` is the machine code of the guest; if it is None, the guest is compiled first. Raises `NotStarted` if
        no sandbox worker starts, or if a sandbox worker can't be locked in. With `unlocked`, sandbox workers may run
        without being locked in.
        """
        sandbox = cls(limits, await cls.compiled() if compiled is None else compiled, unlocked=unlocked)
        failed = None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sandbox._make_workers(workers))]
            tasks += [group.create_task(sandbox._keep(place)) for place in range(workers)]
            try:
                sandbox._tell(await sandbox._walls)
                await sandbox._worker_for("")
            except NotStarted as error:  # raised below, so that it is not in a group of errors
                failed = error
            else:
                yield sandbox
            for task in tasks:
                task.cancel()
        if failed:
            raise failed

    @property
    def walls(self) -> Walls:
        """Return the report on the walls of the first sandbox worker. The walls of the other ones are the same."""
        return self._walls.result()

    @property
    def workers(self) -> tuple[int, ...]:
        """Return the process ids of the sandbox workers that take new polls.

        Not among them are the spare one, and those that finish their last polls or run one poll alone.
        """
        return tuple(worker.pid for worker in self._living().values())

    @property
    def limits(self) -> Limits:
        return self._limits

    async def run(self, program: Program, fetch: Fetch, *, record: bool = False) -> Outcome:
        """Run a program, and return its outcome or raise `PollError`.

        `fetch` performs the program's requests. Any error but `FetchFailed` that it raises is a fault of the service,
        and passes through. With `record`, the outcome or the `PollError` has a recording.
        """
        return await self._poll(Kind.RUN, program, fetch, Mode(recorded=record))

    async def replay(self, recording: Recording) -> Outcome:
        """Run a recorded poll again without network and waiting.

        Return the same value and console lines as the recorded poll, or raise the same `PollError`, unless the CPU
        limit ends one of the two runs earlier.
        """
        return await self._poll(
            Kind.RUN, recording.program, _nothing, Mode(entries=recording.entries, heard=recording.heard)
        )

    async def check(self, code: str, tenant: str = "") -> None:
        """Raise `SyntaxProblem` if the code can't be compiled. The code is not run.

        Raises `PollError` if the sandbox broke down.
        """
        program = Program(code, {}, {}, datetime.now(UTC), tenant=tenant)
        try:
            await self._poll(Kind.CHECK, program, _nothing, Mode())
        except PollError as error:
            if error.kind in (PollErrorKind.SANDBOX_FAULT, PollErrorKind.WORKER_LOST):
                raise
            raise SyntaxProblem(error.message, error.line, error.column) from None

    async def _poll(self, kind: Literal[Kind.RUN, Kind.CHECK], program: Program, fetch: Fetch, mode: Mode) -> Outcome:
        asked = _Asked(fetch)
        tenant = Tenant(program.tenant, program.project)
        while True:
            async with self._turn(tenant) as worker:
                program = fixed(program)  # if there are two runs, both draw the same numbers and make the same requests
                live, end = await self._ended(worker, kind, program, asked.fetch, mode)
            if end != MOVED:
                break
        if end == LOST:
            asked.begin_again()
            async with self._alone.place(tenant), self._own_worker() as worker:
                live, end = await self._ended(worker, kind, program, asked.fetch, mode)
        self._note_cost(program.tenant, end)
        return await live.outcome(end)

    def _note_cost(self, tenant: str, end: Ended) -> None:
        if end.usage:
            self.cpu_seconds += end.usage.cpu.total_seconds()
        if not tenant or end.usage is None or end.usage.cpu <= _COSTLY * self._limits.cpu:
            return
        is_new = not self._is_costly(tenant)
        self._costly_until = _now() + _COSTLY_SECONDS
        self._costly.keep(tenant, self._costly_until, len(tenant))
        if is_new:
            living = self._living()
            for worker in living.values():
                worker.move(partial(self._is_elsewhere, worker, living))

    def _is_elsewhere(self, worker: WorkerProcess, living: Mapping[int, WorkerProcess], tenant: str) -> bool:
        """Return whether a tenant's polls now belong to another sandbox worker than `worker`."""
        return bool(tenant) and self._chosen(tenant, living) is not worker

    def _is_costly(self, tenant: str) -> bool:
        return (self._costly.get(tenant) or 0) > _now()

    async def _ended(
        self, worker: WorkerProcess, kind: Literal[Kind.RUN, Kind.CHECK], program: Program, fetch: Fetch, mode: Mode
    ) -> tuple[LivePoll, Ended]:
        with worker.poll(kind, program, fetch, mode) as live:
            try:
                async with asyncio.timeout(self._limits.wall.total_seconds()):
                    return live, await live.ended()
            except TimeoutError:
                return live, live.gave_up(PollErrorKind.WALL_LIMIT)

    @asynccontextmanager
    async def _turn(self, tenant: Tenant) -> AsyncIterator[WorkerProcess]:
        while True:
            worker = await self._worker_for(tenant.org)
            async with worker.turn(tenant):
                if not worker.over.is_set() and (not tenant.org or worker is await self._worker_for(tenant.org)):
                    yield worker
                    return

    async def _worker_for(self, tenant: str) -> WorkerProcess:
        while not (living := self._living()):
            self._arrival.clear()
            await self._arrival.wait()
        return self._chosen(tenant, living)

    def _chosen(self, tenant: str, living: Mapping[int, WorkerProcess]) -> WorkerProcess:
        places = self._places_for(tenant, sorted(living))
        if not tenant:
            return min((living[place] for place in places), key=lambda worker: worker.load)
        return living[max(places, key=lambda place: _affinity(tenant, place))]

    def _places_for(self, tenant: str, places: Sequence[int]) -> Sequence[int]:
        """Return those of the given places at which polls of this tenant may run. They are all places while no tenant
        is costly, or if there is only one place.
        """
        for_costly = len(places) // 2
        if not for_costly or self._costly_until <= _now():
            return places
        return places[-for_costly:] if self._is_costly(tenant) else places[:-for_costly]

    def _living(self) -> dict[int, WorkerProcess]:
        return {place: worker for place, worker in self._serving.items() if not worker.over.is_set()}

    # Workers.

    async def _make_workers(self, places: int) -> None:
        """Run a sandbox worker for every place, and a spare one, which starts when the places are taken."""
        async with asyncio.TaskGroup() as group:
            for _ in range(places):
                group.create_task(self._make_one_after_another(group))
            while len(self._serving) < places:
                self._arrival.clear()
                await self._arrival.wait()
            for _ in range(_SPARE):
                group.create_task(self._make_one_after_another(group))

    async def _make_one_after_another(self, group: asyncio.TaskGroup) -> None:
        while True:
            over = asyncio.Event()
            group.create_task(self._life(over))
            await over.wait()

    async def _life(self, over: asyncio.Event) -> None:
        """Run one sandbox worker until it exits. It may set `over`, and so take no more polls, before it exits, while
        its last polls go on.
        """
        try:
            async with self._started() as worker:
                worker.over = over
                if not self._walls.done():
                    self._walls.set_result(worker.walls)
                self._spares.put_nowait(worker)
                reason = await worker.serve()
            level = _log.info if reason == DONE_ITS_SHARE else _log.error
            level("a worker of the sandbox is replaced", reason=reason)
        except NotStarted as error:
            if not self._walls.done():
                self._walls.set_exception(error)
            _log.error("a worker of the sandbox did not start", reason=error.message)
            await asyncio.sleep(_RESTART_SECONDS)
            over.set()

    @asynccontextmanager
    async def _own_worker(self) -> AsyncIterator[WorkerProcess]:
        """Yield a new sandbox worker for one poll alone, so that no other poll can be the cause if the sandbox worker
        dies.

        The sandbox worker is ended at the end of the block.
        """
        async with AsyncExitStack() as stack:
            worker = await self._started_at_last(stack)
            serving = asyncio.create_task(worker.serve())
            self._apart.add(worker)
            try:
                yield worker
            finally:
                self._apart.remove(worker)
                serving.cancel()
                await asyncio.wait([serving])

    async def _started_at_last(self, stack: AsyncExitStack) -> WorkerProcess:
        while True:
            try:
                return await stack.enter_async_context(self._started())
            except NotStarted as error:
                _log.error("a worker of the sandbox did not start", reason=error.message)
                await asyncio.sleep(_RESTART_SECONDS)

    def _started(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return WorkerProcess.started(self._limits, self._compiled, unlocked=self._unlocked)

    async def _keep(self, place: int) -> None:
        while True:
            worker = await self._spares.get()
            self._serving[place] = worker
            self._arrival.set()
            await worker.over.wait()
            del self._serving[place]

    def _tell(self, walls: Walls) -> None:
        if walls.platform != "linux":
            _log.warning(
                "users' JavaScript is held by WebAssembly alone: there are no other walls here", on=walls.platform
            )
        elif walls.missing:
            _log.warning("users' JavaScript is not locked in", missing=walls.missing, allowed_by=UNLOCKED)
        else:
            _log.info("users' JavaScript is locked in", **asdict(walls))


class _Asked:
    """A fetch for a poll that may run twice.

    In the second run, a request that may change something is not sent again if it was answered in the first run.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._answered: defaultdict[HttpRequest, deque[HttpResponse]] = defaultdict(deque)
        self._before: Mapping[HttpRequest, deque[HttpResponse]] = {}  # the answers in the first run

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        if request.method in _REPEATABLE:
            return await self._fetch(request)
        before = self._before.get(request)
        response = before.popleft() if before else await self._fetch(request)
        self._answered[request].append(response)
        return response

    def begin_again(self) -> None:
        self._before, self._answered = self._answered, defaultdict(deque)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _affinity(tenant: str, place: int) -> bytes:
    """Return the rank of a place for a tenant. The tenant belongs to the place with the highest rank.

    If a place is lost, only its tenants move (rendezvous hashing).
    """
    return hashlib.blake2b(f"{place} {tenant}".encode(), digest_size=8).digest()


async def _nothing(_request: HttpRequest) -> HttpResponse:
    raise FetchFailed("Code that is only checked has no fetch.")
