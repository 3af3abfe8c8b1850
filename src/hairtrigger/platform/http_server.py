"""The HTTP server: uvicorn, whose answers leave in one piece, and whose slow clients are cut.

A client that does not send, or does not read, holds a connection and what it has sent so far. It may do so for a while.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_TICKS = 10  # between two looks at all connections: a second
_NOTICE = 1  # seconds to read an answer in, for a client that is still sending the request


@dataclass(frozen=True)
class Patience:
    """How long a client may take: for a request's head, for its body, and without reading any of an answer."""

    head: timedelta
    body: timedelta
    answer: timedelta


class HttpServer(uvicorn.Server):
    def __init__(self, app: ASGIApp, patience: Patience, stop_within: timedelta) -> None:
        super().__init__(_Config(app, patience, stop_within))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the caller's: a stop begins with other things than the end of listening."""
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Connection):
                    connection.cut_if_slow(now)
        return await super().on_tick(counter)


class _Config(uvicorn.Config):
    def __init__(self, app: ASGIApp, patience: Patience, stop_within: timedelta) -> None:
        super().__init__(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the app hears them where they matter
            server_header=False,
            timeout_graceful_shutdown=math.ceil(stop_within.total_seconds()),
        )
        self.patience = patience


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

    def cut_if_slow(self, now: float) -> None:
        sending = now > self._sent_by and not self.flow.read_paused  # then it is we who are slow
        if sending or now > self._read_by:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._pieces = _InOnePiece(transport, self.loop)
        super().connection_made(self._pieces)
        self._sent_by = self.loop.time() + self._head

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._sent_by = self.loop.time() + self._head

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._sent_by = self.loop.time() + self._body

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._sent_by = math.inf

    def on_response_complete(self) -> None:
        self._pieces.let_go()
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._sent_by = min(self._sent_by, self.loop.time() + _NOTICE)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_by = self.loop.time() + self._answer

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_by = math.inf


class _InOnePiece(asyncio.Transport):
    """Holds the head of an answer back until its body comes: two writes are two system calls and wake the client twice.

    A head that does not say how long its body is goes alone if that is not there at once: it may come in pieces.
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
