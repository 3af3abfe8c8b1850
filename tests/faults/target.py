"""A workflow that writes down each request before it answers: `python -m tests.faults.target FD FILE`.

A process of its own, which no fault touches, so that what it wrote is the truth about what was started.
"""

import asyncio
import json
import os
import re
import socket
import sys
import time
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Workflow(asyncio.Protocol):
    def __init__(self, file: int) -> None:
        self._file = file
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end) if end >= 0 else None
        if length and len(self._received) >= end + 4 + int(length[1]):
            self._write_down(self._received[end + 4 :])
            self._received = b""
            self._transport.write(_ANSWER)

    def _write_down(self, body: bytes) -> None:
        event = json.loads(body)
        kept = {
            "at": time.monotonic(),  # the same clock for every process of a machine
            "delivery": event["deliveryid"],
            "trigger": event["projecttriggerid"],
            "key": event["eventkey"],
            "attempt": event["attempt"],
        }
        os.write(self._file, json.dumps(kept).encode() + b"\n")


async def serve(listener: socket.socket, file: int) -> None:
    """Until whoever started it has gone: its standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Workflow(file), sock=listener)
    gone = asyncio.Event()
    loop.add_reader(0, gone.set)
    await gone.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(
        serve(
            socket.socket(fileno=int(sys.argv[1])), os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        )
    )
