"""Time the stages of a sandbox worker. This program starts in place of the worker's own and times its functions.

Every DONE frame reports the CPU time of each stage so far. The functions named here are private to the sandbox. If a
function is gone, its stage is left out, and its time counts as its caller's.
"""

import importlib
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from hairtrigger.sandbox.worker import main as worker

REST = "the loop, and all else"
STAGES = {
    "memory: made": ("quickjs:Engine.instance",),
    "memory: given back": ("quickjs:Instance.close",),
    "JavaScript, and into it": ("quickjs:Instance.call",),
    "values in and out": ("quickjs:Instance.enter", "quickjs:Instance.host_call"),
    "hooks": (
        "worker:Poll._done",
        "worker:Poll._fetch",
        "worker:Poll._log",
        "worker:Poll._random",
        "worker:Poll._wake",
    ),
    "limits and clocks": ("guest:Guest.enter",),
    "the poll's own objects": ("worker:Poll.__init__", "guest:Guest.__init__"),
    "frames": ("worker:Worker._send", "frames:Incoming.take"),
}


class Stages:
    """The CPU time of each stage. Time counts for the innermost stage that is under way."""

    def __init__(self) -> None:
        self.nanoseconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._open = [REST]
        self._since = time.thread_time_ns()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._open.append(stage)
            self.calls[stage] += 1
            try:
                return function(*arguments, **named)
            finally:
                self._switch()
                self._open.pop()

        return wrapper

    def _switch(self) -> None:
        now = time.thread_time_ns()
        self.nanoseconds[self._open[-1]] += now - self._since
        self._since = now


def main(*arguments: int) -> None:
    stages = Stages()
    for stage, names in STAGES.items():
        for name in names:
            _replace(name, partial(stages.timed, stage))
    _replace("worker:Poll._tell_end", partial(_telling, stages))
    worker.main(*arguments)


def _telling(stages: Stages, tell_end: Callable[[worker.Poll], None]) -> Callable[[worker.Poll], None]:
    def tell(poll: worker.Poll) -> None:
        if poll.end is not None:
            poll.end.head.update(nanoseconds=dict(stages.nanoseconds), calls=dict(stages.calls))
        tell_end(poll)

    return tell


def _replace(name: str, replacement: Callable[[Any], Any]) -> None:
    module, _, path = name.partition(":")
    owner_name, _, attribute = path.partition(".")
    owner = getattr(importlib.import_module(f"hairtrigger.sandbox.{module}"), owner_name, None)
    function = getattr(owner, attribute, None)
    if function is not None:
        setattr(owner, attribute, replacement(function))
