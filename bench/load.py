"""A closed-loop load generator: each connection sends its next request when the last one is answered.

It is a process of its own (`python -m bench.load`), lean enough to be much faster than the service that it measures;
`busy` says how much of a core it used. The generator waits for the answer to every request that it sent, so its counts
can be compared with the number of stored events.
"""

import asyncio
import itertools
import json
import re
import secrets
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import cast
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 10  # seconds for the last answers


@dataclass(frozen=True)
class Load:
    """The requests to send: the same POST from every connection, each time with an `Idempotency-Key` of its own."""

    url: str
    headers: Mapping[str, str]
    body: str
    connections: int
    seconds: float
    warm_up: float


@dataclass(frozen=True)
class Measured:
    """The result. Rate and latencies are of the seconds after the warm-up; the counts are of every request."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    accepted: int
    """Answers with 2xx."""
    refused: int
    busy: float
    """The share of one core that the generator used."""
    unanswered: int = 0
    """The most requests that may have been cut off without an answer."""


def put(load: Load) -> Measured:
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def put_by_wrk(load: Load) -> Measured:
    """Send the load with https://github.com/wg/wrk, which cuts off the requests that are under way at its end."""
    script = Path(__file__).with_name("wrk.lua")
    fixed = [argument for header in load.headers.items() for argument in ("--header", ": ".join(header))]
    results = []
    for seconds in (load.warm_up, load.seconds):
        command = ["wrk", "--threads=1", f"--connections={load.connections}", f"--duration={round(seconds)}s", *fixed]
        arguments = [f"--script={script}", load.url, "--", secrets.token_hex(8), load.body]
        done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    warm_up, measured = results
    return Measured(
        requests_per_second=measured["requests"] / measured["seconds"],
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        accepted=warm_up["accepted"] + measured["accepted"],
        refused=warm_up["refused"] + measured["refused"],
        busy=measured["cpu_seconds"] / measured["seconds"],
        unanswered=2 * load.connections,
    )


@dataclass
class _Run:
    requests: Iterator[bytes]
    connections: int
    measure_from: float
    until: float
    accepted: int = 0
    refused: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str = ""

    def answered(self, sent: float, *, accepted: bool) -> None:
        now = time.perf_counter()
        if self.measure_from <= sent and now <= self.until:
            self.latencies.append(now - sent)
        self.accepted += accepted
        self.refused += not accepted

    def ended(self, failure: str = "") -> None:
        self.connections -= 1
        self.failure = self.failure or failure
        if self.failure or not self.connections:
            self.finished.set()


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._sent = 0.0
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        self._run.answered(self._sent, accepted=self._received[9:10] == b"2")
        self._received = b""
        self._waiting = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.ended(f"The server hung up. {exc or ''}" if self._waiting else "")

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._sent >= self._run.until:
            self._transport.close()
            return
        self._waiting = True
        self._transport.write(next(self._run.requests))


def _is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    length = _LENGTH.search(answer)
    return end >= 0 and length is not None and len(answer) >= end + 4 + int(length[1])


def _requests(load: Load) -> Iterator[bytes]:
    """Return the requests. Only the number in the key differs, and it always has as many digits."""
    url = urlsplit(load.url)
    body = load.body.encode()
    fields = {"Host": url.netloc, **load.headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    before = f"POST {url.path} HTTP/1.1\r\n{lines}Idempotency-Key: {secrets.token_hex(8)}-".encode()
    after = b"\r\n\r\n" + body
    return (b"%b%012d%b" % (before, number, after) for number in itertools.count())


async def _put(load: Load) -> Measured:
    url = urlsplit(load.url)
    assert url.hostname
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + load.warm_up
    run = _Run(_requests(load), load.connections, begin, begin + load.seconds)
    used = time.process_time()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Connection(run), url.hostname, url.port or 80)
    async with asyncio.timeout(load.warm_up + load.seconds + _PATIENCE):
        await run.finished.wait()
    if run.failure:
        sys.exit(run.failure)
    percentiles = quantiles(run.latencies, n=100)
    return Measured(
        requests_per_second=len(run.latencies) / load.seconds,
        p50_ms=percentiles[49] * 1000,
        p99_ms=percentiles[98] * 1000,
        accepted=run.accepted,
        refused=run.refused,
        busy=(time.process_time() - used) / (load.warm_up + load.seconds),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_put(Load(**json.load(sys.stdin)))))))
