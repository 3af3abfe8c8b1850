"""An open-loop load generator: requests are sent at fixed times, whether earlier ones are answered or not.

Each request says in its body when it was due, so that the target of its event knows how long the delivery took. Without
a rate the generator is a closed loop: each of `connections` sends its next request when the last one is answered.
"""

import asyncio
import itertools
import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 10  # seconds for the last answers


@dataclass(frozen=True)
class Pace:
    """The requests to send. `note` fills the body to the length of a typical event."""

    url: str
    headers: Mapping[str, str]
    note: str
    seconds: float
    per_second: float | None = None
    connections: int = 64


@dataclass
class Paced:
    seconds: float = 0.0
    accepted: int = 0
    """Answers with 2xx."""
    refused: int = 0


def put(pace: Pace) -> Paced:
    command = [sys.executable, "-m", "bench.pace"]
    done = subprocess.run(command, input=json.dumps(asdict(pace)), stdout=subprocess.PIPE, text=True, check=True)
    return Paced(**json.loads(done.stdout))


@dataclass
class _Run:
    pace: Pace
    until: float = 0.0
    paced: Paced = field(default_factory=Paced)
    resting: "list[_Connection]" = field(default_factory=list)
    owed: int = 0
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        url = urlsplit(self.pace.url)
        self.host, self.port = url.hostname or "127.0.0.1", url.port or 80
        fields = {"Host": url.netloc, **self.pace.headers}
        self.head = f"POST {url.path or '/'} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items())

    def request(self, due: float) -> bytes:
        body = f'{{"sent":"{due:020.6f}","note":"{self.pace.note}"}}'
        key = f"Idempotency-Key: {self.key}-{next(self.numbers)}"
        return f"{self.head}{key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def answered(self, connection: "_Connection", *, accepted: bool) -> None:
        self.paced.accepted += accepted
        self.paced.refused += not accepted
        self.owed -= 1
        if self.pace.per_second is None and time.monotonic() < self.until:
            self.send(connection, time.monotonic())
            return
        self.resting.append(connection)
        if self.owed == 0 and time.monotonic() >= self.until:
            self.finished.set()

    def send(self, connection: "_Connection", due: float) -> None:
        self.owed += 1
        connection.ask(self.request(due))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def ask(self, request: bytes) -> None:
        self._transport.write(request)

    def connection_lost(self, _: Exception | None) -> None:
        if self in self._run.resting:  # servers close a connection that sends nothing for long
            self._run.resting.remove(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received)
        if end >= 0 and length and len(self._received) >= end + 4 + int(length[1]):
            accepted = self._received[9:10] == b"2"
            self._received = b""
            self._run.answered(self, accepted=accepted)


async def _put(pace: Pace) -> Paced:
    run = _Run(pace)
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Connection(run), run.host, run.port) for _ in range(pace.connections)]
    begin = time.monotonic()
    run.until = begin + pace.seconds
    if pace.per_second is None:
        for _, connection in made:
            run.send(connection, time.monotonic())
    else:
        run.resting = [connection for _, connection in made]
        for number in range(round(pace.seconds * pace.per_second)):
            due = begin + number / pace.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not run.resting:
                _, more = await loop.create_connection(lambda: _Connection(run), run.host, run.port)
                run.resting.append(more)
            run.send(run.resting.pop(), due)
        run.until = time.monotonic()
    async with asyncio.timeout(pace.seconds + _PATIENCE):
        if run.owed:
            await run.finished.wait()
    run.paced.seconds = time.monotonic() - begin
    return run.paced


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_put(Pace(**json.load(sys.stdin)))))))
