"""Measure the file system that holds a directory."""

import os
from pathlib import Path


def used_share(directory: Path) -> float:
    """Return the used share of the file system, from 0 to 1, as `df` computes it.

    Blocks that only root may use count neither as used nor as free.
    """
    found = os.statvfs(directory)
    used = found.f_blocks - found.f_bfree
    return used / (used + found.f_bavail) if used + found.f_bavail else 1.0


def size(directory: Path) -> int:
    """Return how many bytes the file system can hold in all. If the directory is missing, its nearest existing parent
    counts.
    """
    while not directory.exists():
        directory = directory.parent
    found = os.statvfs(directory)
    return found.f_blocks * found.f_frsize
