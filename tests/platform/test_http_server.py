"""Slow clients, on real sockets: what they hold is taken back, and nobody else is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from starlette.types import Message, Receive, Scope, Send

from hairtrigger.platform.http_server import HttpServer, Patience

pytestmark = pytest.mark.anyio

SHORT, LONG = timedelta(milliseconds=300), timedelta(minutes=1)
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\n"
PIECE = bytes(1024 * 1024)


@dataclass
class Application:
    """Answers "ok" when it has read the body; at other paths with more than any buffer holds, later, or without it."""

    bodies: list[bytes] = field(default_factory=list)
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


Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def serving(app: Application, patience: Patience) -> AsyncIterator[Connect]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = HttpServer(app, patience, stop_within=timedelta(seconds=1))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        writers = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            return reader, writer

        try:
            yield connect
        finally:
            for writer in writers:
                writer.close()
            server.should_exit = True


async def _end(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the connection ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_client_that_sends_nothing_is_cut() -> None:
    async with serving(Application(), Patience(SHORT, LONG, LONG)) as connect:
        reader, _ = await connect()
        assert await _end(reader) == b""


async def test_a_head_that_comes_drop_by_drop_is_cut() -> None:
    app = Application()
    async with serving(app, Patience(SHORT, LONG, LONG)) as connect:
        reader, writer = await connect()
        end = asyncio.create_task(_end(reader))
        for number in range(1000):
            if end.done():
                break
            writer.write(HEAD if number == 0 else b"X-More: again\r\n")
            await asyncio.wait([end], timeout=0.05)
        assert await end == b""
    assert app.bodies == []


async def test_a_body_that_comes_drop_by_drop_is_cut_and_whoever_reads_it_hears_so() -> None:
    app = Application()
    async with serving(app, Patience(LONG, SHORT, LONG)) as connect:
        reader, writer = await connect()
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
        end = asyncio.create_task(_end(reader))
        while not end.done():
            writer.write(b"x")
            await asyncio.wait([end], timeout=0.05)
        assert await end == b""
        await app.disconnected.wait()
    assert app.bodies == []


async def test_a_client_that_goes_on_sending_what_was_refused_is_cut_and_can_read_why() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as connect:
        reader, writer = await connect()
        writer.write(HEAD.replace(b"/ ", b"/refused ", 1) + b"Content-Length: 100000000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(2) == b"ok"
        end = asyncio.create_task(_end(reader))
        while not end.done():
            writer.write(b"x")
            await asyncio.wait([end], timeout=0.05)
        assert await end == b""


async def test_a_client_that_does_not_read_its_answer_is_cut() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, SHORT)) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"Content-Length: 0\r\n\r\n")
        await app.disconnected.wait()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    async with serving(Application(), Patience(SHORT, SHORT, timedelta(seconds=2))) as connect:
        reader, writer = await connect()
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        while data := await reader.read(8 * len(PIECE)):
            length += len(data)
            await asyncio.sleep(0.01)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert length == 30 * len(PIECE)


async def test_a_client_that_pauses_between_two_requests_is_served_again() -> None:
    app = Application()
    async with serving(app, Patience(SHORT, SHORT, SHORT)) as connect:
        reader, writer = await connect()
        for number in range(2):
            writer.write(HEAD + b"Content-Length: 1\r\n\r\n%d" % number)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(2) == b"ok"
            await asyncio.sleep(1.5)  # so that somebody has looked at the connection meanwhile
    assert app.bodies == [b"0", b"1"]


async def test_the_head_of_an_answer_does_not_wait_for_a_body_that_comes_later() -> None:
    app = Application()
    async with serving(app, Patience(LONG, LONG, LONG)) as connect:
        reader, writer = await connect()
        writer.write(HEAD.replace(b"/ ", b"/later ", 1) + b"Content-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        app.let_go.set()
        assert await reader.readexactly(12) == b"2\r\nok\r\n0\r\n\r\n"


async def test_an_answer_that_has_a_length_and_no_body_is_sent() -> None:
    async with serving(Application(), Patience(LONG, LONG, LONG)) as connect:
        reader, writer = await connect()
        writer.write(HEAD.replace(b"POST", b"HEAD", 1) + b"\r\n")
        async with asyncio.timeout(2):  # not only at the end of the connection
            assert b"content-length: 2" in await reader.readuntil(b"\r\n\r\n")
