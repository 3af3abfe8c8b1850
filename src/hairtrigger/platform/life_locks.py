"""Prove, with locks on files, that another process of the same machine has died.

A process holds the lock of a file of its own for as long as it lives. The kernel releases the lock, whatever ends the
process, so a free lock proves a death. That holds only under one kernel, because two machines may share the file on a
network file system that does not share locks. Each lock therefore names the run of the kernel that it was made under.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_KERNEL = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class LifeLock:
    kernel: str
    file: str

    def remove(self) -> None:
        """Remove the file, after which no death can be proved with this lock any more."""
        with suppress(OSError):
            Path(self.file).unlink()


def this_kernel() -> str | None:
    """Return the id of this run of the kernel, or None if the system does not tell."""
    try:
        return _KERNEL.read_text().strip() or None
    except OSError:
        return None


@contextmanager
def held(file: Path) -> Iterator[LifeLock | None]:
    """Create the file, hold its lock until the block ends, and yield the lock.

    Yields None if the file exists, can't be locked, or the id of the kernel's run is unknown. The file is left at the
    end. Only its owner, or the process that proved the owner's death, removes it.
    """
    kernel = this_kernel()
    descriptor = _locked(file) if kernel else None
    if kernel is None or descriptor is None:
        yield None
        return
    try:
        yield LifeLock(kernel, str(file.absolute()))
    finally:
        os.close(descriptor)


def _locked(file: Path) -> int | None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def proof_of_death(lock: LifeLock) -> Iterator[bool]:
    """Yield whether the process that held this lock is certainly dead.

    If so, no other process gets the same proof while the block runs. A file that is missing or can't be opened proves
    nothing, because its path may mean another file in another container.
    """
    descriptor = None
    if lock.kernel == this_kernel():
        with suppress(OSError):
            descriptor = os.open(lock.file, os.O_RDWR | os.O_CLOEXEC)
    if descriptor is None:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            free = False
        else:
            free = True
        yield free
    finally:
        os.close(descriptor)
