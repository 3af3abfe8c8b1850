"""Defines the guest watchdog, which ends guest code that has used up its CPU time.

Guest code does not look at a clock, which would cost it 6 % and more. Instead, the guest's memory is taken away. When
the code next reads or writes, also in a native built-in, WebAssembly ends it with a trap that no code can catch.
"""

import ctypes
import threading
import time
from contextlib import suppress
from typing import NamedTuple, Protocol

TICK = 0.005  # seconds


class Watched(Protocol):
    is_over: bool
    """True from the moment before the memory is taken away. From then on, no code of the host may touch the guest's
    memory.
    """

    def take_memory(self) -> None: ...


class _Slice(NamedTuple):
    guest: Watched
    deadline: float

    @property
    def left(self) -> float:
        return self.deadline - time.process_time()


class Watchdog:
    """Ends a slice of guest code when its budget is used up.

    It reads the CPU time of this process, nearly all of which is guest code, so that a busy machine takes nothing away
    from a poll. This CPU time hardly passes faster than real time, so the guest watchdog sleeps for as long as the
    slice has left.
    """

    def __init__(self) -> None:
        self.outside = threading.Lock()
        """The thread that enters guests holds this lock, and releases it only while a guest's code runs.

        So memory is never taken away while the host reads or writes it, which would end the process.
        """
        self.outside.acquire()
        self._slice: _Slice | None = None
        self._sleeps_until = 0.0  # on the monotonic clock
        self._called = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, guest: Watched, deadline: float) -> None:
        """Watch a guest until `end` is called. The guest's slice is over at `deadline`, a time of
        `time.process_time()`.
        """
        self._slice = _Slice(guest, deadline)
        if time.monotonic() + self._slice.left < self._sleeps_until - TICK:
            self._called.set()

    def end(self) -> None:
        self._slice = None

    def _watch(self) -> None:
        while True:
            with self.outside:  # a guest runs, and no slice begins meanwhile
                seconds = max(TICK, self._left())
                self._sleeps_until = time.monotonic() + seconds
                self._called.clear()
            self._called.wait(seconds)

    def _left(self) -> float:
        running = self._slice
        if running is None:
            return 0
        left = running.left
        if left <= 0:
            running.guest.is_over = True
            with suppress(OSError):  # the kernel has no memory for that; the next look tries it again
                running.guest.take_memory()
        return left


def take_away(address: int, length: int) -> None:
    """Make a range of this process's memory inaccessible. Raises `OSError` if the kernel refuses."""
    if _mprotect(address, length, _NOTHING):
        raise OSError(ctypes.get_errno(), "mprotect")


_NOTHING = 0  # PROT_NONE
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
