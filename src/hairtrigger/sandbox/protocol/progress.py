"""Shares the progress of a sandbox worker with the service, in a few bytes of a file.

The service reads these bytes to see whether a sandbox worker that sends nothing still makes progress.
"""

import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_PARTS = struct.Struct("=II")
_WRAP = 1 << 32


class Progress(NamedTuple):
    """The number of the poll whose guest runs now, or 0 if none runs, and the number of slices that the sandbox worker
    has begun.
    """

    poll: int = 0
    slices: int = 0


class ProgressFile:
    """The file with the progress of a sandbox worker, as the service reads it.

    The service reads the file and does not map it, because a sandbox worker that shortened a mapped file would crash
    the service.
    """

    def __init__(self) -> None:
        self.descriptor = unnamed_file()
        os.truncate(self.descriptor, _PARTS.size)

    def read(self) -> Progress:
        return Progress(*_PARTS.unpack(os.pread(self.descriptor, _PARTS.size, 0).ljust(_PARTS.size, b"\0")))

    def close(self) -> None:
        os.close(self.descriptor)


class ProgressMemory:
    """The file with the progress of a sandbox worker, as that worker writes it. The descriptor is not needed after this
    object was made.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _PARTS.size)
        self._slices = 0

    @contextmanager
    def entering(self, poll: int) -> Iterator[None]:
        self._slices = (self._slices + 1) % _WRAP
        _PARTS.pack_into(self._memory, 0, poll, self._slices)
        try:
            yield
        finally:
            _PARTS.pack_into(self._memory, 0, 0, self._slices)


def unnamed_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("worker")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
