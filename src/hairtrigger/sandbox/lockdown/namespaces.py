"""Gives a sandbox worker namespaces without a network interface, and an empty read-only folder as its root."""

import os
from contextlib import suppress
from pathlib import Path

from hairtrigger.sandbox.lockdown.libc import call

_NAMESPACES = {"net": 0x4000_0000, "mount": 0x0002_0000, "ipc": 0x0800_0000, "uts": 0x0400_0000}
_USER = 0x1000_0000
_RECURSIVE, _PRIVATE = 0x4000, 0x4_0000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8
_DETACH = 2
NOBODY = 65534


def separate() -> tuple[str, ...]:
    """Give new namespaces to this thread and the threads that it starts, and return the kinds of the namespaces, such
    as `net`.

    Return no kinds, and change nothing, if the process lacks the privilege.
    """
    return _had(0, "")


def separate_as_a_user() -> tuple[str, ...]:
    """Do as `separate` does, but without privileges, by means of a new user namespace, which counts as one more kind.

    Return no kinds if the system gives no namespaces to ordinary users. The process must have only one thread.
    """
    uid, gid = os.getuid(), os.getgid()
    if names := _had(_USER, "user"):
        with suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    return names


def _had(flag: int, name: str) -> tuple[str, ...]:
    try:
        call("unshare", sum(_NAMESPACES.values()) | flag)
    except OSError:
        return ()
    return (*_NAMESPACES, *filter(None, [name]))


def empty_the_root() -> bool:
    """Make an empty folder the root, and return whether that worked. The thread must have its own mount namespace."""
    place = os.fsencode(Path(__file__).parent)  # any folder that exists
    try:
        call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
        call("mount", b"none", place, b"tmpfs", _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC, b"mode=555")
        os.chdir(place)
        call("pivot_root", b".", b".")
        call("umount2", b".", _DETACH)
        os.chdir("/")
    except OSError:
        return False
    return True
