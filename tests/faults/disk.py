"""A disk that can be full."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.database import Impossible, program

_MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """Raises `Impossible` where we may not mount one."""
    if os.geteuid() != 0:
        raise Impossible("only root may mount a small disk")
    with tempfile.TemporaryDirectory(prefix="hairtrigger-disk-") as made:
        command = [program("mount"), "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=711", "tmpfs", made]
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        if mounted.returncode:
            raise Impossible(f"a small disk can't be mounted: {mounted.stderr.strip()}")
        try:
            yield Path(made)
        finally:
            subprocess.run([program("umount"), "--lazy", made], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Full while the body runs."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * _MEBIBYTE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        yield
    finally:
        ballast.unlink()
