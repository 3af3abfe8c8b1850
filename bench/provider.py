"""A provider of feeds, one for each trigger: `/feed/{id}`. One answer in twenty has a new entry, the others are 304.

The provider knows when each trigger is due, so it can tell how late each poll is. `/figures` answers with the number
and the lateness of the polls since `/figures` was last requested.
"""

import asyncio
import json
import socket
import sys
import time
from array import array
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import uvloop

from hairtrigger.domain.rhythm import next_beat

EVERY = timedelta(minutes=1)
NEWS_IN = 20
_NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\netag: "0"\r\n\r\n'


class Figures:
    def __init__(self) -> None:
        self.asked = 0
        self._begin = time.monotonic()
        self._late = array("d")

    def ask(self, trigger_id: UUID) -> None:
        self.asked += 1
        now = datetime.now(UTC)
        self._late.append((now - next_beat(trigger_id, EVERY, now) + EVERY).total_seconds())

    def taken(self) -> bytes:
        now, late = time.monotonic(), sorted(self._late)
        figures = {
            "seconds": now - self._begin,
            "asked": len(late),
            "p50": late[len(late) // 2] if late else 0,
            "p99": late[len(late) * 99 // 100] if late else 0,
        }
        self._begin, self._late = now, array("d")
        return json.dumps(figures).encode()


class Connection(asyncio.Protocol):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            request, self._received = self._received[:end], self._received[end + 4 :]
            self._transport.write(self._answer(request.split(b" ", 2)[1].decode()))

    def _answer(self, path: str) -> bytes:
        if path == "/figures":
            return _ok(self._figures.taken(), "application/json")
        self._figures.ask(UUID(path.rpartition("/")[2]))
        asked = self._figures.asked
        return _NOT_MODIFIED if asked % NEWS_IN else _ok(_feed(asked), "application/rss+xml")


def _feed(number: int) -> bytes:
    item = f"<item><guid>{number}</guid><title>The {number}th answer</title></item>"
    return f'<rss version="2.0"><channel><title>Feed</title>{item}</channel></rss>'.encode()


def _ok(body: bytes, content_type: str) -> bytes:
    head = f'HTTP/1.1 200 OK\r\netag: "0"\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n'
    return head.encode() + body


async def serve(listener: socket.socket) -> None:
    figures = Figures()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(figures), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1]))))
