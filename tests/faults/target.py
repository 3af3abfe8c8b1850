"""A workflow that writes down each attempt before it answers: `python -m tests.faults.target FD FILE`.

It is a process of its own that no fault strikes, so that its file holds every attempt that arrived.
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
            "at": time.monotonic(),  # all processes of a machine share this clock
            "delivery": event["deliveryid"],
            "trigger": event["projecttriggerid"],
            "key": event["eventkey"],
            "attempt": event["attempt"],
        }
        os.write(self._file, json.dumps(kept).encode() + b"\n")


async def serve(listener: socket.socket, file: int) -> None:
    """Serve until the process that started this one has ended, which ends the standard input."""
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
