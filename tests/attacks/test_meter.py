"""The meter tells real pauses from other delays, in loops that stand still for different reasons."""

import asyncio
import gc
import json
import os
import re
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks.meter import Meter

_LONG = 0.2  # seconds


def test_work_in_the_loop_is_a_pause(tmp_path: Path) -> None:
    assert _longest(tmp_path, _work) >= _LONG


def test_a_thread_that_holds_the_interpreter_makes_a_pause(tmp_path: Path) -> None:
    """A regular expression holds the interpreter lock until it ends."""

    async def stop() -> None:
        await asyncio.to_thread(_backtrack)

    assert _longest(tmp_path, stop) >= 0.05


def test_waiting_takes_no_processor_and_is_no_pause(tmp_path: Path) -> None:
    """The loop waits like this when other processes have the cores, or when a disk is slow."""

    def wait() -> None:
        select.select([], [], [], _LONG)

    assert _longest(tmp_path, wait) < _LONG / 2


def test_a_full_collection_of_garbage_is_told_and_is_no_pause(tmp_path: Path) -> None:
    def collect() -> None:
        began = time.process_time()
        while time.process_time() - began < _LONG:
            gc.collect()

    assert _longest(tmp_path, collect) < _LONG / 2


def _work() -> None:
    began = time.process_time()
    while time.process_time() - began < _LONG:
        pass


def _backtrack() -> None:
    length, began = 18, time.process_time()
    while time.process_time() - began < _LONG:
        re.fullmatch("(a|aa)*b", "a" * length)
        length += 1


def _longest(folder: Path, stop: Callable[[], Any]) -> float:
    """Return the longest pause that a meter measures in a loop in which `stop` runs."""
    path = folder / "readings.jsonl"
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    async def measured() -> None:
        await asyncio.sleep(0)  # let the meter begin
        if asyncio.iscoroutinefunction(stop):
            await stop()
        else:
            stop()
        signal.raise_signal(signal.SIGUSR1)
        while not path.stat().st_size:
            await asyncio.sleep(0.01)

    with asyncio.Runner() as runner:
        meter = Meter(file)
        meter.start(runner.get_loop())
        runner.run(measured())
    gc.callbacks.remove(meter.collection)
    os.close(file)
    return max((one["pause"] for one in json.loads(path.read_text())["pauses"]), default=0.0)
