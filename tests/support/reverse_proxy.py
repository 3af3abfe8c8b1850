"""A reverse proxy that serves one program below a path, and passes the path on or takes it away."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from tests.support.proxy import copied


@dataclass
class ReverseProxy:
    prefix: str
    strips: bool
    tells: bool = False
    """Whether it says in X-Forwarded-Prefix what it has taken away."""
    backend: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, version = head[0].split(" ")
            headers = [line for line in head[1:-2] if not line.lower().startswith(("connection:", "x-forwarded"))]
            length = next((int(line[15:]) for line in headers if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            if not path.startswith(f"{self.prefix}/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                onward = path.removeprefix(self.prefix) if self.strips else path
                told = [f"X-Forwarded-Prefix: {self.prefix}"] if self.tells else []
                lines = [f"{method} {onward} {version}", *headers, *told, "Connection: close", "", ""]
                source, sink = await asyncio.open_connection("127.0.0.1", self.backend)
                sink.write("\r\n".join(lines).encode("latin-1") + body)
                await copied(source, writer)
                sink.close()
        writer.close()
