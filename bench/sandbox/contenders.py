"""The engines that run the same polls: ours, and others in an environment that is made at the first run."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from bench.sandbox.cases import ANSWER_HEADERS, INPUTS, LAST_POLL_TIME, REQUEST, SECRETS, Case
from bench.sandbox.ours import Internet, Ours
from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS
from hairtrigger.sandbox.worker.environment import HOOKS, prelude

COMPETITORS = ("mini-racer", "deno", "quickjs-ng", "quickjs-ng, our environment")
PACKAGES = ("mini-racer==0.14.1", "deno==2.9.8", "quickjs-ng==0.17.0.2")
LONGEST_LINE = 64 * 1024 * 1024

# Our guest gets the same answer and limits.
_ANSWER = {"status": 200, "statusText": "OK", "url": REQUEST["url"], "redirected": False}
_GUEST_LIMITS = {
    "lines": DEFAULT_LIMITS.console_lines,
    "line": DEFAULT_LIMITS.console_line_chars,
    "results": DEFAULT_LIMITS.result_count,
}
_ENVIRONMENT = (
    Path(__file__)
    .with_name("environment.js")
    .read_text()
    .replace("/* the environment and the names of its hooks */", f"{prelude()}, {json.dumps(HOOKS)}")
)


@dataclass(frozen=True)
class Batch:
    """Polls one after the other, each with a context of its own, and their CPU seconds."""

    polls: int
    engine: float
    """CPU seconds of the processes that run JavaScript."""
    host: float | None
    """CPU seconds of the process that starts them and answers fetches, or None if both are one process."""
    fault: str = ""
    """The difference from the work that was expected; empty if there is none."""

    @property
    def ms_each(self) -> float:
        return 1000 * (self.engine + (self.host or 0)) / self.polls


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    async def batch(self, case: Case, polls: int) -> Batch: ...


@dataclass(frozen=True)
class OurContender:
    ours: Ours
    name: str = "ours"

    @property
    def about(self) -> str:
        missing = self.ours.sandbox.walls.missing
        locked = f"NOT locked in ({missing})" if missing else "locked in"
        return (
            f"QuickJS-NG in WebAssembly (wasmtime {metadata.version('wasmtime')}), fresh for each poll, in a "
            f"worker process that is {locked}; the whole environment; all limits"
        )

    async def batch(self, case: Case, polls: int) -> Batch:
        internet = Internet(case.body)
        returned: list[Any] = []
        before = self.ours.cost()
        for _ in range(polls):
            events = (await self.ours.run(case, internet)).value
            if events not in returned:
                returned.append(events)
        cost = self.ours.cost() - before
        return Batch(polls, cost.worker, cost.parent, fault(case, returned, internet.requests))


@dataclass(frozen=True)
class Competitor:
    """The program `competitor.py`, in the environment that has the engines."""

    name: str
    about: str
    _process: Process

    async def batch(self, case: Case, polls: int) -> Batch:
        answer = await self._answer(
            {
                "job": {"code": case.code, "inputs": INPUTS, "secrets": SECRETS, "lastPollTime": LAST_POLL_TIME}
                | {"limits": _GUEST_LIMITS},
                "head": json.dumps({**_ANSWER, "headers": ANSWER_HEADERS}),
                "body": case.body.decode(),
                "environment": _ENVIRONMENT,
                "polls": polls,
            }
        )
        own, children = answer["own"], answer["children"]
        engine, host = (children, own) if children else (own, None)
        return Batch(polls, engine, host, fault(case, answer["returned"], answer["requests"]))

    async def _answer(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"{self.name} ended.")
        answer: dict[str, Any] = json.loads(line)
        return answer


_BARE = (
    "nothing of the platform but a shim of 4 KB (fetch, Headers, Response, console); no worker around it, no limits set"
)
_ABOUT = {
    "mini-racer": f"V8 in the host's process, a fresh isolate for each poll; {_BARE}",
    "deno": "V8 in a process for each poll, with all classes of the platform; no permissions, no limits set; its "
    "network is a stub on standard input and output",
    "quickjs-ng": f"the C engine in the host's process, a fresh runtime for each poll; {_BARE}",
    "quickjs-ng, our environment": "the same with our environment in place of the shim, which every poll parses again",
}


@asynccontextmanager
async def competitor(name: str, environment: Path) -> AsyncIterator[Competitor]:
    process = await asyncio.create_subprocess_exec(
        *(str(environment / "bin" / "python"), "-I", str(Path(__file__).with_name("competitor.py"))),
        *(name, str(environment / "deno")),
        stdin=PIPE,
        stdout=PIPE,
        limit=LONGEST_LINE,
    )
    assert process.stdin
    assert process.stdout
    try:
        hello = await process.stdout.readline()
        if not hello:
            raise ChildProcessError(f"{name} did not start.")
        yield Competitor(name, f"{json.loads(hello)['version']}: {_ABOUT[name]}", process)
    finally:
        process.stdin.close()
        await process.wait()


def fault(case: Case, returned: Sequence[Any], requests: Sequence[Any]) -> str:
    """Return how the work of a contender differs from the expected work, or an empty text."""
    if list(returned) != [case.events]:
        return f"it returned {str(returned)[:200]}"
    wanted = [REQUEST] if case.fetches else []
    if len(requests) != len(wanted) or not all(map(_is_same, requests, wanted)):
        return f"it asked for {str(requests)[:200]}"
    return ""


def _is_same(request: Any, wanted: Any) -> bool:
    """Return whether a request is the expected one. It may have more headers, because hosts add some."""
    same = all(request[key] == wanted[key] for key in ("method", "url"))
    return same and all(header in request["headers"] for header in wanted["headers"])


class NoEnvironment(Exception):
    """The other engines could not be installed."""


def environment() -> Path:
    """Return the environment with the other engines. It is made once for each user, completely or not at all."""
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join([*PACKAGES, f"python {sys.version.split()[0]}"]))
    parent = Path(tempfile.gettempdir(), f"hairtrigger-bench-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.stat().st_uid != os.getuid():
        raise NoEnvironment(f"{parent} belongs to somebody else.")
    place = parent / name
    if place.exists():
        return place
    fresh = Path(tempfile.mkdtemp(dir=parent))
    try:
        _run(sys.executable, "-m", "venv", str(fresh))
        _run(str(fresh / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *PACKAGES)
        fresh.rename(place)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        if not place.exists():  # another process may have been first
            raise
    return place


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoEnvironment(f"{' '.join(command)}: {(done.stderr or done.stdout)[-1000:].strip()}")
