"""Senders of requests: each repeats its number until it is acknowledged, whatever happens meanwhile."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tests.faults.ledger import Ledger

_PATIENCE = 10  # seconds for an answer
_PAUSE = 0.05  # seconds before a request is sent again


class Place(Protocol):
    @property
    def port(self) -> int: ...


@dataclass
class Senders:
    """Senders on `count` connections, each to one of the places, or to the next place if that does not answer."""

    ledger: Ledger
    places: Sequence[Place]
    trigger: str
    secret: str
    count: int
    per_second: float
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _stopped: bool = False

    async def run(self) -> None:
        """Send until stopped, and then until all requests under way are acknowledged."""
        async with asyncio.TaskGroup() as tasks:
            for place in range(self.count):
                tasks.create_task(self._send(place))

    def stop(self) -> None:
        self._stopped = True

    async def _send(self, place: int) -> None:
        connection = None
        due = time.monotonic()
        while not self._stopped:
            number = next(self._numbers)
            sent = time.monotonic()
            while True:
                try:
                    connection = connection or await _connected(self.places[place % len(self.places)].port)
                    sent = time.monotonic()
                    status = await connection.post(self._request(number))
                except (OSError, EOFError, TimeoutError, ValueError) as error:
                    self.ledger.refused[type(error).__name__] += 1
                    if connection:
                        connection.close()
                    connection, place = None, place + 1
                else:
                    if status == 200:
                        break
                    self.ledger.refused[str(status)] += 1
                await asyncio.sleep(_PAUSE)
            self.ledger.acknowledge((self.trigger, _key(number)), sent, time.monotonic())
            due = max(due + self.count / self.per_second, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection:
            connection.close()

    def _request(self, number: int) -> bytes:
        body = b'{"number": %d}' % number
        head = (
            f"POST /v1/webhooks/{self.trigger} HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
            f"X-Webhook-Secret: {self.secret}\r\nIdempotency-Key: {_key(number)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _key(number: int) -> str:
    return f"number-{number}"


@dataclass(frozen=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, request: bytes) -> int:
        """Send a request, and return the status of the answer. An answer that is cut off raises an error."""
        async with asyncio.timeout(_PATIENCE):
            self.writer.write(request)
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            _, _, after = head.partition(b"\r\ncontent-length:")
            await self.reader.readexactly(int(after.split(b"\r\n")[0]))
        return int(head.split()[1])

    def close(self) -> None:
        with suppress(OSError):
            self.writer.close()


async def _connected(port: int) -> _Connection:
    async with asyncio.timeout(_PATIENCE):
        return _Connection(*await asyncio.open_connection("127.0.0.1", port))
