"""A disk that can be full, and a quota that can be reached."""

import errno
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.database import Impossible, program

_MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """Mount a small disk while the body runs, and yield its path. Raise `Impossible` if we may not mount one."""
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
    """Keep the disk full while the body runs."""
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


@contextmanager
def ballast(disk: Path) -> Iterator[Callable[[float], None]]:
    """Yield a function that fills the disk until this share of it is used. The disk is as before after the body."""
    file = disk / "ballast"

    def fill(share: float) -> None:
        found = os.statvfs(disk)
        wanted = int(share * found.f_blocks) - (found.f_blocks - found.f_bfree)
        with file.open("ab", buffering=0) as opened:
            for _ in range(max(0, wanted * found.f_frsize // _MEBIBYTE)):
                opened.write(bytes(_MEBIBYTE))

    try:
        yield fill
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def limited(pids: Sequence[int]) -> Iterator[None]:
    """Let no file of these processes, and of those they start, grow while the body runs."""
    _limit(pids, 0)
    try:
        yield
    finally:
        _limit(pids, None)


def must_be_limitable(pid: int) -> None:
    """Raise `Impossible` if we may not limit this process of another user."""
    try:
        _limit([pid], None)
    except PermissionError as error:
        raise Impossible("this root may not limit another user's processes; an ordinary user may his own") from error


def _limit(pids: Sequence[int], limit: int | None) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if limit is None else limit, most))
