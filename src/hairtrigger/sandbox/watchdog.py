"""The end of guest code that has used up its CPU time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

TICK = 0.005  # seconds


class Watchdog:
    """Ends a slice of guest code with a trap when its budget is used up.

    It reads the CPU time of this process, nearly all of which is guest code, so that a busy machine takes nothing away
    from a poll. The trap is an epoch's: it ends native built-ins too, and no code can catch it.
    """

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._deadline: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def budget(self, store: wasmtime.Store, seconds: float) -> Iterator[None]:
        with self._lock:  # so that the tick that ended one slice cannot end the next
            store.set_epoch_deadline(1)
            self._deadline = time.process_time() + seconds
        self._busy.set()
        try:
            yield
        finally:
            with self._lock:
                self._deadline = None

    def _watch(self) -> None:
        while self._busy.wait():
            time.sleep(TICK)
            with self._lock:
                if self._deadline is None:
                    self._busy.clear()
                elif time.process_time() >= self._deadline:
                    self._engine.increment_epoch()
