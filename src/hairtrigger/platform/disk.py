"""The file system under a directory."""

import os
from pathlib import Path


def used_share(directory: Path) -> float:
    """Return the used share of the file system, as `df` does: blocks that only root may use count as used."""
    found = os.statvfs(directory)
    used = found.f_blocks - found.f_bfree
    return used / (used + found.f_bavail) if used + found.f_bavail else 1.0


def size(directory: Path) -> int:
    """Return how many bytes the file system can hold. The directory need not exist yet."""
    while not directory.exists():
        directory = directory.parent
    found = os.statvfs(directory)
    return found.f_blocks * found.f_frsize
