"""Tests the walls. It tries, from inside them, to do what they must refuse."""

import errno
import mmap
import os
import signal
from collections.abc import Callable
from functools import partial

from hairtrigger.sandbox.lockdown.libc import call

_HERE = -100
_INTERNET, _STREAM = 2, 1
_PRIVATE_ANONYMOUS = 0x22
_PEEK = 2
_PAGE = 4096
_PARENT = os.getppid()  # read at import: the kernel does not tell it later
_REFUSED = (errno.EPERM, errno.EACCES)


def holes() -> tuple[str, ...]:
    """Try what the walls must refuse, and return the names of the attempts that were not refused. There are none if all
    walls hold.
    """
    return tuple(name for name, attempt in _ATTEMPTS.items() if not _refused(attempt))


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        return error.errno in _REFUSED
    return False


def _start_a_process() -> None:
    if call("clone", signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def _map_executable_memory() -> None:
    everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    call("mmap", 0, _PAGE, everything, _PRIVATE_ANONYMOUS, -1, 0)


def _make_memory_executable() -> None:
    page = call("mmap", 0, _PAGE, mmap.PROT_READ | mmap.PROT_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    call("mprotect", page, _PAGE, mmap.PROT_READ | mmap.PROT_EXEC)


# Each attempt does no harm if it is allowed.
_ATTEMPTS: dict[str, Callable[[], object]] = {
    "open a folder": partial(call, "openat", _HERE, b"/", 0, 0),
    "read /proc": partial(call, "openat", _HERE, b"/proc/self/status", 0, 0),
    "make a socket": partial(call, "socket", _INTERNET, _STREAM, 0),
    "connect": partial(call, "connect", -1, None, 0),
    "start a process": _start_a_process,
    "run a program": partial(call, "execve", b"", None, None),
    "map executable memory": _map_executable_memory,
    "make memory executable": _make_memory_executable,
    "read another process": partial(call, "ptrace", _PEEK, _PARENT, 0, 0),
    "signal another process": partial(call, "kill", _PARENT, 0),
}
