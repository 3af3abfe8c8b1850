"""Gives up the privileges of a sandbox worker."""

import ctypes
import os
import signal
from contextlib import suppress

from hairtrigger.sandbox.lockdown.libc import call
from hairtrigger.sandbox.lockdown.namespaces import NOBODY

_DEATH_SIGNAL, _DUMPABLE, _BOUNDING_DROP, _NO_NEW_PRIVILEGES, _NO_EXEC_GAIN = 1, 4, 24, 38, 65
_CAPABILITIES = 64
_CAPABILITIES_VERSION = 0x2008_0522


def become_nobody() -> None:
    """Become the user "nobody" in every thread, if this process runs as root and may change its user.

    Otherwise keep the user.
    """
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
        with suppress(OSError):
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)


def bound_capabilities() -> None:
    """Make sure, for good, that this thread and the threads that it starts get no capability by running a program.

    Only root may do that. For other users, do nothing.
    """
    for capability in range(_CAPABILITIES):
        with suppress(OSError):  # the kernel has no such capability, or this is not root
            _control(_BOUNDING_DROP, capability)


def drop_capabilities() -> None:
    """Drop all capabilities of this thread and of the threads that it starts, for good. Raises `OSError`."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def gain_no_privileges() -> None:
    """Make sure, for good, that this thread and the threads that it starts gain no privilege by running a program.

    This sets `no_new_privs`, which Landlock and seccomp need.
    """
    _control(_NO_NEW_PRIVILEGES, 1)


def hide_memory() -> None:
    """Keep this process's memory out of core files, and out of reach of other processes of the same user. Raises
    `OSError`.
    """
    _control(_DUMPABLE, 0)


def end_with_parent() -> None:
    """Have this process killed when the thread that started it ends, however that thread ends."""
    _control(_DEATH_SIGNAL, signal.SIGKILL)


def gain_no_executable_memory() -> None:
    """Forbid new executable memory in the whole process, for good. Raises `OSError` on kernels before 6.3."""
    _control(_NO_EXEC_GAIN, 1)


def _control(what: int, value: int) -> None:
    call("prctl", what, value, 0, 0, 0)
