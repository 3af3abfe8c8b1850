"""HTTP/1.1 connections to addresses that the policy permits, kept for the next request to the same place.

Sockets and the keeping are ours: the address that was checked must be the one connected to, and a request must not cost
more where there are many targets. httpcore's pool looks at every connection at every request, so that 500 idle ones
leave it a hundred requests a second.
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

_MOST = 500  # in use; as many again may rest
_KEEP_ALIVE = timedelta(seconds=4)  # shorter than what servers use (5 s and more), so that they seldom hang up first
_ATTEMPT = timedelta(seconds=3)  # for one address, when there are others to try
_RESOLVERS = 32
_SLICE = 4 * 1024  # so many bytes of an answer are parsed at once
_MOST_UNREAD = 64 * 1024  # then the other side has to wait

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, asked in a thread."""


class BlockedAddress(Exception):
    """The policy permits none of the host's addresses."""


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


def resolve(host: str, port: int) -> list[str]:
    """The system's own answer; it also reads the odd spellings of IPv4, such as 2130706433 and 0x7f.1."""
    found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Connection(asyncio.Protocol):
    """One request and its answer at a time. What comes is parsed in slices, at the pace of the task that asked."""

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
        """Send a request and read the head of its answer. Raises `Malformed`, or `EOFError` when there is none."""
        self._answer = answer
        self._transport.write(request)
        while answer.head is None:
            await self._more(answer)

    async def body(self) -> list[bytes]:
        """What has come of the answer's body since the last time, or nothing: that was all. Raises like `ask`."""
        answer = self._answer
        assert answer
        while not (pieces := answer.take()) and not answer.complete:
            await self._more(answer)
        return pieces

    def rest(self) -> bool:
        """Whether the exchange ended so that another may follow."""
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
        self._transport.abort()  # at once: closing politely waits for the other side

    async def _more(self, answer: Answer) -> None:
        if self._malformed:
            raise self._malformed
        if self._unread:
            await self._parse(answer)
        elif self._ended:
            answer.end()
        else:
            self._resume()
            self._news = self._loop.create_future()
            await self._news

    async def _parse(self, answer: Answer) -> None:
        piece = bytes(self._unread[:_SLICE])
        await self._turns.take(len(piece))
        del self._unread[: len(piece)]
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
            self._ended = True  # what nobody asked for is not the next answer; some servers say 408 before they hang up
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
        self._threads = ThreadPoolExecutor(_RESOLVERS, "resolve")  # names that hang hold up nothing but other names
        self._tls = httpx2.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._places = asyncio.Semaphore(_MOST)
        self._resting: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._resting_total = 0
        self._next_sweep = 0.0

    @asynccontextmanager
    async def lent(self, origin: Origin) -> AsyncIterator[Connection]:
        """A connection for one exchange. Raises `BlockedAddress`, and `OSError` when there is no connecting."""
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
        """Closes what nobody came back for."""
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
