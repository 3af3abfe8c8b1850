"""Forbids files, TCP, abstract sockets and signals to other processes with Landlock, as far as the kernel supports it.

https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
from typing import ClassVar

from hairtrigger.sandbox.lockdown.libc import call

_TELL_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # version: the number of access rights, from that version on
_BIND_AND_CONNECT_TCP = 0b11  # from version 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from version 6
_SIZES = {1: 8, 4: 16, 6: 24}  # version: bytes of the ruleset's attributes, from that version on


class _Ruleset(ctypes.Structure):
    _fields_: ClassVar = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


def version() -> int:
    """Return the version of the kernel's Landlock. Raises `OSError` if the kernel has none."""
    return call("landlock_create_ruleset", None, 0, _TELL_VERSION)


def allow_nothing() -> int:
    """Forbid this thread, and the threads that it starts, everything that Landlock can forbid, for good.

    Return the version of Landlock. `gain_no_privileges` must be called first. Raises `OSError` if the kernel refuses.
    """
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
