"""Slow clients on real sockets lose their connections, and other clients keep theirs."""

import asyncio
import math
import pkgutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hairtrigger.platform.http_server import HttpServer, Patience
from tests.support.clock import pass_time
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

SHORT, LONG = timedelta(hours=1), timedelta(hours=24)
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\n"
SECOND = timedelta(seconds=1)
PIECE = bytes(1024 * 1024)


@dataclass
class Application:
    """Answer "ok" after the body; /large sends more than any buffer holds, /later waits, /refused reads no body."""

    bodies: list[bytes] = field(default_factory=list)
    received: int = 0  # in bytes
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/refused":
            await self._ok(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body, more = body + message["body"], message["more_body"]
            self.received += len(message["body"])
        self.bodies.append(body)
        await {"/large": self._large, "/later": self._later}.get(scope["path"], self._ok)(receive, send)

    async def _ok(self, _: Receive, send: Send) -> None:
        await send(_start(2))
        await send({"type": "http.response.body", "body": b"ok"})

    async def _large(self, receive: Receive, send: Send) -> None:
        await send(_start(30 * len(PIECE)))
        for number in range(30):
            await send({"type": "http.response.body", "body": PIECE, "more_body": number < 29})
        if (await receive())["type"] == "http.disconnect":
            self.disconnected.set()

    async def _later(self, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.let_go.wait()
        await send({"type": "http.response.body", "body": b"ok"})


def _start(length: int) -> Message:
    headers = [(b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": 200, "headers": headers}


@dataclass(frozen=True)
class Served:
    connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
    server: HttpServer

    async def look(self, after: timedelta) -> None:
        """Let time pass, and run the check that the server makes by itself at each tick."""
        pass_time(after + SECOND)
        await self.server.on_tick(0)

    @property
    def connection(self) -> Any:
        """Return the only connection of the server."""
        [found] = self.server.server_state.connections
        return found


@asynccontextmanager
async def serving(app: ASGIApp, patience: Patience) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = HttpServer(app, patience, stop_within=timedelta(seconds=1))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        writers = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            await until_true(lambda: len(server.server_state.connections) == len(writers))
            return reader, writer

        try:
            yield Served(connect, server)
        finally:
            for writer in writers:
                writer.close()
            server.should_exit = True


async def _end(reader: asyncio.StreamReader) -> bytes:
    """Return what still arrives before the connection ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_client_that_sends_nothing_is_cut() -> None:
    async with serving(Application(), Patience(SHORT, LONG, LONG)) as served:
        reader, _ = await served.connect()
        await served.look(SHORT)
        assert await _end(reader) == b""


async def test_a_connection_is_closed_when_it_has_been_idle() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG, idle=timedelta())) as served:
        reader, writer = await served.connect()
        writer.write(HEAD + b"\r\n")
        assert (await _end(reader)).startswith(b"HTTP/1.1 200 ")


async def test_connections_stay_open_longer_than_those_of_clients_and_proxies() -> None:
    """Clients of the same time-out send requests while we close: httpx has 5 seconds, and load balancers have 60."""
    async with serving(Application(), Patience(LONG, LONG, LONG)) as served:
        assert served.server.config.timeout_keep_alive > 60


async def test_a_head_that_comes_drop_by_drop_is_cut() -> None:
    app = Application()
    async with serving(app, Patience(SHORT, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD)
        await until_true(lambda: served.connection.headers is not None)  # the head has begun
        await served.look(SHORT * 0.6)
        writer.write(b"X-More: again\r\n" * 2)
        await until_true(lambda: len(served.connection.headers) > 0)
        await served.look(SHORT * 0.6)
        assert await _end(reader) == b""
    assert app.bodies == []


async def test_a_body_that_comes_drop_by_drop_is_cut_and_whoever_reads_it_hears_so() -> None:
    app = Application()
    async with serving(app, Patience(LONG, SHORT, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
        await until_true(lambda: served.connection.cycle is not None)
        await served.look(SHORT * 0.6)
        writer.write(b"x")
        await until_true(lambda: app.received == 1)
        await served.look(SHORT * 0.6)
        assert await _end(reader) == b""
        await app.disconnected.wait()
    assert app.bodies == []


async def test_a_client_that_goes_on_sending_what_was_refused_is_cut_and_can_read_why() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD.replace(b"/ ", b"/refused ", 1) + b"Content-Length: 100000000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(2) == b"ok"
        writer.write(b"x")
        await served.look(SECOND)
        assert await _end(reader) == b""


async def test_a_client_that_does_not_read_its_answer_is_cut() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, SHORT)) as served:
        _, writer = await served.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"Content-Length: 0\r\n\r\n")
        await until_true(lambda: served.connection._read_by < math.inf)  # all buffers are full
        await served.look(SHORT)
        await app.disconnected.wait()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    """The client may take any time for the whole answer, as long as it reads on."""
    async with serving(Application(), Patience(SHORT, SHORT, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for _ in range(4):
            await until_true(lambda: served.connection._read_by < math.inf)
            read_by = served.connection._read_by
            while served.connection._read_by == read_by:
                length += len(await reader.read(len(PIECE)))
            await served.look(LONG * 0.6)
        while data := await reader.read(len(PIECE)):
            length += len(data)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert length == 30 * len(PIECE)


async def test_a_client_that_pauses_between_two_requests_is_served_again() -> None:
    app = Application()
    async with serving(app, Patience(SHORT, SHORT, SHORT)) as served:
        reader, writer = await served.connect()
        for number in range(2):
            writer.write(HEAD + b"Content-Length: 1\r\n\r\n%d" % number)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(2) == b"ok"
            await served.look(SHORT)
    assert app.bodies == [b"0", b"1"]


async def test_the_head_of_an_answer_does_not_wait_for_a_body_that_comes_later() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD.replace(b"/ ", b"/later ", 1) + b"Content-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        app.let_go.set()
        assert await reader.readexactly(12) == b"2\r\nok\r\n0\r\n\r\n"


async def test_an_answer_that_has_a_length_and_no_body_is_sent() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD.replace(b"POST", b"HEAD", 1) + b"\r\n")
        assert b"content-length: 2" in await reader.readuntil(b"\r\n\r\n")  # before the connection ends


# -- many at once share the event loop


@dataclass
class Turns:
    """Count what happens in each turn of the event loop."""

    counts: list[int] = field(default_factory=lambda: [0])

    def count(self) -> None:
        self.counts[-1] += 1

    async def run(self) -> None:
        while True:
            self.counts.append(0)
            await asyncio.sleep(0)


@asynccontextmanager
async def counting(turns: Turns) -> AsyncIterator[None]:
    running = asyncio.create_task(turns.run())
    yield
    running.cancel()


def counted(monkeypatch: pytest.MonkeyPatch, method: str, turns: Turns) -> None:
    connection = f"{HttpServer.__module__}._Connection.{method}"
    call = pkgutil.resolve_name(connection)

    def count(*arguments: Any) -> None:
        turns.count()
        call(*arguments)

    monkeypatch.setattr(connection, count)


async def test_requests_that_come_at_the_same_time_are_begun_in_several_turns() -> None:
    begun, app = Turns(), Application()

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        begun.count()
        await app(scope, receive, send)

    async with serving(begin, Patience(LONG, LONG, LONG)) as served, counting(begun):
        connected = [await served.connect() for _ in range(100)]
        for _, writer in connected:
            writer.write(HEAD + b"Content-Length: 2\r\n\r\nhi")
        for reader, _ in connected:
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert sum(begun.counts) == 100
    assert max(begun.counts) <= 21


@pytest.mark.parametrize(
    ("method", "data", "at_most"),
    [
        ("on_message_begin", (HEAD + b"Content-Length: 2\r\n\r\nhi") * 5000, 128),
        ("on_body", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n", 1500),
    ],
)
async def test_what_is_small_and_very_many_is_parsed_in_several_turns(
    monkeypatch: pytest.MonkeyPatch, method: str, data: bytes, at_most: int
) -> None:
    parsed, app = Turns(), Application()
    counted(monkeypatch, method, parsed)
    async with serving(app, Patience(LONG, LONG, LONG)) as served, counting(parsed):
        reader, writer = await served.connect()
        writer.write(data)
        for _ in range(data.count(HEAD)):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert sum(parsed.counts) >= 5000
    assert max(parsed.counts) <= at_most


async def test_no_more_is_read_while_requests_wait_for_those_before_them() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        await reader.readuntil(b"ok")
        connection, waiting = served.connection, []
        writer.write((HEAD + b"Content-Length: 0\r\n\r\n") * 5000)
        for _ in range(5000):
            await reader.readuntil(b"ok")
            waiting.append(len(connection.pipeline))
    assert 0 < max(waiting) <= 64, "the requests of one slice"


async def test_few_requests_wait_to_be_ended_when_a_client_goes_that_has_sent_very_many() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(b"POST /later HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
        await until_true(lambda: len(app.bodies) == 1)
        connection = served.connection
        writer.write((HEAD + b"Content-Length: 0\r\n\r\n") * 5000)
        await until_true(lambda: connection.pipeline)
        for _ in range(100):
            await asyncio.sleep(0)
            assert len(connection.pipeline) <= 64
        app.let_go.set()
        answers = b""
        while answers.count(b"ok") < 5001:
            answers += await reader.read(65_536)
    assert len(app.bodies) == 5001


async def test_a_connection_whose_reading_fails_in_a_later_turn_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[dict[str, Any]] = []

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"{HttpServer.__module__}._Connection.on_body", fail)
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as served:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        connected = [await served.connect() for _ in range(100)]
        for _, writer in connected:  # more than one turn lets through
            writer.write(HEAD + b"Content-Length: 2\r\n\r\nhi")
        for reader, _ in connected:
            assert b"200 OK" not in await _end(reader)
    assert app.bodies == []


async def test_a_stop_closes_connections_that_wait_for_their_turn() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        address = writer.get_extra_info("peername")
        shut_down = served.server.shutdown

        async def shut_down_with_newcomers(sockets: list[socket.socket] | None = None) -> None:
            clients.extend(socket.create_connection(address) for _ in range(400))
            await asyncio.sleep(0)  # the event loop accepts them, and few have had their turn
            await shut_down(sockets)

        clients: list[socket.socket] = []
        served.server.shutdown = shut_down_with_newcomers  # type: ignore[method-assign]
        served.server.should_exit = True
        assert await _end(reader) == b""
        loop = asyncio.get_running_loop()
        for client in clients:
            client.setblocking(False)
            assert await _received(loop, client) == b""
            client.close()


async def _received(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    try:
        return await loop.sock_recv(client, 1000)
    except ConnectionResetError:
        return b""


async def test_a_body_that_has_come_before_its_connection_had_a_turn_is_received() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as served:
        body = bytes(range(256)) * 1000
        _, writer = await served.connect()
        clients = [socket.create_connection(writer.get_extra_info("peername")) for _ in range(100)]
        for client in clients:
            client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
            client.setblocking(False)
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.sock_sendall(client, body) for client in clients))
        for client in clients:
            assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200 OK\r\n")
            client.close()
    assert app.bodies == [body] * 100


async def test_what_follows_an_unreadable_request_is_not_parsed() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as served:
        reader, writer = await served.connect()
        writer.write(bytes(16_000))
        assert (await _end(reader)).count(b"HTTP/1.1 400") == 1
