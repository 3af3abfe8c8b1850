"""Keeps the machine code of the guest between starts of the service, because compiling it takes seconds."""

import hashlib
import os
import platform
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from hairtrigger import sandbox as package
from hairtrigger.sandbox.service.sandbox import Sandbox

log = structlog.get_logger()

_DIGEST_BYTES = 32
_CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class GuestCache:
    """A folder that keeps the machine code of the guest, which this version of the service compiled on this kind of
    machine.

    Machine code is run as it is. So the code is taken only from a file and a folder that no other user can change.
    """

    folder: Path
    compile: Callable[[], Awaitable[bytes]] = Sandbox.compiled

    async def compiled(self) -> bytes:
        """Return the machine code of the guest. It is read from the folder or, if the folder does not have it, compiled
        now and then kept there.

        A folder that can't be used costs nothing but the time to compile. Raises `NotStarted` if the guest can't be
        compiled.
        """
        file = self.folder / f"guest-{_identity()}.bin"
        kept = self._kept(file)
        if kept is not None:
            return kept
        code = await self.compile()
        try:
            self._keep(file, code)
        except OSError as error:
            log.info("the compiled sandbox is not kept, so each start compiles it", reason=str(error))
        return code

    def _kept(self, file: Path) -> bytes | None:
        try:
            descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as opened:
            if not (_is_ours(os.fstat(descriptor)) and _is_ours(self.folder.stat())):
                return None
            digest, code = opened.read(_DIGEST_BYTES), opened.read()
        return code if hashlib.sha256(code).digest() == digest else None

    def _keep(self, file: Path, code: bytes) -> None:
        """Write the code to the file so that each reader finds a whole file, and remove the files of other versions.
        Raises `OSError`.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.folder / f"new-{os.getpid()}"
        try:
            new.write_bytes(hashlib.sha256(code).digest() + code)
            new.chmod(0o600)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
        for other in self.folder.glob("guest-*.bin"):
            if other != file:
                other.unlink(missing_ok=True)


def _is_ours(found: os.stat_result) -> bool:
    """Return whether this process's user owns the file or folder, and is the only user that may change it. Return true
    where files have no owners, as on Windows.
    """
    if not hasattr(os, "geteuid"):
        return True
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _identity() -> str:
    """Return a digest of everything on which the machine code depends, as 32 characters for the name of a file."""
    digest = hashlib.sha256()
    for part in _parts():
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()[:32]


def _parts() -> Iterator[bytes]:
    folder = Path(package.__file__).parent
    for file in sorted([folder / "guest.wasm", *folder.glob("prelude/*.js"), *folder.glob("worker/*.py")]):
        yield file.name.encode()
        yield file.read_bytes()
    yield from (text.encode() for text in (version("wasmtime"), sys.version, platform.machine()))
    with suppress(OSError):
        yield from (line for line in _CPU.read_bytes().splitlines()[:50] if line.startswith((b"flags", b"Features")))
