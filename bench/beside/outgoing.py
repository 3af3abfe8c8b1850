"""Outgoing connections, look-ups of names, and answers that are costly to read."""

import asyncio
import gzip
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from itertools import count
from typing import cast

from bench.beside.case import Case, Measure, beside
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.shares import Tenant

_LOOPBACK = EgressPolicy((ip_network("127.0.0.0/8"),))
_PATIENCE = timedelta(seconds=60)
_LOOK_UP = 0.005  # seconds
_LARGE = gzip.compress(bytes(2_000_000), 1)

VICTIM, NEIGHBOUR = Tenant("victim", "a"), Tenant("neighbour", "b")


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received:
            path, self._received = self._received.split(b" ", 2)[1], b""
            if path == b"/large":
                self._transport.write(_answer(_LARGE, b"Content-Encoding: gzip\r\n"))
            elif path != b"/never":
                self._transport.write(_answer(b"x" * 1000))


def _answer(body: bytes, header: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (header, len(body), body)


@asynccontextmanager
async def _server() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=1000)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


@asynccontextmanager
async def _requests(hostile: str, *, at_a_time: int, per_second: int) -> AsyncIterator[Measure]:
    """Compare small answers beside others like them with small answers beside what the path `hostile` answers."""
    async with _server() as port, Egress(_LOOPBACK) as egress:
        url = f"http://127.0.0.1:{port}"
        ours, theirs = egress.of(VICTIM), egress.of(NEIGHBOUR)
        yield beside(
            lambda: ours.send("GET", f"{url}/", timeout=_PATIENCE),
            {
                "friendly": lambda: theirs.send("GET", f"{url}/", timeout=_PATIENCE),
                "hostile": lambda: theirs.send("GET", f"{url}{hostile}", timeout=_PATIENCE),
            },
            at_a_time=at_a_time,
            per_second=per_second,
        )


@asynccontextmanager
async def _names() -> AsyncIterator[Measure]:
    stop, number = threading.Event(), count()

    def resolve(host: str, _port: int) -> Sequence[str]:
        if host.startswith("hanging"):
            stop.wait(2)
        else:
            time.sleep(_LOOK_UP)
        return ["127.0.0.1"]

    async with _server() as port, Egress(_LOOPBACK, resolve) as egress:
        ours, theirs = egress.of(VICTIM), egress.of(NEIGHBOUR)
        try:
            yield beside(
                lambda: ours.send("GET", f"http://quick-{next(number)}.test:{port}/", timeout=_PATIENCE),
                {
                    "friendly": lambda: theirs.send("GET", f"http://quick-{next(number)}.test:{port}/"),
                    "hostile": lambda: theirs.send("GET", f"http://hanging-{next(number)}.test:{port}/"),
                },
                at_a_time=6,
                per_second=100,
            )
        finally:
            stop.set()


CASES = (
    Case("outgoing connections", "call", partial(_requests, "/never", at_a_time=100, per_second=400)),
    Case("look-ups of names", "call with a look-up", _names),
    Case("work on answers", "call", partial(_requests, "/large", at_a_time=20, per_second=50)),
)
