"""A small HTTP/1.1 server that answers exactly as a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


Answer = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    url: str
    port: int
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


def answering(status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, body, *headers))

    return answer


def saying(raw: bytes) -> Answer:
    """Answer with these bytes and close the connection."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    return answer


def response(status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@asynccontextmanager
async def serving(
    answer: Answer,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    longest_head: int = 2**16,
) -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                seen = await _request(reader)
                server.seen.append(seen)
                await answer(seen, writer)
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(connected, host, port, ssl=tls, backlog=1024, limit=longest_head)
    port = listener.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    server = Server(f"{'https' if tls else 'http'}://{shown}:{port}", port)
    async with listener:
        yield server
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = tuple((line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]) for line in head[1:-2])
    length = int(dict(headers).get("content-length", "0"))
    return Seen(method, path, headers, await reader.readexactly(length))
