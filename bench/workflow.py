"""A workflow that only answers 200, as fast as it can, so that a benchmark measures the service and not its target."""

import asyncio
import re
import socket
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Workflow(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end) if end >= 0 else None
        if end >= 0 and len(self._received) >= end + 4 + (int(length[1]) if length else 0):
            request, self._received = self._received, b""
            self._transport.write(self.asked(request))

    def asked(self, _: bytes) -> bytes:
        return _ANSWER


async def serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(Workflow, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1]))))
