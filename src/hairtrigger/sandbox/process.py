"""A worker process as the service sees it."""

import asyncio
import json
import socket
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter, TimerHandle
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal

from hairtrigger.sandbox.code import Fetch, Limits, Program
from hairtrigger.sandbox.frames import HEADER, Frame, Header, Kind, Malformed
from hairtrigger.sandbox.live import Live

# A worker is isolated (-I) from the environment and the current folder; it is told where the modules are.
_WORKER = """
import sys
sys.path[:] = sys.argv[2:]
from hairtrigger.sandbox import worker
worker.main(int(sys.argv[1]))
"""
_START_SECONDS = 60
_SILENT_SECONDS = 5


class NotStarted(Exception):
    """A worker of the JavaScript sandbox did not start."""


class WorkerProcess:
    """Runs polls until it ends, whatever the cause; its polls then end with `sandbox_fault`."""

    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter, limits: Limits) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self.compiled = b""
        self._numbers = count(1)
        self._polls: dict[int, Live] = {}
        self._cancelled: set[int] = set()
        self._patience: TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def started(cls, limits: Limits, compiled: bytes) -> AsyncIterator["WorkerProcess"]:
        """`compiled` is what another worker's `compiled` was, which saves this one half a second, or nothing."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _WORKER, str(descriptor), *_module_folders()),
                env={},
                stdin=DEVNULL,
                stdout=DEVNULL,
                pass_fds=(descriptor,),
            )
        worker = cls(process, *await asyncio.open_unix_connection(sock=ours), limits)
        try:
            worker.compiled = await worker._ready(compiled) or compiled
            yield worker
        finally:
            await worker._stop()

    async def _ready(self, compiled: bytes) -> bytes:
        head = {
            "cpu": self._limits.cpu.total_seconds(),
            "memory_bytes": self._limits.memory_bytes,
            "fetches": self._limits.fetches,
            "request_bytes": self._limits.request_bytes,
            "result_bytes": self._limits.result_bytes,
        }
        self._send(Frame(Kind.HELLO, head=head, body=compiled))
        try:
            async with asyncio.timeout(_START_SECONDS):
                return (await self._frame()).body
        except (TimeoutError, IncompleteReadError, ConnectionError, Malformed) as error:
            raise NotStarted from error

    async def _stop(self) -> None:
        if self._patience:
            self._patience.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        self._kill()
        await self._process.wait()

    async def serve(self) -> str:
        """Takes what the worker sends until its end, and returns what that was."""
        try:
            while True:
                frame = await self._frame()
                if live := self._polls.get(frame.poll):
                    live.receive(frame)
                if frame.kind is Kind.GONE:
                    self._cancelled.discard(frame.poll)
                self._heard()
        except (IncompleteReadError, ConnectionError):
            return "it ended"
        except (Malformed, LookupError, TypeError, ValueError) as error:
            return f"it sent what no worker sends: {error!r}"
        finally:
            for live in self._polls.values():
                live.lost()

    @property
    def load(self) -> int:
        return len(self._polls)

    @contextmanager
    def poll(self, kind: Literal[Kind.RUN, Kind.CHECK], program: Program, fetch: Fetch) -> Iterator[Live]:
        number = next(self._numbers)
        live = self._polls[number] = Live(number, program, fetch, self._limits, self._send)
        job = live.job() if kind is Kind.RUN else json.dumps(program.code).encode()
        self._send(Frame(kind, number, body=job))
        try:
            yield live
        finally:
            del self._polls[number]
            if not live.ended:
                self._cancel(number)

    def _cancel(self, number: int) -> None:
        self._send(Frame(Kind.CANCEL, number))
        self._cancelled.add(number)
        if self._patience is None:
            self._heard()

    def _heard(self) -> None:
        """A worker that owes an answer and says nothing at all for a while is lost."""
        if self._patience:
            self._patience.cancel()
        self._patience = None
        if self._cancelled:
            self._patience = asyncio.get_running_loop().call_later(_SILENT_SECONDS, self._kill)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    def _send(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame.packed())

    async def _frame(self) -> Frame:
        header = Header.parsed(await self._reader.readexactly(HEADER.size))
        return header.frame(await self._reader.readexactly(header.length))


def _module_folders() -> list[str]:
    return [str(Path(folder).absolute()) for folder in sys.path]  # "" is the current one
