"""Answers to fetches of polling code: compressed, in tiny pieces, without an end, or not HTTP at all."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence

from tests.attacks.attack import MEBIBYTE, Attack, Limits
from tests.attacks.attacker import Attacker
from tests.attacks.pages import raw, without_end
from tests.support.servers import Answer, Seen, answering, response

_GZIP = ("Content-Encoding", "gzip")
_EMPTY_MEMBER = gzip.compress(b"", mtime=0)
_LARGEST = 2 * MEBIBYTE - 64  # bytes of an answer
_ROUNDS = 16  # dry runs, each with names or addresses that the service has not seen
_FLAT = Limits(lasting=24 * MEBIBYTE)
_READ = "const r = await fetch(inputs.address); try { await r.arrayBuffer(); } catch {} return [];"
_READ_48 = """
for (let i = 0; i < 48; i++) try { await (await fetch(inputs.address)).arrayBuffer(); } catch {}
return [];
"""


def _fetched(name: str, answer: Answer, *, case: str = "H3", code: str = _READ, short: bool = False) -> Attack:
    """Run polling code that fetches a page with this answer. The fetch may fail, and the code may fail."""

    async def run(attacker: Attacker) -> None:
        await attacker.run(code, inputs={"address": attacker.serve(answer)})

    return Attack(f"an answer: {name}", case, run, short=short)


def _zipped(name: str, body: bytes, *, code: str = _READ, short: bool = False) -> Attack:
    return _fetched(name, answering(200, body, _GZIP), code=code, short=short)


def _members(inside: bytes) -> bytes:
    member = gzip.compress(inside, mtime=0)
    return member * (_LARGEST // len(member))


def _stored_blocks() -> bytes:
    """Return a gzip member of empty blocks, which decompress to nothing."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + b"\0\0\0\xff\xff" * ((_LARGEST - 30) // 5) + b"\1\0\0\xff\xff" + struct.pack("<II", 0, 0)


def _bomb() -> bytes:
    """Return as many zeros as 2 MiB of gzip can hold: about 2 GiB. The checksum at the end is missing."""
    press = zlib.compressobj(9, wbits=31)
    head = press.compress(b"") + press.flush(zlib.Z_FULL_FLUSH)
    block = press.compress(bytes(MEBIBYTE)) + press.flush(zlib.Z_FULL_FLUSH)
    return head + block * ((_LARGEST - len(head)) // len(block))


def _chunks(size: int, total: int) -> Iterator[bytes]:
    chunk = b"%x\r\n%b\r\n" % (size, b"c" * size)
    for _ in range(total // size // 1000):
        yield chunk * 1000
    yield b"0\r\n\r\n"


def _chunked(size: int, total: int) -> Sequence[bytes]:
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *_chunks(size, total))


def _many_headers(count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"x-{n}", str(n)) for n in range(count))


async def _redirected(attacker: Attacker) -> None:
    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(302, b"r" * 1_000_000, ("Location", f"{url}?{'r' * 50_000}")))

    url = attacker.serve(answer)
    await attacker.run(_READ_48, inputs={"address": url})


async def _names_of_headers(attacker: Attacker) -> None:
    """Each name is new, so that the service gains nothing if it remembers the name."""
    url = attacker.serve(answering())
    code = """
    const name = inputs.round + 'x'.repeat(2e5);
    for (let i = 0; i < 40; i++) await fetch(inputs.address, { headers: { [name + i]: '1' } }).catch(() => {});
    return [];
    """
    for round_ in range(_ROUNDS):
        await attacker.run(code, inputs={"address": url, "round": f"r{round_}-"})


async def _urls(attacker: Attacker) -> None:
    url = attacker.serve(answering())
    code = """
    const address = inputs.address + '?' + inputs.round + 'x'.repeat(6e4);
    await Promise.allSettled(Array.from({ length: 48 }, (_, i) => fetch(address + i)));
    return [];
    """
    for round_ in range(_ROUNDS):
        await attacker.run(code, inputs={"address": url, "round": f"r{round_}-"})


_HEAD = b"HTTP/1.1 200 OK\r\n"

ATTACKS = (
    _zipped("2 MiB of empty gzip members", _EMPTY_MEMBER * (_LARGEST // len(_EMPTY_MEMBER)), short=True),
    _zipped(
        "2 MiB of empty gzip members, 48 times",
        _EMPTY_MEMBER * (_LARGEST // len(_EMPTY_MEMBER)),
        code=_READ_48,
        short=True,
    ),
    _zipped("2 MiB of gzip members of a byte", _members(b"x"), code=_READ_48),
    _zipped("2 MiB of gzip members of 100 bytes", _members(b"x" * 100), code=_READ_48),
    _zipped("2 MiB of empty blocks", _stored_blocks(), code=_READ_48),
    _zipped("2 GiB of zeros", _bomb(), short=True),
    _zipped("2 GiB of zeros, zipped twice", gzip.compress(_bomb())),
    _zipped("gzip that ends too early", gzip.compress(b"x" * 100_000)[:-10]),
    _zipped("what is no gzip", b"x" * _LARGEST),
    _zipped("gzip with a name of 2 MB", b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * (_LARGEST - 10), code=_READ_48),
    _fetched("gzip in chunks of a byte", raw(*_chunked(1, 30_000)), code=_READ),
    _fetched("chunks of a byte", raw(*_chunked(1, 2_000_000)), code=_READ_48),
    _fetched(
        "chunks of 16 bytes, without an end",
        without_end(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10\r\n0123456789abcdef\r\n" * 1000),
    ),
    _fetched("a body without an end", without_end(_HEAD + b"\r\n", b"x" * 65_536)),
    _fetched("a header without an end", without_end(_HEAD + b"X-Header: ", b"x" * 65_536)),
    _fetched("headers without an end", without_end(_HEAD, b"X: y\r\n" * 1000)),
    _fetched("hints without an end", without_end(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)),
    _fetched("a chunk of 16 exabytes", raw(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx")),
    _fetched("a length of 30 digits", raw(_HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nx")),
    _fetched("10,000 headers", answering(200, b"", *_many_headers(8_000)), code=_READ_48),
    _fetched("a header of 90 KB", answering(200, b"", ("x-long", "x" * 90_000)), code=_READ_48),
    _fetched("a status line of 90 KB", raw(b"HTTP/1.1 200 " + b"R" * 90_000 + b"\r\n\r\n")),
    _fetched("48 times 2 MiB", answering(200, b"x" * _LARGEST), code=_READ_48),
    _fetched(
        "deep JSON", answering(200, b"[" * _LARGEST), code="await (await fetch(inputs.address)).json(); return [];"
    ),
    _fetched("it hangs up at once", raw(b""), code=_READ_48),
    _fetched("another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n" * 1000)),
    Attack("an answer: redirects in a circle, with long addresses", "H3", _redirected),
    Attack("a request: new names of headers of 200 KB", "H6", _names_of_headers, _FLAT, short=True),
    Attack("a request: new addresses of 60 KB", "H6", _urls, _FLAT),
)
