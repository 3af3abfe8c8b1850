"""A workflow that only remembers: the id of each delivery, when it came, and when its request was due.

GET `/count` answers with the number of deliveries, and GET `/arrivals` with all of them. Times are of the monotonic
clock, which all processes of a machine share.
"""

import asyncio
import json
import re
import socket
import sys
import time

import uvloop

from bench.workflow import Workflow

_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_SENT = re.compile(rb'"sent":"(\d+\.\d+)"')


class Remembering(Workflow):
    def __init__(self, arrivals: list[tuple[str, float, float]]) -> None:
        super().__init__()
        self._arrivals = arrivals

    def asked(self, request: bytes) -> bytes:
        if request.startswith(b"GET"):
            body = json.dumps(self._arrivals if b" /arrivals " in request else len(self._arrivals)).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        id_, sent = _ID.search(request), _SENT.search(request)
        self._arrivals.append((id_[1].decode() if id_ else "", time.monotonic(), float(sent[1]) if sent else 0.0))
        return super().asked(request)


async def serve(listener: socket.socket) -> None:
    arrivals: list[tuple[str, float, float]] = []
    server = await asyncio.get_running_loop().create_server(lambda: Remembering(arrivals), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1]))))
