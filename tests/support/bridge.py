"""A TCP server that leads to another server, and can cut what leads there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Bridge:
    port: int = 0
    open: bool = True
    taken: int = 0  # connections that were led on
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> None:
        """End all connections at once, as a network that breaks does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def bridge(connect: Callable[[], Awaitable[Opened]]) -> AsyncIterator[Bridge]:
    """Run a bridge to what `connect` opens. While it is not `open`, it ends each connection at once."""
    made = Bridge()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not made.open:
            writer.transport.abort()
            return
        made.taken += 1
        there, back = await connect()
        made._writers += [writer, back]
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        for one in (writer, back):
            one.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
