"""What the attacker's server answers, beyond what `tests.support.servers` has."""

import asyncio
from contextlib import suppress

from tests.support.servers import Answer, Seen


def raw(*pieces: bytes) -> Answer:
    """Says these bytes and hangs up."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return answer


def without_end(head: bytes, piece: bytes) -> Answer:
    """Says `piece` again and again, until the other side hangs up."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with suppress(OSError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()

    return answer


def silent(said: bytes) -> Answer:
    """Says this much and no more, and does not hang up."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        await asyncio.Event().wait()

    return answer
