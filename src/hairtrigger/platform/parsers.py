"""Have bytes from strangers parsed in other processes, which are started when they are needed."""

import asyncio
import json
import socket
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from hairtrigger.domain.errors import HairtriggerError, ParseKilled, ProviderFailed
from hairtrigger.platform.parser_process import ANSWER, DEFAULT_LIMITS, READY, REQUEST, Answer, Ending, Limits
from hairtrigger.platform.shares import Shares, Tenant

# `-I` isolates the process from the environment and the current folder, so the arguments name the folders of modules.
# The service stops the process by closing the socket, and not by the signals that stop the service itself.
_PROGRAM = """
import signal, sys
for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(stop, signal.SIG_IGN)
descriptor, cpu, wall, memory, result, *sys.path[:] = sys.argv[1:]
from hairtrigger.platform.parser_process import Limits, main
main(int(descriptor), Limits(float(cpu), float(wall), int(memory), int(result)))
"""
_MEBIBYTE = 1024 * 1024
_START_SECONDS = 60
_LATER = 2  # seconds after the limit, in case a parse has removed its own limits
_TRIES = 2
_LAST_WORDS = 4096  # bytes

log = structlog.get_logger()


class NotStarted(HairtriggerError):
    """A process for parsing did not start; the log says more."""


class _Lost(Exception):
    """The parser process itself ended, not only the fork with the parse."""


class Parsers:
    """Runs parses in child processes, one parse at a time in each. Further parses wait for a process.

    If there are several processes, one organisation never has all of them. All processes are killed at the end of the
    `async with` block.
    """

    def __init__(self, processes: int = 2, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        of_one = max(1, processes - 1)
        self._shares = Shares(processes, of_org=of_one, of_project=of_one)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._idle.clear()
        for child in self._children:
            child.kill()
        for child in self._children:
            await child.process.wait()

    @property
    def processes(self) -> tuple[int, ...]:
        return tuple(child.process.pid for child in self._children if child.process.returncode is None)

    async def parse(self, tenant: str, parser: str, data: bytes, hints: Mapping[str, str]) -> bytes:
        """Return the records that `parser`, "module:function", makes of the data, each as a line of JSON.

        `tenant` is the id of the organisation, and `hints` are the parser's named arguments. Raises `ParseKilled` if
        the parse reached a limit or its process died, `ProviderFailed` if the parser raised an error, or `NotStarted`.
        """
        async with self._shares.place(Tenant(tenant)):
            answer = await self._answer(parser, data, hints)
        log.debug("parsed", parser=parser, tenant=tenant, bytes=len(data), cpu=answer.cpu, ending=answer.ending.name)
        match answer.ending:
            case Ending.DONE:
                return answer.said
            case Ending.REFUSED:
                raise ProviderFailed(_last_words(answer.said))
            case Ending.BROKEN:
                log.warning("a parser broke", parser=parser, tenant=tenant, reason=_last_words(answer.said))
                raise ProviderFailed("What came as the answer is too broken to be read.")
            case ending:
                log.warning("a parse was ended", parser=parser, tenant=tenant, limit=ending.name, bytes=len(data))
                raise ParseKilled(self._reason(ending))

    async def _answer(self, parser: str, data: bytes, hints: Mapping[str, str]) -> Answer:
        for _ in range(_TRIES):
            with suppress(_Lost):
                async with self._child() as child:
                    return await child.answer(parser, data, hints)
        return Answer(Ending.CRASHED, b"", 0)

    @asynccontextmanager
    async def _child(self) -> AsyncIterator["_Child"]:
        """Yield an idle process or a new one. An exception in the block kills it, because it may still be at work."""
        child = self._idle.pop() if self._idle else await self._started()
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        if not child.killed:
            self._idle.append(child)

    async def _started(self) -> "_Child":
        self._children = {child for child in self._children if child.process.returncode is None}
        child = await _Child.started(self._limits)
        self._children.add(child)
        try:
            await child.ready()
        except BaseException:
            child.kill()
            raise
        return child

    def _reason(self, ending: Ending) -> str:
        cpu, wall, memory, result = self._limits
        match ending:
            case Ending.CPU:
                return f"Reading what came as the answer takes more than {cpu:g} seconds of CPU time."
            case Ending.WALL:
                return f"Reading what came as the answer took more than {wall:g} seconds."
            case Ending.MEMORY:
                return f"Reading what came as the answer takes more than {memory // _MEBIBYTE} MB of memory."
            case Ending.RESULT:
                return f"What came as the answer makes more than {result // _MEBIBYTE} MB when it is read."
            case _:
                return "Reading what came as the answer ended the process that reads."


class _Child:
    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter, limits: Limits) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self.killed = False

    @classmethod
    async def started(cls, limits: Limits) -> "_Child":
        """Start a process and return it. If the start is cancelled or fails, no process is left behind.

        Raises `NotStarted`. The process may be used when `ready` has returned.
        """
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-c", _PROGRAM, str(theirs.fileno())),
                    *map(str, limits),
                    *_module_folders(),
                    env={},
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            writer.close()
            raise NotStarted(f"A process for parsing did not start: {error}.") from error
        except BaseException:
            writer.close()
            raise
        return cls(process, reader, writer, limits)

    async def ready(self) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._reader.readexactly(len(READY))
        except (TimeoutError, IncompleteReadError, ConnectionError) as error:
            raise NotStarted from error

    async def answer(self, parser: str, data: bytes, hints: Mapping[str, str]) -> Answer:
        head = json.dumps({"parser": parser, "hints": dict(hints)}).encode()
        try:
            async with asyncio.timeout(self._limits.wall + _LATER):
                self._writer.write(REQUEST.pack(len(head), len(data)) + head)
                self._writer.write(data)
                await self._writer.drain()
                ending, length, cpu = ANSWER.unpack(await self._reader.readexactly(ANSWER.size))
                return Answer(Ending(ending), await self._reader.readexactly(length), cpu)
        except TimeoutError:
            self.kill()
            return Answer(Ending.WALL, b"", 0)
        except (IncompleteReadError, ConnectionError) as error:
            raise _Lost from error

    def kill(self) -> None:
        """Kill the process, but only once. A second kill might reap it before asyncio, which waits for its end."""
        if not self.killed:
            self.killed = True
            self._writer.close()
            with suppress(ProcessLookupError):
                self.process.kill()


def _last_words(said: bytes) -> str:
    """Return the text in the last line of a parse's output, which is its message.

    A parse may write anything. If the last line is no text in JSON, return a general sentence.
    """
    try:
        words = json.loads(said[max(len(said) - _LAST_WORDS, said.rfind(b"\n") + 1) :])
    except (ValueError, RecursionError):
        words = None
    return words if isinstance(words, str) and words else "What came as the answer could not be read."


def _module_folders() -> list[str]:
    return [str(Path(folder).absolute()) for folder in sys.path]  # "" means the current folder
