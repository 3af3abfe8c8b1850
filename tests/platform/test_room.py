"""Bodies under way on real sockets fit into the room together, and one sender can't have all of the room."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network

import pytest
from starlette.types import Receive, Scope, Send

from hairtrigger.platform.http_server import NO_ROOM, HttpServer, Patience
from hairtrigger.platform.peers import Proxies
from hairtrigger.platform.room import Room

pytestmark = pytest.mark.anyio

KIB = 1024
ROOM = 1024 * KIB
LARGE = 100 * KIB
PATIENCE = Patience(*[timedelta(minutes=5)] * 3)
THIS_MACHINE = (ip_network("127.0.0.0/8"),)


@dataclass
class Application:
    """Take each body and answer with its size; /refused answers without reading, /later waits until it is let go."""

    holds: int = 0
    most: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    without_room: int = 0
    gone: int = 0
    waiting: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        more = scope["path"] != "/refused"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                await self._count(-size, ended=True, without_room=NO_ROOM in scope["state"])
                return
            size += len(message["body"])
            await self._count(len(message["body"]))
            more = message["more_body"]
        if scope["path"] == "/later":
            await self._count(0, waits=True)
            await self.let_go.wait()
        answer = str(size).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        await self._count(-size)

    async def _count(self, size: int, *, ended: bool = False, without_room: bool = False, waits: bool = False) -> None:
        async with self.changed:
            self.holds += size
            self.most = max(self.most, self.holds)
            self.gone += ended
            self.without_room += without_room
            self.waiting += waits
            self.changed.notify_all()

    async def until(self, what: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(what)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Place:
    app: Application
    room: Room
    connect: Callable[[], Awaitable[Connection]]

    async def send(self, *pieces: bytes) -> Connection:
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
        return reader, writer

    async def empty(self) -> None:
        """Wait until the room holds nothing."""
        while self.room.requests or self.room.bytes:
            await asyncio.sleep(0.01)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with serving() as place:
        yield place


@asynccontextmanager
async def serving() -> AsyncIterator[Place]:
    app = Application()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    server = HttpServer(app, PATIENCE, timedelta(seconds=1), room=ROOM, proxies=THIS_MACHINE)
    writers = []

    async def connect() -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writers.append(writer)
        return reader, writer

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield Place(app, server.config.room, connect)  # type: ignore[attr-defined]
        finally:
            for writer in writers:
                writer.close()
            app.let_go.set()
            server.should_exit = True


def head(*more: str, path: str = "/", length: int | None = None, sender: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if sender:
        lines.append(f"X-Forwarded-For: {sender}")
    return "\r\n".join([*lines, "", ""]).encode()


async def status(reader: asyncio.StreamReader) -> int:
    """Return the status of the next answer, and read that answer to its end."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    code = int(lines[0].split()[1])
    if code != 100:
        await reader.readexactly(int(headers["content-length"]))
    if code == 503:
        assert int(headers["retry-after"]) > 0
        assert headers["connection"] == "close"
        assert await reader.read() == b"", "it is hung up on"
    return code


async def filled(place: Place, sender: str = "") -> list[Connection]:
    """Fill the room with bodies that are never finished."""
    count = ROOM // LARGE
    bodies = [await place.send(head(length=LARGE + 1, sender=sender), bytes(LARGE)) for _ in range(count)]
    await place.app.until(lambda: place.app.holds == count * LARGE)
    return bodies


async def test_a_small_request_is_received_while_300_hold_their_bodies_back(place: Place) -> None:
    held = [await place.send(head(length=LARGE + 1), bytes(LARGE)) for _ in range(300)]
    answers = [asyncio.create_task(status(reader)) for reader, _ in held]
    fit = ROOM // LARGE
    while sum(answer.done() for answer in answers) < 300 - fit:
        await asyncio.wait([a for a in answers if not a.done()], return_when=asyncio.FIRST_COMPLETED)
    assert {answer.result() for answer in answers if answer.done()} == {503}
    for _ in range(50):
        reader, _ = await place.send(head(length=5), b"small")
        assert await status(reader) == 200
    assert place.room.bytes <= ROOM
    assert place.app.most <= ROOM
    assert place.app.without_room >= 300 - fit
    assert place.app.without_room == place.app.gone
    for answer in answers:
        answer.cancel()


async def test_small_bodies_in_great_numbers_make_room_for_small_ones(place: Place) -> None:
    small = 60 * KIB
    held = [await place.send(head(length=small + 1), bytes(small)) for _ in range(300)]
    answers = [asyncio.create_task(status(reader)) for reader, _ in held]
    await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    reader, _ = await place.send(head(length=small), bytes(small))
    assert await status(reader) == 200
    assert place.room.bytes <= ROOM
    await place.app.until(lambda: place.app.holds <= ROOM)
    for answer in answers:
        answer.cancel()


async def test_what_a_sender_holds_gives_way_to_what_another_sends(place: Place) -> None:
    held = await filled(place, sender="198.51.100.1")
    reader, _ = await place.send(head(length=5 * LARGE, sender="198.51.100.2"), bytes(5 * LARGE))
    assert await status(reader) == 200
    gave_way = [asyncio.create_task(status(each)) for each, _ in held]
    done, others = await asyncio.wait(gave_way, return_when=asyncio.FIRST_COMPLETED)
    assert {each.result() for each in done} == {503}
    for each in others:
        each.cancel()


async def test_a_sender_that_holds_most_gets_no_more(place: Place) -> None:
    held = await filled(place, sender="198.51.100.1")
    reader, writer = await place.send(head("Expect: 100-continue", length=LARGE, sender="198.51.100.1"))
    assert await status(reader) == 503, "and not 100"
    reader, writer = await place.send(head(length=LARGE, sender="198.51.100.1"))
    assert await status(reader) == 503, "before anything of the body has come"
    for _, writer in held:  # earlier bodies are still received
        writer.write(b"x")
    assert [await status(reader) for reader, _ in held] == [200] * len(held)


async def test_an_address_that_a_proxy_does_not_give_is_that_of_all(place: Place) -> None:
    await filled(place)
    reader, _ = await place.send(head(length=LARGE))
    assert await status(reader) == 503


async def test_a_client_that_asks_first_is_told_to_go_on_where_there_is_room(place: Place) -> None:
    reader, writer = await place.send(head("Expect: 100-continue", length=LARGE))
    assert await status(reader) == 100
    writer.write(bytes(LARGE))
    assert await status(reader) == 200


async def test_a_body_without_a_length_is_ended_where_the_room_is(place: Place) -> None:
    await filled(place)
    chunk = b"1000\r\n" + bytes(4096) + b"\r\n"
    reader, writer = await place.send(head("Transfer-Encoding: chunked"))
    answer = asyncio.create_task(status(reader))
    while not answer.done():
        writer.write(chunk)
        await asyncio.wait([answer], timeout=0.01)
    assert answer.result() == 503


async def test_what_is_too_large_for_the_room_is_left_to_the_application(place: Place) -> None:
    reader, _ = await place.send(head(path="/refused", length=100 * ROOM))
    assert await status(reader) == 200


async def test_complete_requests_keep_their_room_until_they_are_answered_and_give_no_way(place: Place) -> None:
    count = ROOM // LARGE
    complete = [await place.send(head(path="/later", length=LARGE), bytes(LARGE)) for _ in range(count)]
    await place.app.until(lambda: place.app.waiting == count)
    small = 60 * KIB
    reader, _ = await place.send(head(length=small), bytes(small))
    assert await status(reader) == 503
    place.app.let_go.set()
    assert [await status(reader) for reader, _ in complete] == [200] * count
    reader, _ = await place.send(head(length=small), bytes(small))
    assert await status(reader) == 200


# -- heads


@pytest.mark.parametrize("pieces", [1, 50])
@pytest.mark.parametrize("name", ["one", "many"])
async def test_a_head_that_is_too_large_is_431(place: Place, name: str, pieces: int) -> None:
    lines = [f"X-{number if name == 'many' else 0}: {'x' * 2000}" for number in range(50)]
    if name == "one":
        lines = [f"X-One: {'x' * 100_000}"]
    reader, writer = await place.connect()
    data = head(*lines)
    end = asyncio.create_task(status(reader))
    for start in range(0, len(data), len(data) // pieces + 1):
        writer.write(data[start : start + len(data) // pieces + 1])
        await asyncio.wait([end], timeout=0.001)
    assert await end == 431
    await place.empty()


async def test_a_head_without_end_is_ended(place: Place) -> None:
    reader, writer = await place.send(head()[:-2])
    end = asyncio.create_task(status(reader))
    while not end.done():
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await asyncio.wait([end], timeout=0.001)
    assert await end == 431
    assert place.room.bytes < 2 * 65_536


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"5;x="])
async def test_what_stands_around_a_body_has_an_end_too(place: Place, endless: bytes) -> None:
    reader, writer = await place.send(head("Transfer-Encoding: chunked"), b"1\r\nx\r\n", endless)
    end = asyncio.create_task(status(reader))
    while not end.done():
        writer.write(b"x" * 1000)
        await asyncio.wait([end], timeout=0.001)
    assert await end in (431, 400)
    await place.empty()


async def test_heads_that_do_not_end_are_counted(place: Place) -> None:
    for _ in range(20):
        await place.send(head("X-Long: " + "x" * 50_000)[:-4])
    while place.room.bytes < 10 * 50_000:
        await asyncio.sleep(0.01)
    assert place.room.bytes <= ROOM


# -- the room is given back


async def test_nothing_is_held_of_what_was_answered_refused_cut_or_never_begun(place: Place) -> None:
    answered, _ = await place.send(head(length=LARGE), bytes(LARGE))
    assert await status(answered) == 200
    early, writer = await place.send(head(path="/refused", length=LARGE), b"begun")
    assert await status(early) == 200
    writer.write(bytes(LARGE))
    _, broken = await place.send(head(length=LARGE), bytes(LARGE - 1))
    await place.app.until(lambda: place.app.holds == LARGE - 1)
    broken.close()
    _, half_a_head = await place.send(head()[:20])
    half_a_head.close()
    await place.send(b"NONSENSE\r\n\r\n")
    _, first = await place.send(head(path="/later", length=1), b"x" + 3 * (head(length=10) + b"0123456789"))
    await place.app.until(lambda: place.app.waiting == 1)
    first.close()
    place.app.let_go.set()
    await place.empty()
    assert place.app.holds == 0


async def test_requests_in_a_row_are_answered_in_their_order(place: Place) -> None:
    reader, _ = await place.send(b"".join(head(length=size) + bytes(size) for size in (1, 22, 333)))
    answers = [await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(size) for size in (1, 2, 3)]
    assert [answer.rpartition(b"\r\n")[2] for answer in answers] == [b"1", b"22", b"333"]
    await place.empty()


async def test_a_client_that_goes_on_sending_can_read_why_it_was_refused(place: Place) -> None:
    await filled(place)
    reader, writer = await place.connect()
    writer.write(head("Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    for _ in range(20):
        writer.write(chunk)
    assert await status(reader) == 503


# -- the address of a sender


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),  # not from a known proxy, so it is not believed
        ("127.0.0.1", "", ""),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the client may write anything in front
        ("127.0.0.1", "203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("::ffff:127.0.0.1", "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "", "2001:db8:1:2::/64"),
        ("127.0.0.1", "unknown", "unknown"),
        ("", "", ""),
    ],
)
def test_where_a_request_comes_from(peer: str, forwarded: str, sender: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert Proxies(THIS_MACHINE).sender(peer, headers) == sender
