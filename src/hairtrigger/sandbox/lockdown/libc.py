"""Makes system calls by number, because Python has no function for many of those that raise or test the walls.

The table also has the calls that the filter of `seccomp` allows. The numbers come from the kernel's
`arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`.
"""

import ctypes
import os
import platform
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A processor architecture, with its number in the kernel's `audit.h` and the place of its system calls in each
    value of `NUMBERS`.
    """

    audit: int
    column: int
    foreign: int | None = None  # numbers from here on belong to another ABI


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 0, foreign=0x4000_0000),  # x32
    "aarch64": Architecture(0xC00000B7, 1),
}

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # A sandbox worker needs these.
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pselect6": (270, 72),
    "read": (0, 63),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "select": (23, None),
    "sendto": (44, 206),
    "sigaltstack": (131, 132),
    "write": (1, 64),
    # These raise the walls.
    "capset": (126, 91),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "mount": (165, 40),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "umount2": (166, 39),
    "unshare": (272, 97),
    # The self-test tries these.
    "clone": (56, 220),
    "connect": (42, 203),
    "execve": (59, 221),
    "kill": (62, 129),
    "openat": (257, 56),
    "ptrace": (101, 117),
    "socket": (41, 198),
}


class Unsupported(OSError):
    """The walls can't be raised, because there is no table of system calls for this machine."""


def architecture() -> Architecture:
    machine = platform.machine()
    if machine not in ARCHITECTURES or struct.calcsize("P") != 8:
        raise Unsupported(f"The walls do not know the machine '{machine}'.")
    return ARCHITECTURES[machine]


def call(name: str, *arguments: object) -> int:
    """Make the system call with this name in `NUMBERS`, and return its result. Raises `OSError` if the call fails.

    Integers are passed as C longs, and other values as ctypes passes them.
    """
    number = NUMBERS[name][architecture().column]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    values = (ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *arguments))
    result = int(libc.syscall(*values))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return result
