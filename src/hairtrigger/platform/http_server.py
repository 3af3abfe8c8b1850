"""Serve HTTP with uvicorn. Answers leave in one piece, and the connections of slow clients are cut off.

A client that sends or reads nothing holds a connection, and the memory for what it has sent so far. It may do so for a
limited time (`Patience`), and all clients together hold no more than there is room for (`platform/room.py`).
"""

import asyncio
import math
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from hairtrigger.platform.peers import Network, Proxies
from hairtrigger.platform.room import Held, Room
from hairtrigger.platform.turns import Turns

NO_ROOM = "hairtrigger.no_room"
"""The key that is set in the state of a request that was ended before all of it was received, because it had no room.

Its client was answered with 503, and did not go away by itself.
"""

_HELD = "hairtrigger.held"
_MOST_HEAD = 65_536  # bytes of a request's line and headers
_ROOM = 48 * 1024 * 1024
_LEAST_SLICE = 512  # bytes of a read that are parsed at once, or more if they have few lines
_LINES = 64  # of heads, headers and chunks that are parsed at once: about a millisecond
_READ = 16 * 1024  # bytes that are read from one connection at a time, so that many full ones share the event loop
# Costs in the bytes of `Turns`, each rather too high than too low: a step takes less than 0.1 ms.
_STEP = 1024  # the beginning of a connection, or the parsing of a slice
_BEGIN = 1536  # the beginning of a request: until it waits for the first time
_HEAD_COST, _LINE_COST, _PIECE_COST = 640, 16, 44  # in a slice, for each head, line and piece of a body
_TICKS = 10  # between two looks at all connections: a second
_NOTICE = 1  # seconds in which a client that is still sending its request can read the answer


@dataclass(frozen=True)
class Patience:
    """The longest times that a client may take.

    `head` and `body` are for sending these parts of a request, `answer` is for a time in which it reads nothing of an
    answer, and `idle` is for a connection that stays open between two requests.
    """

    head: timedelta
    body: timedelta
    answer: timedelta
    idle: timedelta = timedelta(seconds=75)


class HttpServer(uvicorn.Server):
    """A uvicorn server that limits the time of slow clients, and the memory for requests.

    `room` is the number of bytes that all requests together may hold. `proxies` are the networks of proxies that are
    believed about where a request comes from. A stop waits for requests that have begun, for at most `stop_within`.
    """

    def __init__(
        self,
        app: ASGIApp,
        patience: Patience,
        stop_within: timedelta,
        *,
        room: int = _ROOM,
        proxies: Iterable[Network] = (),
    ) -> None:
        super().__init__(_Config(app, patience, Room(room), Proxies(proxies)))
        self._stop_within = stop_within.total_seconds()
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Stop at once, and cut off the requests that have not ended."""
        self.should_exit = True
        self._hurried.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing, unlike uvicorn. The caller handles signals, because a stop begins with other steps."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, wait for the requests that have begun, and close the connections.

        Connections that wait for their turn are closed when it comes. Requests that have not ended after `stop_within`,
        or when `hurry` is called, are cut off. Those whose answer has not begun are answered with 503.
        """
        cast("_Config", self.config).stopping = True
        late = asyncio.create_task(self._cut_off_late())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    async def _cut_off_late(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop_within):
                await self._hurried.wait()
        for connection in list(self.server_state.connections):
            if isinstance(connection, _Connection):
                connection.cut_off()
        await asyncio.sleep(0)  # the applications must learn of the ends of their connections first
        for task in list(self.server_state.tasks):
            task.cancel()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Connection):
                    connection.cut_if_slow(now)
        return await super().on_tick(counter)


class _Config(uvicorn.Config):
    def __init__(self, app: ASGIApp, patience: Patience, room: Room, proxies: Proxies) -> None:
        turns = Turns()
        super().__init__(
            _Application(app, turns, lambda: self.stopping),
            http=_reader_maker(turns),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the application reads these headers where they matter
            server_header=False,
            timeout_keep_alive=math.ceil(patience.idle.total_seconds()),
        )
        self.stopping = False
        self.patience = patience
        self.room = room
        self.proxies = proxies


class _Application:
    """An ASGI application that begins each request when it has a turn, and gives back its room at its end."""

    def __init__(self, app: ASGIApp, turns: Turns, stopping: Callable[[], bool]) -> None:
        self._app = app
        self._turns = turns
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not self._turns.taken(_BEGIN):
                await self._turns.take(_BEGIN)
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._stopping():
                raise
            await _answer_that_it_was_cut_off(send)  # does nothing where the connection was aborted
        finally:
            scope["state"][_HELD].release()


async def _answer_that_it_was_cut_off(send: Send) -> None:
    text = b"The service stopped before this request had ended. Try again."
    body = b'{"detail":"%s","message":"%s"}' % (text, text)
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"retry-after", b"5"),
    ]
    await send({"type": "http.response.start", "status": HTTPStatus.SERVICE_UNAVAILABLE, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _reader_maker(turns: Turns) -> Callable[..., "_Reader"]:
    """Return a function that uvicorn calls to make the protocol of a connection.

    All protocols read into the same buffer, because only one of them reads at a time.
    """
    buffer = bytearray(_READ)
    return lambda *arguments, **named: _Reader(partial(_Connection, *arguments, **named), turns, buffer)


class _Reader(asyncio.BufferedProtocol):
    """Reads what a client sends, and passes it to a `_Connection`, a little in each turn of the event loop.

    Left to itself, the event loop would accept 2,000 clients in one turn, and read up to 8 MB from each. Nothing is
    passed on while a request waits for the answer to the request before it, so that few requests wait at the end of a
    connection.
    """

    def __init__(self, make: Callable[[], "_Connection"], turns: Turns, buffer: bytearray) -> None:
        self._make = make
        self._turns = turns
        self._buffer = buffer
        self._read = memoryview(buffer)
        self._connection: _Connection | None = None
        self._unread = b""
        self._waits = False  # for its turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread = b""
        if self._connection:
            self._connection.connection_lost(exc)

    def get_buffer(self, _: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._read[:nbytes])
        self._unread = self._unread + data if self._unread else data
        self._go_on()
        if self._waits:
            self._transport.pause_reading()  # reading begins by itself after `connection_made`

    def _turn(self) -> None:
        self._set_waits(waits=False)
        try:
            if not self._transport.is_closing():
                self._step()
                self._go_on()
        except BaseException:
            self._transport.abort()  # as the event loop does where it calls a protocol itself
            raise
        if not (
            self._waits or self._transport.is_closing() or (self._connection and self._connection.flow.read_paused)
        ):
            self._transport.resume_reading()

    def _set_waits(self, *, waits: bool) -> None:
        self._waits = waits
        if self._connection:
            self._connection.waits = waits

    def _go_on(self) -> None:
        while self._has_step() and not (self._waits or self._transport.is_closing()):
            if self._turns.taken(_STEP):
                self._step()
            else:
                self._wait()

    def _wait(self) -> None:
        self._set_waits(waits=True)
        self._turns.call(_STEP, self._turn)

    def _on_answered(self) -> None:
        if self._has_step() and not (self._waits or self._transport.is_closing()):
            self._wait()
            self._transport.pause_reading()

    def _has_step(self) -> bool:
        return bool(self._unread and not self._connection.pipeline) if self._connection else True

    def _step(self) -> None:
        """Make the `_Connection`, or pass it a slice of the bytes that have come."""
        connection = self._connection
        if not connection:
            self._connection = connection = self._make()
            connection.on_answered = self._on_answered
            self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
            self.resume_writing = connection.resume_writing  # type: ignore[method-assign]
            connection.connection_made(self._transport)
        elif self._unread:
            data, lines = self._slice()
            connection.data_received(data)
            if (more := connection.cost_of_read + lines * _LINE_COST - _STEP) > 0:
                self._turns.charge(more)

    def _slice(self) -> tuple[bytes, int]:
        """Take the next bytes to parse, and return them with the number of their lines.

        A slice has at most `_LINES` lines or `_LEAST_SLICE` bytes, because each line, such as a header, takes time.
        """
        data = self._unread
        lines = data.count(b"\n")
        while len(data) > _LEAST_SLICE and lines > _LINES:
            data = data[: len(data) // 2]
            lines = data.count(b"\n")
        self._unread = self._unread[len(data) :]
        return data, lines


class _Connection(HttpToolsProtocol):
    def __init__(
        self,
        config: _Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head = config.patience.head.total_seconds()
        self._body = config.patience.body.total_seconds()
        self._answer = config.patience.answer.total_seconds()
        self._sent_by = math.inf  # by then the client has sent what is awaited of it
        self._read_by = math.inf
        self._room = config.room
        self._proxies = config.proxies
        self._held: Held | None = None  # of the request that is being received
        self._before: RequestResponseCycle | None = None  # that request's predecessor
        self._head_is_here = False
        self._moves = False  # whether this read brought a request on
        self._idle_bytes = 0  # that came since a read brought a request on
        self._ended = False
        self._settings = config
        self.on_answered: Callable[[], None] = lambda: None  # called when no request waits any more
        self.waits = False  # for its turn to be read
        self.cost_of_read = 0  # the cost of the last slice, in the bytes of `Turns`

    def cut_if_slow(self, now: float) -> None:
        sending = now > self._sent_by and not (self.flow.read_paused or self.waits)  # if so, this process is slow
        if sending or now > self._read_by:
            self.transport.abort()

    def cut_off(self) -> None:
        """Abort the connection, unless its request can still be answered with 503."""
        if not self._head_is_here or self.cycle.response_started:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._pieces = _InOnePiece(transport, self.loop)
        super().connection_made(self._pieces)
        self._sent_by = self.loop.time() + self._head
        if self._settings.stopping:
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        self.cost_of_read = 0
        if self._ended:
            return
        self._moves = False
        super().data_received(data)
        if self._moves or self._ended:
            self._idle_bytes = 0
            return
        self._idle_bytes += len(data)
        if self._idle_bytes > _MOST_HEAD:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._held:
            self._held.add(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._ended:
            return
        self._before = self.cycle
        self._head_is_here = False
        self._held = Held(self._room, self._sender, self._give_way)
        self._sent_by = self.loop.time() + self._head

    def on_headers_complete(self) -> None:
        if self._ended or not self._held:
            return
        self._moves = True
        self.cost_of_read += _HEAD_COST
        head = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
        if head > _MOST_HEAD:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self.scope["state"][_HELD] = self._held
        super().on_headers_complete()
        self._head_is_here = True
        self._sent_by = self.loop.time() + self._body
        self._held.add(head)
        if not self._room.has(self._held, self._announced()):
            self._give_way()

    def on_body(self, body: bytes) -> None:
        self._moves = True
        self.cost_of_read += _PIECE_COST
        if self._ended or self.cycle.response_complete:
            return
        super().on_body(body)
        if self._held:
            self._held.add(len(body))

    def on_message_complete(self) -> None:
        self._moves = True
        if self._ended:
            return
        super().on_message_complete()
        self._sent_by = math.inf
        if self._held:
            self._held.complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held and not self._head_is_here:
            self._held.release()
        for cycle, _ in self.pipeline:  # they were never begun, and never will be
            cycle.scope["state"][_HELD].release()
        super().connection_lost(exc)

    def _sender(self) -> str:
        return self._proxies.sender(self.client[0] if self.client else "", self.headers)

    def _announced(self) -> int:
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return int(length) if length.isdigit() else 0

    def _give_way(self) -> None:
        """End the request that is being received, because there is no room for it."""
        if self._head_is_here:
            self.scope["state"][NO_ROOM] = True
        self._end(HTTPStatus.SERVICE_UNAVAILABLE)

    def _end(self, status: HTTPStatus) -> None:
        """Answer the request that is being received with an error, and close the connection.

        If its answer has begun, or an earlier request is still to be answered, abort the connection without an answer.
        """
        if self._ended:
            return
        self._ended = True
        if self._held:
            self._held.release()
        if self._pieces.is_closing():
            return
        before, cycle = self._before, self.cycle if self._head_is_here else None
        if (before and not before.response_complete) or (cycle and cycle.response_started):
            self._pieces.abort()
            return
        if cycle:
            cycle.disconnected = True  # the application is told so, and its answer is not sent
            cycle.waiting_for_100_continue = False
            cycle.body = bytearray()
            cycle.message_event.set()
        self._pieces.write(_refusal(status))
        self._pieces.write_eof()
        self._sent_by = math.inf
        self.flow.resume_reading()  # what still comes is thrown away: a reset would take the answer along
        self.loop.call_later(_NOTICE, self._pieces.abort)

    def on_response_complete(self) -> None:
        self._pieces.let_go()
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()  # until all requests that have come are answered
        else:
            self.on_answered()
        if self.cycle.response_complete and self.cycle.more_body:
            self._sent_by = min(self._sent_by, self.loop.time() + _NOTICE)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_by = self.loop.time() + self._answer

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_by = math.inf


def _refusal(status: HTTPStatus) -> bytes:
    """Return an answer as bytes. It has the fields of all APIs, because it may be unknown which one was asked."""
    text = {
        HTTPStatus.SERVICE_UNAVAILABLE: "Too much is being received. Try again in a moment.",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"The headers are larger than {_MOST_HEAD} bytes.",
    }[status]
    body = f'{{"detail":"{text}","message":"{text}"}}'
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "x-content-type-options: nosniff",
        "connection: close",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("retry-after: 5")
    return "\r\n".join([*lines, "", body]).encode()


class _InOnePiece(asyncio.Transport):
    """A transport that sends the head of an answer in one piece with the beginning of its body.

    Two writes would be two system calls, and wake the client twice. A head without a content-length is sent alone if no
    body follows it in the same turn of the event loop, because such a body may come late. A head with a content-length
    is held until its body begins. At the end of an answer without a body, the caller sends it with `let_go`, `close` or
    `write_eof`.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data[:5] == b"HTTP/" and isinstance(data, bytes):
            self._head = data
            if b"\r\ncontent-length: " not in data:
                self._loop.call_soon(self.let_go)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self.let_go()
        self._transport.close()

    def abort(self) -> None:
        self._head = b""
        self._transport.abort()

    def write_eof(self) -> None:
        self.let_go()
        self._transport.write_eof()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def let_go(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
