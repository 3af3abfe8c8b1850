"""HTTP/1.1 connections to addresses that the policy permits, kept for the next request to the same place.

h11 speaks the protocol; sockets and the keeping are ours. The address that was checked must be the one connected to,
and a request must not cost more where there are many targets: httpcore's pool looks at every connection at every
request, so that 500 idle ones leave it a hundred requests a second.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import NamedTuple, cast

import h11
import httpx2

from hairtrigger.platform.addresses import EgressPolicy

_MOST = 500  # in use; as many again may rest
_KEEP_ALIVE = timedelta(seconds=4)  # shorter than what servers use (5 s and more), so that they seldom hang up first
_ATTEMPT = timedelta(seconds=3)  # for one address, when there are others to try
_RESOLVERS = 32
_LARGEST_HEAD = 100 * 1024
_MOST_HINTS = 20  # answers before the answer, such as 100 Continue and 103 Early Hints

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
    """One request and its answer at a time. What asyncio receives goes to h11 at once: an exchange always reads on."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._news = asyncio.Event()
        self._resting_since: float | None = None
        self._ended = False

    async def ask(self, request: h11.Request, body: bytes) -> h11.Response:
        """Sends a request; the head of its answer. Raises `h11.ProtocolError`, or `EOFError` when there is none."""
        self._resting_since = None
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))
        for _ in range(_MOST_HINTS):
            match await self._event():
                case h11.Response() as response:
                    return response
                case h11.InformationalResponse():
                    pass
        raise EOFError

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The answer's body, in pieces. Raises like `ask`."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    def rest(self) -> bool:
        """Whether the exchange ended so that another may follow."""
        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if not done or self._http.trailing_data[0] or self._transport.get_write_buffer_size() > 0:
            return False
        self._http.start_next_cycle()
        self._resting_since = asyncio.get_running_loop().time()
        return True

    @property
    def stale(self) -> bool:
        rested = asyncio.get_running_loop().time() - (self._resting_since or 0)
        return self._ended or rested > _KEEP_ALIVE.total_seconds()

    def close(self) -> None:
        self._transport.abort()  # at once: closing politely waits for the other side

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._ended:
                return self._last_event()
            self._news.clear()
            await self._news.wait()
        return event

    def _last_event(self) -> object:
        """The end of a connection ends a body that has no length, and cuts everything else short."""
        self._http.receive_data(b"")
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            raise EOFError from None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._resting_since is not None:
            self._end()  # what nobody asked for is not the next answer; some servers say 408 before they hang up
            self.close()
        else:
            self._http.receive_data(data)
            self._news.set()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, _: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._news.set()


class Connections:
    def __init__(self, policy: EgressPolicy, resolve: Resolve = resolve) -> None:
        self._policy = policy
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
        _, connection = await loop.create_connection(Connection, address, port, ssl=tls, server_hostname=name)
        return connection
