"""An HTTP proxy, which notes what it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar


@dataclass
class HttpProxy:
    places: Mapping[str, tuple[str, int]]
    """The places that it connects to by the names that it is asked for, such as `api.test:443`."""
    refusal: str | None = None
    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(raw.decode())
            method, target, _ = self.lines[-1].split(" ")
            if self.refusal:
                writer.write(f"HTTP/1.1 {self.refusal}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            host, _, path = target.removeprefix("http://").partition("/")
            source, onward = await asyncio.open_connection(*self.places[host])
            writers.append(onward)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n")
            else:
                onward.write(raw.replace(target.encode(), f"/{path}".encode(), 1))
            await asyncio.gather(copied(reader, onward), copied(source, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in writers:
                one.close()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Proxy(Protocol):
    port: int

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


P = TypeVar("P", bound=Proxy)


@asynccontextmanager
async def proxying(proxy: P) -> AsyncIterator[P]:
    """Run a proxy while the body runs, at a port that the proxy is told."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(proxy.connected(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listener:
        proxy.port = listener.sockets[0].getsockname()[1]
        yield proxy
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
