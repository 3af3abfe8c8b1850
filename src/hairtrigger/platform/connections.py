"""HTTP/1.1 connections over TCP to permitted addresses, kept for the next request to the same host and port.

This code opens and keeps its TCP connections itself, for two reasons. The address that is connected to must be the one
that was checked. And a request must not cost more if there are many targets: httpcore's pool looks at every connection
for every request, so that with 500 idle connections it manages only a hundred requests a second.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple, cast

import httpx2

from hairtrigger.platform.addresses import EgressPolicy
from hairtrigger.platform.http1 import Answer, Malformed
from hairtrigger.platform.turns import Turns

_MOST = 500  # TCP connections in use; the same number may be idle as well
_KEEP_ALIVE = timedelta(seconds=4)  # shorter than the time of servers (5 s and more), so that they seldom close first
_ATTEMPT = timedelta(seconds=3)  # for one address, if there are other addresses to try
_RESOLVERS = 32
_SLICE = 4 * 1024  # bytes of an answer that are parsed at once
_MOST_UNREAD = 64 * 1024  # bytes; above this, reading pauses and the server has to wait

Resolve = Callable[[str, int], Sequence[str]]
"""A function that returns the addresses of a host. It is called in a thread."""


class BlockedAddress(Exception):
    """The policy permits none of the host's addresses."""


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that the system finds. It also accepts unusual spellings of IPv4: 2130706433, 0x7f.1."""
    found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Connection(asyncio.Protocol):
    """A TCP connection that carries one request and its answer at a time.

    Bytes that arrive are parsed in slices, at the speed at which the task that sent the request reads.
    """

    def __init__(self, turns: Turns) -> None:
        self._loop = asyncio.get_running_loop()
        self._turns = turns
        self._answer: Answer | None = None
        self._unread = bytearray()
        self._news: asyncio.Future[None] | None = None
        self._malformed: Malformed | None = None
        self._resting_since = 0.0
        self._ended = False
        self._paused = False

    async def ask(self, answer: Answer, request: bytes) -> None:
        """Send a request and read the head of its answer. Raises `Malformed`, or `EOFError` if no answer comes."""
        self._answer = answer
        self._transport.write(request)
        while answer.head is None:
            await self._more(answer)

    async def body(self) -> list[bytes]:
        """Return the parts of the body that are new since the last call, and an empty list at the end of the body.

        Raises the same errors as `ask`.
        """
        answer = self._answer
        assert answer
        while not (pieces := answer.take()) and not answer.complete:
            await self._more(answer)
        return pieces

    def rest(self) -> bool:
        """End the exchange. Return whether this TCP connection can carry another one."""
        answer, self._answer = self._answer, None
        if answer is None:
            return False
        answer.close()
        self._resume()
        self._resting_since = self._loop.time()
        silent = not self._ended and not self._unread
        return answer.ended_alone and silent and self._transport.get_write_buffer_size() == 0

    @property
    def stale(self) -> bool:
        return self._ended or self._loop.time() - self._resting_since > _KEEP_ALIVE.total_seconds()

    def close(self) -> None:
        self._transport.abort()  # `close()` would wait for the server

    async def _more(self, answer: Answer) -> None:
        if self._malformed:
            raise self._malformed
        if not self._unread and not self._ended:
            self._resume()
            self._news = self._loop.create_future()
            await self._news
        if size := min(len(self._unread), _SLICE):
            if not self._turns.taken(size):
                await self._turns.take(size)
            self._parse(answer, size)
        elif self._ended:
            answer.end()

    def _parse(self, answer: Answer, size: int) -> None:
        piece = bytes(self._unread[:size])
        del self._unread[:size]
        try:
            answer.receive(piece)
        except Malformed as error:
            self._malformed = error

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._ended = True  # bytes without a request: some servers send 408 before they close an idle connection
            self.close()
            return
        self._unread += data
        if len(self._unread) > _MOST_UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        self._ended = True
        self._tell()

    def connection_lost(self, _: Exception | None) -> None:
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)


class Connections:
    def __init__(self, policy: EgressPolicy, turns: Turns, resolve: Resolve = resolve) -> None:
        self._policy = policy
        self._turns = turns
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_RESOLVERS, "resolve")  # a slow look-up of a name delays only other look-ups
        self._tls = httpx2.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._places = asyncio.Semaphore(_MOST)
        self._resting: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._resting_total = 0
        self._next_sweep = 0.0

    @asynccontextmanager
    async def lent(self, origin: Origin) -> AsyncIterator[Connection]:
        """Lend a TCP connection for one exchange. Raises `BlockedAddress`, or `OSError` if connecting fails."""
        async with self._places:
            connection = self._rested(origin) or await self._connected(origin)
            try:
                yield connection
            finally:
                self._returned(origin, connection)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connections in self._resting.values():
            for connection in connections:
                connection.close()
        self._resting.clear()

    def _rested(self, origin: Origin) -> Connection | None:
        while resting := self._resting.get(origin):
            connection = resting.pop()
            self._resting_total -= 1
            if not connection.stale:
                return connection
            connection.close()
        return None

    def _returned(self, origin: Origin, connection: Connection) -> None:
        if self._resting_total < _MOST and connection.rest():
            self._resting[origin].append(connection)
            self._resting_total += 1
        else:
            connection.close()
        now = asyncio.get_running_loop().time()
        if now > self._next_sweep:
            self._next_sweep = now + _KEEP_ALIVE.total_seconds()
            self._sweep()

    def _sweep(self) -> None:
        """Close the TCP connections that have been idle for too long."""
        resting, self._resting, self._resting_total = self._resting, defaultdict(list), 0
        for origin, connections in resting.items():
            for connection in connections:
                if connection.stale:
                    connection.close()
                else:
                    self._resting[origin].append(connection)
                    self._resting_total += 1

    async def _connected(self, origin: Origin) -> Connection:
        host, port = self._policy.connect_to.get((origin.host, origin.port), (origin.host, origin.port))
        *others, last = await self._permitted(host, port)
        for address in others:
            with suppress(OSError):
                async with asyncio.timeout(_ATTEMPT.total_seconds()):
                    return await self._opened(origin, address, port)
        return await self._opened(origin, last, port)

    async def _permitted(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._resolve, host, port)
        permitted = [address for address in dict.fromkeys(found) if self._policy.permits(address)]
        if not permitted:
            raise BlockedAddress
        return permitted

    async def _opened(self, origin: Origin, address: str, port: int) -> Connection:
        tls, name = (self._tls, origin.host) if origin.scheme == "https" else (None, None)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            partial(Connection, self._turns), address, port, ssl=tls, server_hostname=name
        )
        return connection
