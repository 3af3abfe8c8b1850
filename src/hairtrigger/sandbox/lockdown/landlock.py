"""Landlock: no file, no TCP, no abstract socket and no signal out of the process, as far as the kernel has it.

https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
from typing import ClassVar

from hairtrigger.sandbox.lockdown.syscalls import call

_TELL_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # how many bits there are from which version on
_BIND_AND_CONNECT_TCP = 0b11  # from 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from 6
_SIZES = {1: 8, 4: 16, 6: 24}  # of the attributes


class _Ruleset(ctypes.Structure):
    _fields_: ClassVar = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


def version() -> int:
    """Raises OSError where the kernel has no Landlock."""
    return call("landlock_create_ruleset", None, 0, _TELL_VERSION)


def allow_nothing() -> int:
    """For this thread and those it starts, for good. Returns the version. Raises OSError. Needs no_new_privs."""
    abi = version()
    files = (1 << _newest(_FILE_RIGHTS, abi)) - 1
    ruleset = _Ruleset(files, _BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)
    descriptor = call("landlock_create_ruleset", ctypes.byref(ruleset), _newest(_SIZES, abi), 0)
    try:
        call("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)
    return abi


def _newest(since: dict[int, int], abi: int) -> int:
    return since[max(one for one in since if one <= abi)]
