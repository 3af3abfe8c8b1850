"""Catch the signals that ask this process to stop: Ctrl-C, SIGTERM, and the end of its terminal."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONCE = 1  # second: a terminal and a supervisor may both pass on the same Ctrl-C


class StopSignals:
    """The stop signals that have come. The first sets `asked`, and another more than a second later sets `hurried`."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self._first = 0.0

    @classmethod
    @contextmanager
    def caught(cls) -> Iterator["StopSignals"]:
        """Catch the signals while the block runs, and yield the object that says which have come.

        After the block, the signals are ignored, because the process is about to end.
        """
        stop, loop = cls(), asyncio.get_running_loop()
        caught = [one for one in _SIGNALS if signal.getsignal(one) != signal.SIG_IGN]  # nohup ignores SIGHUP
        for one in caught:
            loop.add_signal_handler(one, stop.ask)
        try:
            yield stop
        finally:
            for one in caught:
                loop.remove_signal_handler(one)
                signal.signal(one, signal.SIG_IGN)

    def ask(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self.asked.is_set():
            self._first = now
            self.asked.set()
        elif now - self._first > _ONCE:
            self.hurried.set()
