"""A network between two programs, which passes bytes on or shows a fault of real networks."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends RST
_CHUNK = 65_536


class Weather(Enum):
    FINE = "fine"
    SLOW = "slow"  # each chunk takes a quarter of a second
    TRICKLING = "trickling"  # answers come byte by byte
    CUT = "cut"  # each answer ends in its middle
    RESET = "reset"  # connections are reset when they are used
    SILENT = "silent"  # connections are made, and nothing passes


class Proxy:
    def __init__(self, port: int) -> None:
        self.weather = Weather.FINE
        self.url = ""
        self._port = port

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                ways = [self._pass(reader, far_writer, writer), self._pass(far_reader, writer, writer, answers=True)]
                passing = [asyncio.create_task(way) for way in ways]
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
                for task in passing:
                    task.cancel()
                await asyncio.gather(*passing, return_exceptions=True)
            finally:
                far_writer.close()
                writer.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        *,
        answers: bool = False,
    ) -> None:
        """Pass bytes on until the connection is over."""
        while chunk := await source.read(_CHUNK):
            match self.weather:
                case Weather.FINE:
                    sink.write(chunk)
                case Weather.SLOW:
                    await asyncio.sleep(0.25)
                    sink.write(chunk)
                case Weather.TRICKLING if answers:
                    for byte in chunk:
                        sink.write(bytes([byte]))
                        await asyncio.sleep(0.1)
                case Weather.CUT if answers:
                    sink.write(chunk[: len(chunk) // 2])
                    return
                case Weather.RESET:
                    handle: socket.socket = client.get_extra_info("socket")
                    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return
                case Weather.SILENT:
                    pass
                case _:
                    sink.write(chunk)
            await sink.drain()


@asynccontextmanager
async def proxying(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy for the server at `url`."""
    proxy = Proxy(int(url.rpartition(":")[2]))
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await proxy.connected(reader, writer)
        tasks.discard(task)

    async with await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024) as listener:
        proxy.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield proxy
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
