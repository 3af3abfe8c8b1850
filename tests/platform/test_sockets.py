"""The door through which client libraries connect: they reach what the policy permits, whatever they were told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_network

import pytest
import uvloop

from hairtrigger.platform.addresses import EgressPolicy
from hairtrigger.platform.dialing import Dialing
from hairtrigger.platform.proxy import Proxy
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.sockets import Refused, Sockets
from hairtrigger.platform.turns import Turns
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

ALLOWED = (ip_network("127.0.0.0/8"),)
ORG = Tenant("org", "project")


def names(**known: str) -> Callable[[str, int], Sequence[str]]:
    """Return a look-up that knows these names, and every address as its own."""
    return lambda host, _: [known.get(host, host)]


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """Run a server that sends everything back, and return its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    dialing = Dialing(EgressPolicy(ALLOWED), names(broker="127.0.0.1", inside="10.0.0.1"))
    async with Sockets(dialing, Turns()) as made:
        yield made
    dialing.close()


async def echoed(port: int, host: str = "broker", text: bytes = b"hello") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(text)
    try:
        return await reader.readexactly(len(text))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_library_reaches_a_permitted_server_by_its_name(sockets: Sockets, echo: int) -> None:
    door = sockets.of(ORG)
    with door.guarding():
        assert await echoed(echo) == b"hello"
    await until_true(lambda: sockets.places.held == 0)
    assert (door.received, door.failure) == (5, None)


@pytest.mark.parametrize("host", ["inside", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_no_private_address_is_reached(sockets: Sockets, host: str) -> None:
    door = sockets.of(ORG)
    with door.guarding(), pytest.raises(Refused):
        await asyncio.open_connection(host, 80)
    assert door.failure
    assert sockets.places.held == 0


async def test_what_a_library_starts_by_itself_uses_the_door_as_well(sockets: Sockets, echo: int) -> None:
    """A library may connect in a task or a callback of its own, to an address that its server told it."""
    refused: list[bool] = []

    async def connect() -> None:
        try:
            await asyncio.open_connection("10.0.0.1", 80)
        except Refused:
            refused.append(True)

    class Client(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            tasks.append(asyncio.get_running_loop().create_task(connect()))

        def connection_lost(self, _: Exception | None) -> None:
            tasks.append(asyncio.get_running_loop().create_task(connect()))

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"The others are at 10.0.0.1.")
        writer.close()

    tasks: list[asyncio.Task[None]] = []
    async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
        with sockets.of(ORG).guarding():
            port = server.sockets[0].getsockname()[1]
            await asyncio.get_running_loop().create_connection(Client, "broker", port)
            later = asyncio.create_task(connect())
        await until_true(lambda: len(tasks) == 2)
    await asyncio.gather(later, *tasks)
    assert refused == [True, True, True]


async def test_a_library_finds_no_way_past_the_door(sockets: Sockets, echo: int) -> None:
    loop = asyncio.get_running_loop()
    with sockets.of(ORG).guarding(), socket.socket() as own:
        own.setblocking(False)
        for attempt in (
            lambda: loop.sock_connect(own, ("127.0.0.1", echo)),
            lambda: loop.create_unix_connection(asyncio.Protocol, "/tmp/socket"),
            lambda: loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", echo)),
            lambda: loop.getaddrinfo("broker", 80),
            lambda: loop.create_connection(asyncio.Protocol, sock=own),
            lambda: asyncio.open_connection("broker", 25),
        ):
            with pytest.raises(Refused):
                await attempt()


async def test_others_connect_as_before(sockets: Sockets, echo: int) -> None:
    assert await echoed(echo, "127.0.0.1") == b"hello"
    assert sockets.places.held == 0


async def test_the_event_loop_is_as_before_when_the_door_is_closed(echo: int) -> None:
    loop = asyncio.get_running_loop()
    before = dict(vars(loop))
    async with Sockets(Dialing(EgressPolicy()), Turns()) as outer, Sockets(Dialing(EgressPolicy()), Turns()):
        assert outer.is_open
    assert {name for name in vars(loop) if name not in before} == set()
    with pytest.raises(Refused), outer.of(ORG).guarding():
        pass


async def test_a_door_takes_no_more_bytes_than_its_listener_makes_something_of(
    sockets: Sockets, echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairtrigger.platform.sockets._UNREAD", 100_000)
    door = sockets.of(ORG)
    with door.guarding():
        assert len(await echoed(echo, text=b"x" * 90_000)) == 90_000
        with pytest.raises(asyncio.IncompleteReadError):
            await echoed(echo, text=b"x" * 90_000)
        assert isinstance(door.failure[0] if door.failure else None, Refused)
        door.received = 0
        assert len(await echoed(echo, text=b"x" * 90_000)) == 90_000


async def test_a_door_has_few_connections_and_closes_those_that_are_left(sockets: Sockets, echo: int) -> None:
    door = sockets.of(ORG)
    with door.guarding():
        opened = [await asyncio.open_connection("broker", echo) for _ in range(64)]
        with pytest.raises(Refused, match="Too many"):
            await asyncio.open_connection("broker", echo)
    door.close()
    assert [await reader.read() for reader, _ in opened] == [b""] * 64
    await until_true(lambda: sockets.places.held == 0)
    for _, writer in opened:
        writer.close()


async def test_a_slow_reader_makes_the_server_wait(sockets: Sockets) -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 50_000_000:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    with sockets.of(ORG).guarding():
        reader, writer = await asyncio.open_connection("broker", server.sockets[0].getsockname()[1])
        before = -1
        while sent != before:
            before = sent
            for _ in range(200):
                await asyncio.sleep(0)
        assert sent < 50_000_000, "all was read although nothing took it"
        total = 0
        while data := await reader.read(1_000_000):
            total += len(data)
        assert total == 50_000_000
    writer.close()
    server.close()


async def test_a_proxy_leads_to_the_server_and_its_refusal_is_an_error(echo: int) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if b"forbidden" in asked[-1]:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 Yes\r\n\r\nhello")  # the server behind it speaks first
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    through = Proxy("127.0.0.1", server.sockets[0].getsockname()[1], (("proxy-authorization", "Basic eA=="),))
    dialing = Dialing(EgressPolicy(proxy=through), names(broker="8.8.8.8", forbidden="8.8.8.8"))
    async with Sockets(dialing, Turns()) as sockets:
        with sockets.of(ORG).guarding():
            reader, writer = await asyncio.open_connection("broker", 5671)
            assert await reader.read() == b"hello"
            writer.close()
            with pytest.raises(OSError, match="403"):
                await asyncio.open_connection("forbidden", 5671)
    assert asked[0].startswith(b"CONNECT broker:5671 HTTP/1.1\r\n")
    assert b"proxy-authorization: Basic eA==" in asked[0]
    server.close()
    dialing.close()


def test_the_door_works_on_the_event_loop_of_the_service() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(5))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        dialing = Dialing(EgressPolicy(ALLOWED), names(broker="127.0.0.1", inside="10.0.0.1"))
        async with Sockets(dialing, Turns()) as sockets:
            with sockets.of(ORG).guarding():
                assert await echoed(server.sockets[0].getsockname()[1]) == b"hello"
                for host in ("10.0.0.1", "inside"):
                    with pytest.raises(OSError):
                        await asyncio.open_connection(host, 80)
            await until_true(lambda: sockets.places.held == 0)
            for _ in range(100):  # turns, in which both ends of the local pair are closed
                await asyncio.sleep(0)
        dialing.close()
        server.close()
        await server.wait_closed()

    uvloop.run(main())
