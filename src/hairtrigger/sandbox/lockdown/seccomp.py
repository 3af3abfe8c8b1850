"""Restricts a locked sandbox worker to a list of system calls. All others are refused with EPERM.

A call with the numbers of another architecture ends the process. The filter is a program in classic BPF, as
`seccomp(2)` takes it. It is written here so that libseccomp is not needed.
"""

import ctypes
import errno
import mmap
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from hairtrigger.sandbox.lockdown.libc import NUMBERS, Architecture, architecture, call

# Python and wasmtime need these: for the socket, memory, clocks, locks, random bytes, and the signals of guests' traps.
ALLOWED = (
    *("futex", "clock_gettime", "recvfrom", "sendto", "select", "pselect6", "poll", "ppoll", "clock_nanosleep"),
    *("munmap", "madvise", "mremap", "brk", "getrandom", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("rt_sigaction", "read", "write", "close", "nanosleep", "restart_syscall", "gettimeofday", "clock_getres"),
    *("getrusage", "getpid", "gettid", "sched_yield", "exit", "exit_group"),
)
NEVER_EXECUTABLE = ("mmap", "mprotect")  # allowed without PROT_EXEC

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in struct seccomp_data; the last is the low half of the third argument.
_NUMBER, _ARCHITECTURE, _PROTECTION = 0, 4, 32
_ALLOW, _KILL, _REFUSE = 0x7FFF_0000, 0x8000_0000, 0x0005_0000 | errno.EPERM
_SET_MODE_FILTER, _ALL_THREADS = 1, 1


class Step(NamedTuple):
    """One instruction of the filter, with the fields of `struct sock_filter`."""

    code: int
    if_true: int
    if_false: int
    value: int


class _Filter(ctypes.Structure):
    _fields_: ClassVar = [
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_Filter))]


def program(machine: Architecture) -> list[Step]:
    return [*_steps(machine)]


def _steps(machine: Architecture) -> Iterator[Step]:
    yield Step(_LOAD, 0, 0, _ARCHITECTURE)
    yield Step(_EQUAL, 1, 0, machine.audit)
    yield Step(_RETURN, 0, 0, _KILL)
    yield Step(_LOAD, 0, 0, _NUMBER)
    if machine.foreign is not None:
        yield Step(_AT_LEAST, 0, 1, machine.foreign)
        yield Step(_RETURN, 0, 0, _KILL)
    for name in ALLOWED:
        if (number := NUMBERS[name][machine.column]) is not None:
            yield Step(_EQUAL, 0, 1, number)
            yield Step(_RETURN, 0, 0, _ALLOW)
    for name in NEVER_EXECUTABLE:
        yield Step(_EQUAL, 0, 4, NUMBERS[name][machine.column] or 0)
        yield Step(_LOAD, 0, 0, _PROTECTION)
        yield Step(_ANY_BIT, 1, 0, mmap.PROT_EXEC)
        yield Step(_RETURN, 0, 0, _ALLOW)
        yield Step(_RETURN, 0, 0, _REFUSE)
    yield Step(_RETURN, 0, 0, _REFUSE)


def filter_system_calls() -> None:
    """Install the filter in every thread of this process, for good. Raises `OSError` if the kernel refuses.

    `gain_no_privileges` must be called first.
    """
    steps = program(architecture())
    filters = (_Filter * len(steps))(*(_Filter(*step) for step in steps))
    call("seccomp", _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(_Program(len(steps), filters)))
