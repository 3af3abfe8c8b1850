"""A meter of the event loop's pauses, which runs inside the service's own process.

A pause is the time between two ticks of the loop: the smaller of the wall time and the CPU time of the process. The
meter subtracts from the wall time the time in which the loop's thread was ready to run and the kernel gave it no core.
Therefore the work of other processes on the machine makes no pause, but a thread that holds the interpreter lock does.
A full garbage collection is not part of a pause, because it can happen at any moment, whatever the service does. Its
time is reported in a field of its own.
"""

import asyncio
import ctypes
import faulthandler
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY = 0.005  # seconds between two ticks
_KEPT = 20  # pauses of a reading that are kept: the longest ones
_WORTH_TELLING = 0.02  # seconds
_FULL = 2  # the oldest generation: its collection is a full one
_STUCK = 0.1  # seconds that the loop must stand still before the stacks of all threads are written to `where`


@dataclass
class Meter:
    """A meter that ticks until the loop ends, and writes a reading to the open `file` at each SIGUSR1."""

    file: int
    where: int | None = None
    """The open file that gets the stacks of all threads whenever the loop stands still, from the first reading on.

    The stacks are read without the interpreter lock, which can crash the process. Use this only by hand.
    """
    _wall: float = 0.0
    _cpu: float = 0.0
    _delay: float = 0.0
    _collecting: float = 0.0
    _collected: float = 0.0
    _ticks: int = 0
    _asked: bool = False
    _pauses: list[dict[str, float]] = field(default_factory=list)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tell_delay = core_delay()
        gc.callbacks.append(self.collection)
        self._loop = loop
        loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._loop.add_signal_handler(signal.SIGUSR1, self._report)
        self._mark()
        self._loop.call_later(EVERY, self._tick)

    def _tick(self) -> None:
        self._ticks += 1
        self._look()
        self._loop.call_later(EVERY, self._tick)

    def _look(self) -> None:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        if min(wall, cpu) >= _WORTH_TELLING:
            ready, garbage = self._tell_delay() - self._delay, self._collected
            if (pause := min(wall - ready, cpu) - garbage) >= _WORTH_TELLING:
                found = {"pause": pause, "wall": wall, "cpu": cpu, "ready": ready, "garbage": garbage}
                self._pauses = sorted([*self._pauses, found], key=lambda one: -one["pause"])[:_KEPT]
        self._mark()

    def _mark(self) -> None:
        self._wall, self._cpu, self._delay = time.monotonic(), time.process_time(), self._tell_delay()
        self._collected = 0.0
        if self.where is not None and self._asked:
            faulthandler.dump_traceback_later(_STUCK, file=self.where)

    def collection(self, phase: str, about: dict[str, int]) -> None:
        """Add up the time of full collections. A collection stops all threads, whichever thread runs it."""
        if about["generation"] == _FULL:
            now = time.process_time()
            if phase == "start":
                self._collecting = now
            else:
                self._collected += now - self._collecting

    def _report(self) -> None:
        """Write a reading, which includes the time since the last tick.

        The allocator gives its free memory back to the kernel, so that the resident memory that is read next is in use.
        """
        self._asked = True
        self._look()
        ctypes.CDLL(None).malloc_trim(0)
        os.write(self.file, json.dumps({"ticks": self._ticks, "pauses": self._pauses}).encode() + b"\n")
        self._ticks, self._pauses = 0, []
        self._mark()


def core_delay() -> Callable[[], float]:
    """Return a function that tells for how many seconds the current thread has been ready to run without a core.

    The function always returns 0 if the kernel does not count this time. Then a busy machine may make a pause look
    longer, but never longer than the CPU time that the process used.
    """
    try:
        file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    except OSError:
        return lambda: 0.0

    return lambda: int(os.pread(file, 100, 0).split()[1]) / 1e9
