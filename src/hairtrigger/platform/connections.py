"""Open TCP connections for HTTP/1.1 to permitted addresses, and keep them for requests to the same host and port.

A TCP connection carries requests of one organisation only, and organisations share the number of connections fairly.

This code opens and keeps its TCP connections itself, for two reasons. The address that is connected to must be the one
that was checked. And a request must not cost more if there are many targets, but httpcore's pool looks at every
connection for every request, so that with 500 idle connections it manages only a hundred requests a second.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple, cast

from hairtrigger.platform.dialing import Dialing
from hairtrigger.platform.http1 import Answer, Malformed
from hairtrigger.platform.proxy import Proxy, ProxyRefused
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.platform.sockets import past_the_door
from hairtrigger.platform.turns import Turns

_IN_USE = 500  # TCP connections that one project alone may use at a time
_OPEN = 1000  # all TCP connections, idle ones too
_KEEP_ALIVE = timedelta(seconds=4)  # shorter than the time of servers (5 s and more), so that they seldom close first
_ATTEMPT = timedelta(seconds=3)  # for one address, if there are other addresses to try
_SLICE = 4 * 1024  # bytes of an answer that are parsed at once
_MOST_UNREAD = 64 * 1024  # bytes; above this, reading pauses and the server has to wait


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class Connection(asyncio.Protocol):
    """A TCP connection that carries one request and its answer at a time.

    Bytes that arrive are parsed in slices, at the speed at which the task that sent the request reads.
    """

    _transport: asyncio.Transport

    def __init__(self, turns: Turns, tenant: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._turns = turns
        self._tenant = tenant
        self._answer: Answer | None = None
        self._unread = bytearray()
        self._news: asyncio.Future[None] | None = None
        self._malformed: Malformed | None = None
        self._resting_since = 0.0
        self._ended = False
        self._paused = False
        self.reused = False
        self.proxy: Proxy | None = None
        """The proxy, if requests are sent to it. None if the connection leads to the host, directly or by a tunnel."""

    async def ask(self, answer: Answer, request: bytes) -> None:
        """Send a request, and return when the head of its answer has been read into `answer`.

        Raises `Malformed`, or `EOFError` if the TCP connection ends before that.
        """
        self._answer = answer
        self._transport.write(request)
        while answer.head is None:
            await self._more(answer)

    async def open_tunnel(self, request: bytes, host: str, tls: ssl.SSLContext) -> None:
        """Ask the proxy for a tunnel to the host with `request`, and begin TLS with the host through the tunnel.

        Raises `ProxyRefused`, the errors of `ask`, or `OSError` if TLS fails.
        """
        answer = Answer("CONNECT")
        await self.ask(answer, request)
        self._answer = None
        answer.close()
        assert answer.head
        if answer.head.status not in range(200, 300):
            raise ProxyRefused(answer.head.status)
        secured = await self._loop.start_tls(self._transport, self, tls, server_hostname=host)
        assert secured
        self._transport = secured

    async def body(self) -> list[bytes]:
        """Wait for more of the body, and return the pieces that are new since the last call.

        The list is empty at the end of the body. Raises the same errors as `ask`.
        """
        answer = self._answer
        assert answer
        while not (pieces := answer.take()) and not answer.complete:
            await self._more(answer)
        return pieces

    def rest(self) -> bool:
        """End the exchange, and return whether this TCP connection can carry another exchange."""
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
            if not self._turns.taken(size, self._tenant):
                await self._turns.take(size, self._tenant)
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
    def __init__(self, dialing: Dialing, turns: Turns) -> None:
        self._dialing = dialing
        self._turns = turns
        self._tls = dialing.tls()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._places = Shares.beyond(_IN_USE)
        self._idle = IdleConnections()
        self._next_sweep = 0.0

    @asynccontextmanager
    async def lent(self, tenant: Tenant, origin: Origin, *, fresh: bool = False) -> AsyncIterator[Connection]:
        """Wait for a place, and yield a TCP connection for one exchange.

        The connection is an idle one, or a new one if there is no idle one or `fresh` is set. Raises `BlockedAddress`,
        or `OSError` if connecting fails. With a proxy, raises the errors of `open_tunnel` as well.
        """
        async with self._places.place(tenant):
            idle = None if fresh else self._idle.take(tenant.org, origin)
            if idle:
                idle.reused = True
            connection = idle or await self._connected(tenant, origin)
            try:
                yield connection
            finally:
                self._returned(tenant, origin, connection)

    async def check(self, tenant: Tenant, origin: Origin, *, connect: bool) -> None:
        """Raise the error that a call to the origin would raise before its request is sent, if there is one.

        Without `connect`, no connection is made, and only the addresses of the host are checked.
        """
        if connect:
            async with self._places.place(tenant):
                (await self._connected(tenant, origin)).close()
        else:
            await self._dialing.permitted(tenant, *self._dialing.place_of(origin.host, origin.port))

    def close(self) -> None:
        self._idle.close()

    def _returned(self, tenant: Tenant, origin: Origin, connection: Connection) -> None:
        if connection.rest():
            self._idle.keep(tenant.org, origin, connection)
            self._make_room()
        else:
            connection.close()
        now = asyncio.get_running_loop().time()
        if now > self._next_sweep:
            self._next_sweep = now + _KEEP_ALIVE.total_seconds()
            self._idle.close_stale()

    def _make_room(self) -> None:
        """Close idle connections until no more than `_OPEN` connections are open, or no idle one is left."""
        while len(self._idle) and self._places.held + len(self._idle) > _OPEN:
            self._idle.close_one()

    async def _connected(self, tenant: Tenant, origin: Origin) -> Connection:
        self._make_room()
        host, port = self._dialing.place_of(origin.host, origin.port)
        permitted = await self._dialing.permitted(tenant, host, port)
        if self._dialing.proxy and not self._dialing.is_direct(origin.host, origin.port, permitted):
            return await self._through(self._dialing.proxy, tenant, origin)
        *others, last = permitted
        for address in others:
            with suppress(OSError):
                async with asyncio.timeout(_ATTEMPT.total_seconds()):
                    return await self._opened(tenant, origin, address, port)
        return await self._opened(tenant, origin, last, port)

    async def _through(self, proxy: Proxy, tenant: Tenant, origin: Origin) -> Connection:
        """Return a connection to the proxy, or a tunnel through the proxy to the origin if that is HTTPS."""
        made = partial(Connection, self._turns, tenant.org)
        with past_the_door():
            _, connection = await asyncio.get_running_loop().create_connection(made, proxy.host, proxy.port)
        if origin.scheme == "http":
            connection.proxy = proxy
            return connection
        try:
            await connection.open_tunnel(proxy.tunnel_to(origin.host, origin.port), origin.host, self._tls)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _opened(self, tenant: Tenant, origin: Origin, address: str, port: int) -> Connection:
        tls, name = (self._tls, origin.host) if origin.scheme == "https" else (None, None)
        loop = asyncio.get_running_loop()
        with past_the_door():
            _, connection = await loop.create_connection(
                partial(Connection, self._turns, tenant.org), address, port, ssl=tls, server_hostname=name
            )
        return connection


class IdleConnections:
    """The open TCP connections that carry no request at present, by organisation and origin."""

    def __init__(self) -> None:
        self._of_orgs: dict[str, OrderedDict[Connection, Origin]] = {}  # the longest idle first
        self._of_origins: dict[tuple[str, Origin], dict[Connection, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def keep(self, org: str, origin: Origin, connection: Connection) -> None:
        self._of_orgs.setdefault(org, OrderedDict())[connection] = origin
        self._of_origins.setdefault((org, origin), {})[connection] = None
        self._count += 1

    def take(self, org: str, origin: Origin) -> Connection | None:
        while connections := self._of_origins.get((org, origin)):
            connection = next(reversed(connections))
            self._remove(org, origin, connection)
            if not connection.stale:
                return connection
            connection.close()
        return None

    def close_one(self) -> None:
        """Close the longest idle connection of the organisation with the most idle connections. There must be one."""
        org = max(self._of_orgs, key=lambda one: len(self._of_orgs[one]))
        connection, origin = next(iter(self._of_orgs[org].items()))
        self._remove(org, origin, connection)
        connection.close()

    def close_stale(self) -> None:
        for org, connections in list(self._of_orgs.items()):
            for connection, origin in list(connections.items()):
                if connection.stale:
                    self._remove(org, origin, connection)
                    connection.close()

    def close(self) -> None:
        while self._of_orgs:
            self.close_one()

    def _remove(self, org: str, origin: Origin, connection: Connection) -> None:
        of_org, of_origin = self._of_orgs[org], self._of_origins[org, origin]
        del of_org[connection]
        del of_origin[connection]
        self._count -= 1
        if not of_org:
            del self._of_orgs[org]
        if not of_origin:
            del self._of_origins[org, origin]
