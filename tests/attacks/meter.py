"""A meter of the event loop's pauses, which runs inside the service's own process.

A pause is what passes between two ticks of the loop: the smaller of the wall time and the CPU time of the process.
The time in which the loop's thread was ready to run and the kernel gave it no core is taken off the wall time. What
other processes of the machine do is therefore no pause, and a thread that holds the interpreter is one. A full
collection of garbage is left out, because it comes when it comes, whatever is done at that moment; it is told beside.
"""

import asyncio
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
_KEPT = 20  # pauses of a reading that are worth a line each
_WORTH_TELLING = 0.02  # seconds
_FULL = 2  # the oldest generation
_STUCK = 0.1  # seconds after which the code that holds the loop is written down, where that is asked for


@dataclass
class Meter:
    """Ticks until the loop ends, and writes what it found to the open `file` whenever SIGUSR1 comes."""

    file: int
    where: int | None = None
    """Takes the stacks of all threads whenever the loop does not turn, after the first reading.

    They are read without holding the interpreter, which can end the process: this is for looking by hand.
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
        """Whichever thread collects, the others stand still."""
        if about["generation"] == _FULL:
            now = time.process_time()
            if phase == "start":
                self._collecting = now
            else:
                self._collected += now - self._collecting

    def _report(self) -> None:
        """The time since the last tick counts too."""
        self._asked = True
        self._look()
        os.write(self.file, json.dumps({"ticks": self._ticks, "pauses": self._pauses}).encode() + b"\n")
        self._ticks, self._pauses = 0, []


def core_delay() -> Callable[[], float]:
    """Return a function that tells how many seconds the calling thread was ready to run and got no core so far.

    It is always 0 where the kernel does not count that: then a busy machine may make a pause look longer, though no
    longer than the CPU time that the process used.
    """
    try:
        file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    except OSError:
        return lambda: 0.0

    return lambda: int(os.pread(file, 100, 0).split()[1]) / 1e9
