"""Let client libraries make TCP connections, such as to a message broker, under the rules of the egress.

Client libraries connect by themselves, and some learn further addresses from their server: Kafka's brokers, the members
of a cluster. No address is therefore checked before a library gets it. Instead, the event loop's own functions for
connections are replaced, and a task that holds a door can connect through this door only. It looks the name up, checks
the address, connects to the address that it checked, and hands the library one end of a pair of local sockets. The
library speaks TLS through the pair, so the certificate must be that of the name which the library asked for.

A task or callback that a library starts inherits the door from the task that called the library.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Self, cast

from hairtrigger.platform.dialing import BlockedAddress, Dialing
from hairtrigger.platform.proxy import Proxy, ProxyRefused
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.platform.turns import Turns

_OPEN = 1000  # TCP connections that one project alone may have at a time
_OF_DOOR = 64  # TCP connections of one listener at a time: a cluster of so many servers
_UNREAD = 64 * 1024 * 1024  # bytes that a library may receive before its listener makes something of them
_ATTEMPT = timedelta(seconds=5)  # for one address
_LONGEST_HEAD = 8 * 1024  # bytes of a proxy's answer
# A library for another protocol can be made to send mail in a user's words: SMTP servers overlook what they don't know.
_BAD_PORTS = frozenset({0, 25, 465, 587})
# With these functions of the event loop, a library could connect past the door.
_FORBIDDEN = ("sock_connect", "create_unix_connection", "create_datagram_endpoint", "getaddrinfo")


class Refused(OSError):
    """The socket door opens no such connection."""


Told = Callable[[Exception, str, int], Awaitable[str | None]]
"""A function that returns why a host can't be reached at a port, or None if the tenant may not know that."""


async def _untold(_: Exception, __: str, ___: int) -> str | None:
    return None


class Door:
    """The TCP connections of one listener. `guarding` makes a block of code, and all that it starts, use this door."""

    def __init__(self, sockets: "Sockets", tenant: Tenant, told: Told = _untold) -> None:
        self._sockets = sockets
        self._told = told
        self.tenant = tenant
        self.failure: tuple[Exception, str, int] | None = None
        """The last error of this door with its host and port. A library may hide it behind an error of its own."""
        self.received = 0
        """The bytes that came since the listener last set this to 0."""
        self._closed = False
        self._halves: set[_Half] = set()

    @contextmanager
    def guarding(self) -> Iterator[None]:
        if not self._sockets.is_open:
            raise Refused("No connection is made, because the socket door is not open.")
        token = _DOOR.set(self)
        try:
            yield
        finally:
            _DOOR.reset(token)

    def tls(self, authorities: str = "") -> ssl.SSLContext:
        """Return settings that check a server's certificate. `authorities` are trusted as well: certificates as PEM."""
        return self._sockets.dialing.tls(authorities)

    async def told(self) -> str | None:
        """Return why the last connection failed, or None if none failed or the tenant may not know why."""
        return await self._told(*self.failure) if self.failure else None

    def close(self) -> None:
        """End all connections, also those that a library forgot to close, and make no more."""
        self._closed = True
        for half in list(self._halves):
            half.abort()

    async def dialled(self, host: str, port: int) -> socket.socket:
        """Return a local socket that is joined to the host, after its address was checked. Raise `OSError` if not."""
        try:
            return await self._dialled(host, port)
        except BlockedAddress as error:
            self.failure = error, host, port
            raise Refused("The address could not be reached.") from error
        except OSError as error:
            self.failure = error, host, port
            raise

    async def _dialled(self, host: str, port: int) -> socket.socket:
        if self._closed:
            raise Refused("The listener has ended.")
        if port in _BAD_PORTS:
            raise Refused(f"No listener connects to port {port}.")
        if len(self._halves) >= 2 * _OF_DOOR or not self._sockets.places.taken(self.tenant):
            raise Refused("Too many connections are open.")
        left = False
        try:
            remote = await self._sockets.connected(self.tenant, host, port)
            ours, theirs = _pair()
            try:
                await self._join(remote, ours)
            except BaseException:
                theirs.close()
                raise
            left = True
        finally:
            if not left:
                self._sockets.places.leave(self.tenant)
        return theirs

    async def _join(self, remote: socket.socket, ours: socket.socket) -> None:
        """Move the bytes that arrive at either socket to the other one, until both have ended."""

        def ended(half: _Half) -> None:
            self._halves.discard(half)
            if half is outside:
                self._sockets.places.leave(self.tenant)

        outside = _Half(self._sockets.turns, self.tenant.org, ended, self._count)
        inside = _Half(self._sockets.turns, self.tenant.org, ended)
        outside.peer, inside.peer = inside, outside
        await self._sockets.adopted(inside, ours)
        try:
            await self._sockets.adopted(outside, remote)
        except BaseException:
            inside.abort()
            raise
        self._halves |= {inside, outside}

    def _count(self, size: int) -> bool:
        """Count bytes that came from outside, and return whether the listener may receive more."""
        self.received += size
        if self.received <= _UNREAD:
            return True
        self.failure = Refused(f"More than {_UNREAD} bytes came of which the listener made nothing."), "", 0
        return False


_DOOR: ContextVar[Door | None] = ContextVar("door", default=None)


@contextmanager
def past_the_door() -> Iterator[None]:
    """Let the block connect by itself. It is for doors, which check addresses themselves."""
    token = _DOOR.set(None)
    try:
        yield
    finally:
        _DOOR.reset(token)


class Sockets:
    """The socket door of one process, which must be entered (`async with`) in the event loop of its listeners."""

    def __init__(self, dialing: Dialing, turns: Turns) -> None:
        self.dialing = dialing
        self.turns = turns
        self.places = Shares.beyond(_OPEN)
        self.is_open = False
        self._create_connection: Callable[..., Awaitable[Any]]
        self._replaced: dict[str, Any]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._create_connection = loop.create_connection
        guards: dict[str, Callable[..., Awaitable[Any]]] = {"create_connection": self._guarded}
        for name in _FORBIDDEN:
            guards[name] = _only_past_the_door(name, getattr(loop, name))
        self._replaced = {name: vars(loop).get(name) for name in guards}
        for name, guard in guards.items():
            setattr(loop, name, guard)
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False
        loop = asyncio.get_running_loop()
        for name, before in self._replaced.items():
            if before is None:
                delattr(loop, name)  # its class has the function
            else:
                setattr(loop, name, before)

    def of(self, tenant: Tenant, told: Told = _untold) -> Door:
        """Return a door for the connections of one listener, which this tenant has."""
        return Door(self, tenant, told)

    async def adopted(self, half: "_Half", sock: socket.socket) -> None:
        """Let a protocol read and write a connected socket."""
        with past_the_door():
            await self._create_connection(lambda: half, sock=sock)

    async def connected(self, tenant: Tenant, host: str, port: int) -> socket.socket:
        """Return a socket that is connected to a permitted address of the host, or to it through the proxy."""
        place = self.dialing.place_of(host, port)
        permitted = await self.dialing.permitted(tenant, *place)
        proxy = self.dialing.proxy
        if proxy and not self.dialing.is_direct(host, port, permitted):
            return await _tunnelled(proxy, host, port)
        *others, last = permitted
        for address in others:
            with suppress(OSError):
                return await _connected(address, place[1])
        return await _connected(last, place[1])

    async def _guarded(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> Any:
        door = _DOOR.get()
        if door is None:
            return await self._create_connection(
                protocol_factory, host, port, ssl=ssl, sock=sock, server_hostname=server_hostname, **options
            )
        if sock is not None or not isinstance(host, str) or not port:
            raise Refused("A listener connects to a host and port only.")
        named = (server_hostname if server_hostname is not None else host) if ssl else None
        timeouts = {name: value for name, value in options.items() if name.startswith("ssl_")}
        local = await door.dialled(host, int(port))
        try:
            # Without leaving the door: what the library starts in its callbacks must use the door as well.
            return await self._create_connection(
                protocol_factory, sock=local, ssl=ssl, server_hostname=named, **timeouts
            )
        except BaseException:
            local.close()
            raise


class _Half(asyncio.Protocol):
    """One of two joined sockets: what it reads is written to its peer, as fast as the peer is read."""

    peer: "_Half"
    transport: asyncio.Transport

    def __init__(
        self, turns: Turns, org: str, ended: Callable[["_Half"], None], count: Callable[[int], bool] | None = None
    ) -> None:
        self._turns = turns
        self._org = org
        self._ended = ended
        self._count = count
        self._waits: set[str] = set()  # the reasons why nothing is read now
        self.over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._count and not self._count(len(data)):
            self.abort()
            return
        if not self.peer.over:
            self.peer.transport.write(data)
        if self._count:  # the listener parses these bytes on the event loop
            self.pause("turn")
            self._turns.call(len(data), lambda: self.resume("turn"), self._org)

    def eof_received(self) -> bool:
        if self._count:
            with suppress(OSError, RuntimeError):
                self.peer.transport.write_eof()
        else:  # the library has closed its end
            self.peer.transport.close()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self.over = True
        self._ended(self)
        if not self.peer.over:
            self.peer.transport.close()

    def pause_writing(self) -> None:
        self.peer.pause("peer")

    def resume_writing(self) -> None:
        self.peer.resume("peer")

    def abort(self) -> None:
        for half in (self, self.peer):
            if not half.over:
                half.transport.abort()

    def pause(self, why: str) -> None:
        if not self._waits and not self.over:
            self.transport.pause_reading()
        self._waits.add(why)

    def resume(self, why: str) -> None:
        self._waits.discard(why)
        if not self._waits and not self.over:
            self.transport.resume_reading()


def _only_past_the_door(name: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def guarded(*args: Any, **options: Any) -> Any:
        if _DOOR.get() is not None:
            raise Refused(f"A listener does not call {name}.")
        return await function(*args, **options)

    return guarded


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return two TCP sockets that are joined over loopback. Libraries set options that no other kind of socket has."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        listening.settimeout(_ATTEMPT.total_seconds())  # loopback takes no time
        one = socket.socket()
        try:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listening.getsockname())
            other, address = listening.accept()
        except BaseException:
            one.close()
            raise
    if address != one.getsockname():
        one.close()
        other.close()
        raise Refused("Another program took the local connection.")
    other.setblocking(False)
    return one, other


async def _connected(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with past_the_door():
            async with asyncio.timeout(_ATTEMPT.total_seconds()):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnelled(proxy: Proxy, host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    with past_the_door():
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    through = await _connected(str(found[0][4][0]), proxy.port)
    try:
        async with asyncio.timeout(_ATTEMPT.total_seconds()):
            await loop.sock_sendall(through, proxy.tunnel_to(host, port))
            head = await _head(through)
        status = b"".join(head.split(b" ", 2)[1:2])
        if not status.startswith(b"2"):
            raise ProxyRefused(int(status) if status.isdigit() else 0)
    except BaseException:
        through.close()
        raise
    return through


async def _head(sock: socket.socket) -> bytes:
    """Return the head of a proxy's answer, which is read byte by byte, because what follows it is for the library."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = await asyncio.get_running_loop().sock_recv(sock, 1)
        if not byte or len(head) > _LONGEST_HEAD:
            raise ProxyRefused(0)
        head += byte
    return bytes(head)
