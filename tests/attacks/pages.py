"""Answers of the attacker's server, in addition to those of `tests.support.servers`."""

import asyncio
from contextlib import suppress

from tests.support.servers import Answer, Seen


def raw(*pieces: bytes) -> Answer:
    """Send these bytes and close the connection."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return answer


def without_end(head: bytes, piece: bytes) -> Answer:
    """Send `head`, then send `piece` again and again until the service closes the connection."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with suppress(OSError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()

    return answer


def silent(said: bytes) -> Answer:
    """Send these bytes and no more, and keep the connection open."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        await asyncio.Event().wait()

    return answer
