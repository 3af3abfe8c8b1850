"""A PostgreSQL server that a test stops, kills, starts again, copies and promotes."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd
from typing import Literal

from hairtrigger.platform.postgres import _as, _prepared, _private, _server_user, embedded
from tests.support.waiting import PATIENCE

_NAME = "hairtrigger"


@dataclass
class Server:
    """A server on a socket in a directory of its own. The server trusts every user that may enter the directory."""

    cluster: Path
    binaries: Path
    user: struct_passwd
    settings: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"postgresql://{_NAME}@/{_NAME}?host={self.sockets}"

    def start(self) -> None:
        """Start the server, and return when it accepts connections, even if only for reading."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.sockets, self.user.pw_uid)
        patience = time.monotonic() + PATIENCE
        self._launch()
        while subprocess.call([self.binaries / "pg_isready", "-q", "-h", self.sockets]) != 0:
            assert time.monotonic() < patience, self._log.read_text()[-3000:]
            if self._process and self._process.poll() is not None:
                self._launch()  # children of a killed server still held its shared memory
            time.sleep(0.02)

    def _launch(self) -> None:
        command = [str(self.binaries / "postgres"), "-D", str(self.cluster), "-k", str(self.sockets), "-h", ""]
        options = [part for setting in self.settings for part in ("-c", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **_as(self.user)
            )

    @property
    def sockets(self) -> Path:
        return self.cluster.with_name(f"{self.cluster.name}.sockets")

    @property
    def _log(self) -> Path:
        return self.cluster.with_name(f"{self.cluster.name}.log")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        how = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        self._end(how)

    def kill(self) -> None:
        """Kill the postmaster at once. Its children notice by themselves; `start` waits until they have ended."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait()

    def standby(self) -> "Server":
        """Make a copy that follows this server."""
        copy = self.cluster.with_name(f"{self.cluster.name}-standby")
        self._run("pg_basebackup", "-h", self.sockets, "-U", _NAME, "-D", copy, "-R", "-c", "fast")
        return Server(copy, self.binaries, self.user, self.settings)

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "-D", self.cluster)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self.binaries / program, *arguments]
        subprocess.run(command, check=True, cwd="/", capture_output=True, **_as(self.user))


@asynccontextmanager
async def server(folder: Path, *settings: str) -> AsyncIterator[Server]:
    """Run a server with our database. The server's own user must be able to enter the folder."""
    async with embedded(folder / "postgres"):
        pass
    cluster = folder / "postgres" / "cluster"
    user = _server_user(cluster)
    with _private(folder / "postgres" / "lock") as lock:
        binaries = _prepared(cluster, None, user, lock)
    home = folder / "servers"  # the server's user may make more clusters here
    home.mkdir()
    if os.geteuid() == 0:
        shutil.chown(home, user.pw_uid)
    running = Server(cluster.rename(home / "cluster"), binaries, user, settings)
    running.start()
    try:
        yield running
    finally:
        running.stop("immediate")
