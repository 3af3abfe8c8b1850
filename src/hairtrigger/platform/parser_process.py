"""Parse bytes from strangers in a process of their own. This module is the program of such a process.

The process itself never interprets those bytes. It forks for each parse, and the fork parses. So each parse begins with
the same clean memory, and is limited and ended by itself. It leaves nothing in the memory of the next parse, which may
be one of another organisation.
"""

import ctypes
import encodings
import gc
import importlib
import json
import math
import os
import pkgutil
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import IntEnum
from importlib.machinery import BuiltinImporter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pydantic_core import to_json

from hairtrigger.domain.errors import HairtriggerError

Read = Callable[..., Iterable[Any]]

REQUEST = struct.Struct(">II")  # the lengths of a head of JSON and of the bytes to parse
ANSWER = struct.Struct(">BId")  # the ending, the length of the output, seconds of CPU time
READY = b"+"

_AT_ONCE = 256 * 1024
_NOBODY = 65534
_DEATH_SIGNAL = 1
_OUT = 3
_MOST_DESCRIPTORS = 1 << 20
_MORE_CPU = 1  # seconds after the timer, in case the parse has switched the timer off
_LAST_WORDS = 500
_NICENESS = 5


class Ending(IntEnum):
    """The way in which a parse ended. The fork itself reports those below `CPU`, as its exit code."""

    DONE = 0
    REFUSED = 1
    MEMORY = 2
    BROKEN = 3
    CPU = 4
    WALL = 5
    RESULT = 6
    CRASHED = 7


class Limits(NamedTuple):
    """The limits of one parse, in seconds and in bytes."""

    cpu: float = 50  # seconds
    wall: float = 55  # seconds
    memory: int = 512 * 1024 * 1024  # bytes, in addition to the memory that the process had before
    result: int = 64 * 1024 * 1024  # bytes of JSON


DEFAULT_LIMITS = Limits()


class Job(NamedTuple):
    parser: str  # "module:function"
    hints: dict[str, str]
    data: bytes


class Answer(NamedTuple):
    ending: Ending
    said: bytes
    cpu: float


_ENDED_BY: Mapping[int, Ending] = {signal.SIGPROF: Ending.CPU, signal.SIGXCPU: Ending.CPU, signal.SIGALRM: Ending.WALL}


def main(descriptor: int, limits: Limits) -> None:
    """Carry out the parses that are asked for over the socket with this descriptor, until its other end is closed."""
    _end_at_limits()
    _die_with_parent()
    _load_what_is_loaded_late()
    connection = socket.socket(fileno=descriptor)
    requests = connection.makefile("rb")
    connection.sendall(READY)
    with suppress(ConnectionError):
        while head := requests.read(REQUEST.size):
            length, size = REQUEST.unpack(head)
            told = json.loads(requests.read(length))
            job = Job(told["parser"], told["hints"], requests.read(size))
            ending, said, cpu = _answer(job, limits)
            connection.sendall(ANSWER.pack(ending, len(said), cpu) + said)


def _load_what_is_loaded_late() -> None:
    """Import the modules that Python imports late, because a parse may not open files and so can't import them."""
    to_json({"": None})
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(ImportError):  # some modules belong to another operating system
            importlib.import_module(f"encodings.{module.name}")


def _end_at_limits() -> None:
    """Let the signals that tell that a limit is reached end this process, even if its parent ignored them."""
    for ending in _ENDED_BY:
        signal.signal(ending, signal.SIG_DFL)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies.

    On other systems, the closed socket or the limits of the parse end it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _answer(job: Job, limits: Limits) -> Answer:
    read = _function(job.parser)
    ours, theirs = os.pipe()
    own_id = os.getpid()
    child = os.fork()
    if child == 0:
        _parse(read, job, theirs, limits, own_id)
    os.close(theirs)
    said = _all_of(ours, limits.result)
    os.close(ours)
    if said is None:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    ending = Ending.RESULT if said is None else _ending(status)
    return Answer(ending, said if said and ending <= Ending.BROKEN else b"", used.ru_utime + used.ru_stime)


def _function(name: str) -> Read:
    """Return the function with this name, "module:function".

    The module is imported before the fork, so that it is imported only once.
    """
    module, _, function = name.partition(":")
    if module not in sys.modules:
        importlib.import_module(module)
        gc.collect()
        gc.freeze()  # so that a collection in the fork does not copy the memory that was there before
    found: Read = getattr(sys.modules[module], function)
    return found


def _all_of(pipe: int, most: int) -> bytes | None:
    """Return all bytes up to the end of the pipe, or None as soon as there are more than `most`."""
    said = bytearray()
    while part := os.read(pipe, _AT_ONCE):
        said += part
        if len(said) > most:
            return None
    return bytes(said)


def _ending(status: int) -> Ending:
    if os.WIFSIGNALED(status):
        return _ENDED_BY.get(os.WTERMSIG(status), Ending.CRASHED)
    code = os.WEXITSTATUS(status)
    return Ending(code) if code <= Ending.BROKEN else Ending.CRASHED


def _parse(read: Read, job: Job, out: int, limits: Limits, parent: int) -> NoReturn:
    """Parse in this process, which is the fork, and end the process with the `Ending` as its exit code."""
    ending = Ending.CRASHED
    try:
        _enclose(out, limits)
        _die_with_parent()
        if os.getppid() == parent:
            ending = _say(read, job)
    finally:
        os._exit(ending)


def _enclose(out: int, limits: Limits) -> None:
    """Take away from this process what a parse does not need: files, network, new processes and imports.

    Set the limits of the process, too. The timers start here, and their signals may end the process from here on.
    """
    sys.meta_path[:] = [BuiltinImporter]  # others would raise a file system error for an unknown module
    resources = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CPU: math.ceil(limits.cpu) + _MORE_CPU,
        resource.RLIMIT_NOFILE: 0,
    }
    if sys.platform == "linux":
        pages, *_ = Path("/proc/self/statm").read_text().split()
        resources[resource.RLIMIT_AS] = int(pages) * resource.getpagesize() + limits.memory
    os.nice(_NICENESS)  # the service has priority
    os.dup2(1, 0)  # /dev/null
    os.dup2(1, 2)
    os.dup2(out, 3)
    os.closerange(4, _MOST_DESCRIPTORS)
    if os.geteuid() == 0:
        with suppress(OSError):  # the root user of a container may lack the right
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
    for limit, most in resources.items():
        _, hard = resource.getrlimit(limit)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))
    signal.setitimer(signal.ITIMER_PROF, limits.cpu)
    signal.setitimer(signal.ITIMER_REAL, limits.wall)


def _say(read: Read, job: Job) -> Ending:
    """Write each record as a line of JSON, and return how the parse ended.

    After an error other than `MemoryError`, the last line is the error's message.
    """
    with open(_OUT, "wb", closefd=False) as out:
        try:
            out.writelines(to_json(record) + b"\n" for record in read(job.data, **job.hints))
        except HairtriggerError as error:
            out.write(to_json(error.message[:_LAST_WORDS]))
            return Ending.REFUSED
        except MemoryError:
            return Ending.MEMORY
        except Exception as error:  # noqa: BLE001 bytes from strangers may cause any error
            out.write(to_json(f"{type(error).__name__}: {error!s:.{_LAST_WORDS}}"))
            return Ending.BROKEN
    return Ending.DONE
