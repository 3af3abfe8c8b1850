"""Parsers that misbehave as after hostile bytes or a fault of a library, for the processes of `platform/parsers`."""

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hairtrigger.domain.errors import ProviderFailed

_left: list[bytes] = []


def lines(data: bytes, **hints: str) -> Iterator[Any]:
    yield from (line.decode() for line in data.split(b"\n"))
    yield hints


def endless(data: bytes) -> Iterator[Any]:
    yield "a beginning"
    while True:
        pass


def asleep(data: bytes) -> Iterator[Any]:
    time.sleep(86_400)
    yield "too late"


def greedy(data: bytes) -> Iterator[Any]:
    """Ask for more memory than a parse may have, and use none of it."""
    yield len([bytearray(1 << 20) for _ in range(1 << 20)])


def talkative(data: bytes) -> Iterator[Any]:
    while True:
        yield "x" * 1000


def broken(data: bytes) -> Iterator[Any]:
    yield "a beginning"
    raise KeyError("x" * 10_000)


def deep(data: bytes) -> Iterator[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    yield nested


def refusing(data: bytes) -> Iterator[Any]:
    yield "a beginning"
    raise ProviderFailed("This is no feed.")


def no_text(data: bytes) -> Iterator[Any]:
    yield "\ud800"


def crashing(data: bytes) -> Iterator[Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    yield "still here"


def leaving(data: bytes) -> Iterator[Any]:
    """Leave something in memory, and count what earlier parses left there."""
    _left.append(data)
    yield len(_left)


def unlimited_and_endless(data: bytes) -> Iterator[Any]:
    """Remove the time limits and never end, as an attacker's code would."""
    _take_off_the_timers()
    yield from endless(data)


def unlimited_and_asleep(data: bytes) -> Iterator[Any]:
    _take_off_the_timers()
    yield from asleep(data)


def _take_off_the_timers() -> None:
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)


def surroundings(data: bytes) -> Iterator[Any]:
    """Try what an attacker's code might do to the system, and return the error of each attempt."""
    attempts = {
        "read a file": lambda: Path("/proc/self/status").read_bytes(),
        "write a file": lambda: Path("/tmp/hairtrigger-was-here").write_bytes(b"x"),
        "connect": socket.socket,
        "fork": os.fork,
        "run": lambda: os.spawnv(os.P_WAIT, "/bin/true", ["/bin/true"]),
        "allow more": _allow_more,
    }
    for what, attempt in attempts.items():
        try:
            attempt()
        except (OSError, ValueError) as error:
            yield [what, type(error).__name__]
        else:
            yield [what, "done"]
    yield ["environment", [name for name in os.environ if name != "LC_CTYPE"]]  # Python sets this one by itself
    yield ["descriptors", sorted(_open())]
    yield ["root", os.geteuid() == 0]


def _allow_more() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _open() -> Iterator[int]:
    for number in range(256):
        try:
            os.fstat(number)
        except OSError:
            continue
        yield number
