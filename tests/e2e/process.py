"""The real service as a process of its own, started the way a user starts it."""

import asyncio
import atexit
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.support.speed import SPEED, settings
from tests.support.waiting import PATIENCE

_URL = re.compile(r"running at (http://\S+)")
_PROGRAM = ("-m", "hairtrigger")


@cache
def cache_folder() -> str:
    """Return the folder in which the services of all tests of this process keep their compiled code."""
    folder = tempfile.TemporaryDirectory(prefix="hairtrigger-cache-")
    atexit.register(folder.cleanup)
    return folder.name


class EndedEarly(Exception):
    """The service ended before it printed its address. The message has what it printed instead."""


@dataclass
class Service:
    """A service whose data lie in `folder`. `output` keeps what the service prints."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = _PROGRAM
    port: int = 0  # as the service says
    output: str = ""
    started_in: float = 0.0
    exit_code: int | None = None
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    async def start(self, *arguments: str) -> None:
        """Start the service, and return when it has printed its address."""
        before = time.monotonic()
        seen = len(self.output)
        await self.launch(*arguments)
        async with asyncio.timeout(PATIENCE):
            while not (found := _URL.search(self.output, seen)):
                if self.ended:
                    raise EndedEarly(
                        f"It ended with {self._process and self._process.returncode}:\n{self.output[-3000:]}"
                    )
                await asyncio.sleep(0.02)
        self.port = (
            await self._listening() if "HAIRTRIGGER_PUBLIC_URL" in self.environment else urlsplit(found[1]).port or 0
        )
        self.started_in = time.monotonic() - before

    async def _listening(self) -> int:
        """Return the port, which the address does not tell if it is that of a proxy."""
        async with asyncio.timeout(PATIENCE):
            while not (found := list((self.folder / "data").glob("**/command-line.json"))):
                await asyncio.sleep(0.02)
        return urlsplit(json.loads(found[0].read_text())["url"]).port or 0

    async def launch(self, *arguments: str) -> None:
        """Start the process, as the leader of a process group, and do not wait for anything."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *self.program),
            *("serve", "--port", str(self.port), *arguments),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "HAIRTRIGGER_DATA_DIR": str(self.folder / "data"),
                "HAIRTRIGGER_CACHE_DIR": cache_folder(),
                **settings(SPEED),
                **self.environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def kill(self) -> None:
        """Kill the process, as a power cut would. Its embedded database notices this and ends too."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Stop the service as an orchestrator would: the service finishes what is under way."""
        await self._end(signal.SIGTERM)

    def signal_group(self, how: signal.Signals) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        if not self.ended:
            os.killpg(self.pid, how)

    async def _end(self, how: signal.Signals) -> None:
        if self._process and not self.ended:
            self._process.send_signal(how)
        if self._process:
            self.exit_code = await self._process.wait()
        if self._reading:
            await self._reading

    async def wait(self) -> None:
        """Return when the process has ended, whatever the cause."""
        if self._process:
            self.exit_code = await self._process.wait()
        if self._reading:
            await self._reading

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login(self) -> tuple[str, str]:
        found = re.search(r"Log in\s+(\S+)\s+/\s+(\S+)", self.output)
        assert found, self.output
        return found[1], found[2]

    @property
    def api_key(self) -> str:
        found = re.search(r"API key\s+(\S+)", self.output)
        assert found, self.output
        return found[1]

    @property
    def curl(self) -> str:
        found = re.search(r"curl [^\n]*\\\n.*?http\S+", self.output, re.DOTALL)
        assert found, self.output
        return found[0]

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        with suppress(asyncio.IncompleteReadError):
            while line := await process.stdout.readline():
                self.output += line.decode(errors="replace")


class Client:
    """A client of the service, which shows the answer in the error if the status is not the expected one."""

    def __init__(self, service: Service, token: str | None = None, patience: float = PATIENCE) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._service = service
        self._http = httpx2.AsyncClient(headers=headers, trust_env=False, timeout=patience)

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
        answer = await self._http.request(method, f"{self._service.url}{path}", json=body, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        return await self._http.request(method, f"{self._service.url}{path}", json=body, **options)

    async def post_raw(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        return await self._http.post(f"{self._service.url}{path}", content=content, headers=headers)

    async def close(self) -> None:
        await self._http.aclose()
