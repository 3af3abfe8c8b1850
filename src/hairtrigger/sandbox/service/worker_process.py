"""Runs the process of a sandbox worker, on the side of the service."""

import asyncio
import mmap
import os
from asyncio import IncompleteReadError
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Literal

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.sandbox.protocol.frames import HEADER, LARGEST, Frame, Header, Kind, Malformed
from hairtrigger.sandbox.protocol.poll import MEBIBYTE, Fetch, Limits, Program
from hairtrigger.sandbox.protocol.walls import Walls
from hairtrigger.sandbox.service.live_poll import LivePoll, Mode
from hairtrigger.sandbox.service.spawn import Spawned, spawned

DONE_ITS_SHARE = "it has done its share"
_START_SECONDS = 60

_BEAT_SECONDS = 0.5
_SILENT_SECONDS = 2  # in addition to the slice of a guest that may have to end first
_SLICES = 4  # on a busy machine, a slice may take this many times its CPU time
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_OWN_BYTES = 400 * MEBIBYTE
_PLACES = 128  # for polls at a time, of one project alone
_POLLS = 10_000  # after so many, a sandbox worker has done its share and is replaced
_FRAMES_AT_A_TIME = 64
_FRAMES_TOO_MANY = 10_000  # that may still come from a poll after it was ended for sending too many


class NotStarted(HairtriggerError):
    """A worker of the JavaScript sandbox did not start."""


class WorkerProcess:
    """A sandbox worker, as the service sees it. It runs polls until it has done its share, or ends earlier for another
    reason.

    If it ends earlier, its polls end with `worker_lost`. Every frame is checked, although the sandbox worker has
    checked the values of its guests. A frame that makes no sense for its poll, or is one too many, ends that poll
    alone. The sandbox worker itself counts as broken only if its bytes are not frames, or if a frame belongs to a poll
    that never existed.
    """

    def __init__(self, spawned: Spawned, limits: Limits) -> None:
        self._spawned = spawned
        self._process = spawned.process
        self._reader = spawned.reader
        self._writer = spawned.writer
        self._writing = asyncio.Lock()
        self._progress = spawned.progress
        self._limits = limits
        self._largest = LARGEST
        self._numbers = count(1)
        self._polls: dict[int, LivePoll] = {}
        self._frames_left: dict[int, int] = {}  # how many frames may still come, by poll
        self._cancelled: set[int] = set()  # the polls whose CANCEL is not answered yet
        self._pinged = False
        self._heard = False
        self._reason = "it ended"
        self._places = Shares.beyond(_PLACES)
        self.compiled = b""
        self.walls = Walls()
        self.over = asyncio.Event()  # it takes no more polls

    @classmethod
    @asynccontextmanager
    async def started(cls, limits: Limits, compiled: bytes, *, unlocked: bool) -> AsyncIterator["WorkerProcess"]:
        """Start a sandbox worker, yield it, and end its process after the block. Raises `NotStarted` if it does not
        become ready.

        `compiled` is the guest as another sandbox worker compiled it. If it is empty, the new sandbox worker compiles
        the guest, and does nothing else.
        """
        async with spawned() as process:
            worker = cls(process, limits)
            try:
                await worker._begin(compiled, unlocked=unlocked)
                yield worker
            finally:
                worker.over.set()

    async def _begin(self, compiled: bytes, *, unlocked: bool) -> None:
        limits = {name: _plain(value) for name, value in asdict(self._limits).items()}
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._send(Frame(Kind.HELLO, head={"limits": limits, "unlocked": unlocked}, body=compiled))
                header, payload = await self._received()
                await self._take_ready(header.frame(payload))
        except (TimeoutError, IncompleteReadError, ConnectionError, Malformed, TypeError) as error:
            reason = await self._spawned.complaint() or repr(error)
            raise NotStarted(f"A worker of the JavaScript sandbox did not start: {reason}") from error

    async def _take_ready(self, frame: Frame) -> None:
        match frame:
            case Frame(Kind.READY, head=dict() as walls):
                self.walls = Walls.of(walls)
                self._largest = 8 * max(self._limits.request_bytes, self._limits.result_bytes) + MEBIBYTE
            case Frame(Kind.READY, head=None, body=compiled):
                self.compiled = compiled
            case Frame(Kind.REFUSED, head=str(reason)):
                raise NotStarted(f"The JavaScript sandbox is not safe here: {reason}")
            case _:
                raise Malformed(f"it began with {frame.kind.name}")

    async def serve(self) -> str:
        """Handle the frames of the sandbox worker until its end, and return the reason for its end as text."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                for _ in range(_FRAMES_AT_A_TIME):
                    self._take(*await self._received())
                await asyncio.sleep(0)  # frames that come fast do not hold up other tasks
        except (IncompleteReadError, ConnectionError):
            return self._reason
        except Malformed as error:
            return f"it sent what no worker sends: {error!r:.200}"
        finally:
            watch.cancel()
            self._lose()

    def _take(self, header: Header, payload: bytes) -> None:
        self._heard = True
        kind, number = header.kind, header.poll
        if kind is Kind.PONG and self._pinged:
            self._pinged = False
            return
        if number not in self._frames_left:
            raise Malformed(f"{kind.name} of no poll")
        self._frames_left[number] -= 1
        if self._frames_left[number] < -_FRAMES_TOO_MANY:
            raise Malformed("a poll that goes on although it was ended")
        if kind is Kind.GONE:
            self._forget(number)
        elif live := self._polls.get(number):
            self._tell(live, header, payload)

    def _forget(self, number: int) -> None:
        if number not in self._cancelled:
            raise Malformed("an answer to no CANCEL")
        self._cancelled.remove(number)
        del self._frames_left[number]

    def _tell(self, live: LivePoll, header: Header, payload: bytes) -> None:
        try:
            if self._frames_left[header.poll] < 0:
                raise Malformed("more frames than a poll may send")
            live.receive(header.frame(payload))
        except (ArithmeticError, LookupError, Malformed, RecursionError, TypeError, ValueError) as error:
            live.break_off(f"{error!r:.200}")
            return
        if header.kind in (Kind.DONE, Kind.FAILED):
            del self._frames_left[header.poll]  # no more frames of it may come

    def _lose(self) -> None:
        self.over.set()
        self._spawned.kill()
        for live in self._polls.values():
            live.lost()

    # Signs of life.

    async def _watch(self) -> None:
        """End the sandbox worker if it is silent for too long or takes too much memory.

        Beats are counted instead of seconds, so that no sandbox worker is blamed if the service itself was held up. A
        sandbox worker that could run but gets no CPU time does not count as silent, because other programs use the CPU.
        """
        slice_ = self._limits.cpu.total_seconds() * _SLICES
        silence, longest = ((seconds + slice_) / _BEAT_SECONDS for seconds in (_SILENT_SECONDS, self._wall))
        silent = unanswered = 0
        seen, spent = self._progress.read(), 0.0  # the CPU time at the last sign of life
        busiest = self._limits.cpu.total_seconds() + _SILENT_SECONDS
        while True:
            await _beat()
            if (own := self._own_bytes()) > _OWN_BYTES:
                self._end(f"it holds {own // MEBIBYTE} MB of memory")
            now = self._progress.read()
            could_run, spent_now = self._cpu()
            if self._heard or now != seen:
                silent, spent = 0, spent_now
            elif not could_run or spent_now - spent > busiest:
                silent += 1
            self._heard, seen = False, now
            if not self._pinged:
                unanswered = 0
                self._pinged = True
                self._write(Frame(Kind.PING))
            else:
                unanswered += 1
            if silent > silence or unanswered > longest:
                self._end("it does not answer")

    @property
    def _wall(self) -> float:
        return self._limits.wall.total_seconds()

    def _cpu(self) -> tuple[bool, float]:
        """Return whether the process runs or waits for a CPU, and how many seconds of CPU time it has used. Return
        false and 0 if the kernel does not tell.

        See proc_pid_stat(5).
        """
        try:
            _, _, fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")
        except OSError:
            return False, 0
        state, *numbers = fields.split()
        return state == "R", sum(map(int, numbers[10:12])) / _TICKS

    def _own_bytes(self) -> int:
        """Return how many bytes of memory the process has for itself, or 0 if the kernel does not tell.

        The image is left out, because each guest's memory counts the pages of the image that all guests share.
        """
        try:
            _, resident, shared, *_ = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * mmap.PAGESIZE

    def _end(self, reason: str) -> None:
        self._reason = reason
        self.over.set()
        self._spawned.kill()

    # Polls.

    def move(self, is_elsewhere: Callable[[str], bool]) -> None:
        """End the polls that have not begun, of each tenant for which `is_elsewhere` returns true.

        These polls end as `MOVED`, and then run in another sandbox worker.
        """
        for live in self._polls.values():
            if is_elsewhere(live.tenant):
                live.move()

    @property
    def load(self) -> int:
        return len(self._polls)

    @property
    def pid(self) -> int:
        return self._process.pid

    @asynccontextmanager
    async def turn(self, tenant: Tenant) -> AsyncIterator[None]:
        """Wait until one more poll of the tenant may run in this sandbox worker, and hold a place for it until the
        block ends.
        """
        async with self._places.place(tenant):
            await self._room()
            yield

    @contextmanager
    def poll(
        self, kind: Literal[Kind.RUN, Kind.CHECK], program: Program, fetch: Fetch, mode: Mode
    ) -> Iterator[LivePoll]:
        number = next(self._numbers)
        live = self._polls[number] = LivePoll(number, program, fetch, self._limits, self._send, mode)
        self._frames_left[number] = self._limits.console_lines + 2 * self._limits.fetches + 100 + mode.most
        for frame in live.opening(kind):
            self._write(frame)
        if number == _POLLS:
            self.over.set()
        try:
            yield live
        finally:
            del self._polls[number]
            if number in self._frames_left:
                self._cancelled.add(number)
                self._write(Frame(Kind.CANCEL, number))
            if self.over.is_set() and not self._polls:
                self._reason = DONE_ITS_SHARE
                self._writer.close()

    # Frames.

    async def _send(self, frame: Frame) -> None:
        """Send a frame, after waiting until the sandbox worker has read most of the frames before it."""
        async with self._writing:
            await self._room()
            self._write(frame)

    async def _room(self) -> None:
        with suppress(ConnectionError):
            await self._writer.drain()

    def _write(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame.packed())

    async def _received(self) -> tuple[Header, bytes]:
        header = Header.parsed(await self._reader.readexactly(HEADER.size), self._largest)
        return header, await self._reader.readexactly(header.length)


async def _beat() -> None:
    await asyncio.sleep(_BEAT_SECONDS)


def _plain(value: timedelta | int) -> float | int:
    return value.total_seconds() if isinstance(value, timedelta) else value
