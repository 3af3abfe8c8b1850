"""Raises the walls around a sandbox worker, which limit what its process may do if guest code leaves WebAssembly.

The walls are raised in two steps. `enclose` is called before the first thread starts and before the guest's code is
loaded, because most of its walls hold only for the calling thread and for the threads that it starts. `complete` is
called when everything is loaded, and before any code or data of a user comes. From then on, the process can open no
file and load no code. Each wall is raised as far as the machine allows. `Walls.missing` says why users' code may not
run behind them, or is None if it may.
"""

import os
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from hairtrigger.sandbox.protocol.walls import Walls

if sys.platform == "linux":
    from hairtrigger.sandbox.lockdown import landlock, limits, namespaces, privileges, seccomp, self_test

_STANDARD = (0, 1, 2)
_MOST_DESCRIPTORS = 1 << 20


def enclose(descriptors: Collection[int]) -> Walls:
    """Raise the first walls, and return a report on those that could be raised.

    Close all descriptors but the given ones, and put the standard streams on /dev/null. Outside Linux, do only that.
    """
    if sys.platform != "linux":
        _close_all_but(descriptors)
        return Walls()
    alone = len([*Path("/proc/self/task").glob("*")]) <= 1  # without /proc the list is empty
    _close_all_but(descriptors)
    names = namespaces.separate()
    emptied = bool(names) and namespaces.empty_the_root()
    privileges.bound_capabilities()
    privileges.become_nobody()
    uid = os.getuid()
    if not names and alone and (names := namespaces.separate_as_a_user()):
        emptied = namespaces.empty_the_root()
    for wall in (
        privileges.drop_capabilities,
        privileges.gain_no_privileges,
        privileges.hide_memory,
        privileges.end_with_parent,
    ):
        _done(wall)
    # Landlock would not hold threads that exist already, and they could undo what they share with this thread.
    version = landlock.version() if alone and _done(landlock.allow_nothing) else 0
    return Walls(uid=uid, namespaces=names, empty_root=emptied, landlock=version)


def complete(walls: Walls) -> Walls:
    """Raise the last walls, which hold for every thread of the process, and test all walls.

    `walls` is the report that `enclose` returned. Return this report with the last walls and the result of the test.
    Outside Linux, return it unchanged.
    """
    if sys.platform != "linux":
        return walls
    done = replace(
        walls,
        limits=_done(limits.limit_resources),
        no_executable_memory=_done(privileges.gain_no_executable_memory),
        seccomp=_done(seccomp.filter_system_calls),
    )
    return replace(done, holes=self_test.holes(), tested=True)


def _done(wall: Callable[[], object]) -> bool:
    try:
        wall()
    except OSError:
        return False
    return True


def _close_all_but(descriptors: Collection[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in _STANDARD:
        os.dup2(nothing, standard)
    kept = sorted({*_STANDARD, *descriptors})
    for below, above in zip(kept, [*kept[1:], _MOST_DESCRIPTORS], strict=True):
        os.closerange(below + 1, above)
