"""Starts and ends the process of a sandbox worker. No process is left behind, even if its start is cancelled."""

import asyncio
import os
import socket
import sys
from asyncio import CancelledError, StreamReader, StreamWriter, Task
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from hairtrigger.sandbox.protocol.progress import ProgressFile, unnamed_file

# The option -I isolates Python from the environment and the current folder, so the folders of the modules are
# arguments. The signals by which a terminal or a supervisor stops all processes at once are for the service, which then
# closes the socket.
PROGRAM = """
import signal, sys
for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(stop, signal.SIG_IGN)
sys.path[:] = sys.argv[3:]
from hairtrigger.sandbox.worker.main import main
main(int(sys.argv[1]), int(sys.argv[2]))
"""
_COMPLAINT_BYTES = 4096
_killed: WeakSet[Process] = WeakSet()


@dataclass(frozen=True)
class Spawned:
    process: Process
    reader: StreamReader
    writer: StreamWriter
    progress: ProgressFile
    errors: int

    def kill(self) -> None:
        _kill(self.process)

    async def complaint(self) -> str:
        """Kill the process, and return what it wrote to standard error before the walls were raised."""
        self.kill()
        await self.process.wait()
        return os.pread(self.errors, _COMPLAINT_BYTES, 0).decode(errors="replace").strip()


@asynccontextmanager
async def spawned() -> AsyncIterator[Spawned]:
    async with AsyncExitStack() as stack:
        progress = ProgressFile()
        stack.callback(progress.close)
        errors = unnamed_file()
        stack.callback(os.close, errors)
        ours, theirs = socket.socketpair()
        stack.callback(theirs.close)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        stack.push_async_callback(_closed, writer)
        starting = asyncio.create_task(_process(theirs.fileno(), progress.descriptor, errors))
        stack.push_async_callback(_reaped, starting)
        process = await asyncio.shield(starting)
        theirs.close()
        yield Spawned(process, reader, writer, progress, errors)


async def _process(connection: int, progress: int, errors: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", PROGRAM, str(connection), str(progress), *_module_folders()),
        env={},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=errors,
        pass_fds=(connection, progress),
        start_new_session=True,
    )


async def _closed(writer: StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _reaped(starting: Task[Process]) -> None:
    await _to_its_end(asyncio.create_task(_ended(starting)))


async def _ended(starting: Task[Process]) -> None:
    with suppress(OSError):  # it did not start
        process = await starting
        _kill(process)
        await process.wait()


def _kill(process: Process) -> None:
    """Kill a process, but not twice, because a second kill might collect the exit status that asyncio waits for."""
    if process not in _killed:
        _killed.add(process)
        with suppress(ProcessLookupError):
            process.kill()


async def _to_its_end(task: Task[None]) -> None:
    """Wait for the end of a task, even if the waiting is cancelled meanwhile. Then raise the cancellation, or else the
    task's error if it has one.
    """
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
    task.result()


def _module_folders() -> list[str]:
    return [str(Path(folder).absolute()) for folder in sys.path]  # "" is the current folder
