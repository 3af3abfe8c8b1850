"""What a process is allowed because of who it is."""

import ctypes
import os
import signal
from contextlib import suppress

from hairtrigger.sandbox.lockdown.namespaces import NOBODY
from hairtrigger.sandbox.lockdown.syscalls import call

_DEATH_SIGNAL, _DUMPABLE, _BOUNDING_DROP, _NO_NEW_PRIVILEGES, _NO_EXEC_GAIN = 1, 4, 24, 38, 65
_CAPABILITIES = 64
_CAPABILITIES_VERSION = 0x2008_0522


def become_nobody() -> None:
    """If this is root and may. Of every thread."""
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
        with suppress(OSError):
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)


def bound_capabilities() -> None:
    """Of this thread and those it starts, for good: no program gives any. Only root may."""
    for capability in range(_CAPABILITIES):
        with suppress(OSError):  # there is no such one, or this is not root
            _control(_BOUNDING_DROP, capability)


def drop_capabilities() -> None:
    """Of this thread and those it starts, for good."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def gain_no_privileges() -> None:
    """By running a program. Of this thread and those it starts, for good."""
    _control(_NO_NEW_PRIVILEGES, 1)


def hide_memory() -> None:
    """From other processes of the same user, and from core files."""
    _control(_DUMPABLE, 0)


def end_with_parent() -> None:
    """With the thread that started this process, whatever the end of that is."""
    _control(_DEATH_SIGNAL, signal.SIGKILL)


def gain_no_executable_memory() -> None:
    """Of the whole process, for good. Raises OSError on kernels before 6.3."""
    _control(_NO_EXEC_GAIN, 1)


def _control(what: int, value: int) -> None:
    call("prctl", what, value, 0, 0, 0)
