"""Answers as real servers send them, odd but readable, and those that are refused, each with the reason.

`docs/odd-answers.md` is made from them.
"""

import gzip
import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Odd:
    raw: bytes
    status: int = 200
    body: bytes = b"hi"
    header: tuple[str, str] | None = None
    said: str | None = None
    """What the answer is told to have been odd in; None where nothing had to be mended."""
    method: str = "POST"


@dataclass(frozen=True)
class Refused:
    raw: bytes
    why: str


def _lines(*lines: str, body: bytes = b"hi", status: str = "HTTP/1.1 200 OK", end: str = "\r\n") -> bytes:
    return end.join([status, *lines, "", ""]).encode("latin-1") + body


def _chunks(body: bytes, *lines: str) -> bytes:
    return _lines("Transfer-Encoding: chunked", *lines, body=body)


_TWO = "Content-Length: 2"
_FOLDED, _LENGTHS = "continued a header in a second line", "gave its length more than once"
_SPACE, _IDENTITY = "left a space before a colon", "named the transfer coding identity, which means none"

READ: dict[str, Odd] = {
    # lines of the head
    "a folded header": Odd(_lines("X-A: 1", " 2", _TWO), header=("x-a", "1 2"), said=_FOLDED),
    "a header folded with a tab, twice": Odd(
        _lines("X-A: 1", "\t2", "\t 3", _TWO), header=("x-a", "1 2 3"), said=_FOLDED
    ),
    "a folded header that begins empty": Odd(_lines("X-A:", " 2", _TWO), header=("x-a", "2"), said=_FOLDED),
    "a folded last header": Odd(_lines(_TWO, "X-A: 1", " 2"), header=("x-a", "1 2"), said=_FOLDED),
    "a folded header with line feeds alone": Odd(
        _lines("X-A: 1", " 2", _TWO, end="\n"), header=("x-a", "1 2"), said=_FOLDED
    ),
    "a fold of blanks": Odd(_lines("X-A: 1", "  ", _TWO), header=("x-a", "1"), said=_FOLDED),
    "a body that looks folded": Odd(_lines("Content-Length: 7", body=b"a\r\n b\r\n"), body=b"a\r\n b\r\n"),
    "a folded header before a body that looks folded": Odd(
        _lines("X-A: 1", " 2", "Content-Length: 5", body=b"a\r\n b"),
        body=b"a\r\n b",
        header=("x-a", "1 2"),
        said=_FOLDED,
    ),
    "a space before the colon": Odd(_lines("X-A : 1", "Content-Length\t: 2"), header=("x-a", "1"), said=_SPACE),
    "an empty header": Odd(_lines("X-A:", _TWO), header=("x-a", "")),
    "a header in Latin-1": Odd(_lines("X-A: \xe9", _TWO), header=("x-a", "\xe9")),
    "a header without a blank": Odd(_lines("X-A:1", "Content-Length:2"), header=("x-a", "1")),
    "line feeds alone": Odd(_lines("X-A: 1", _TWO, end="\n"), header=("x-a", "1")),
    "an empty line before it": Odd(b"\r\n" + _lines(_TWO)),
    "no reason": Odd(_lines(_TWO, status="HTTP/1.1 200 ")),
    "no reason and no blank": Odd(_lines(_TWO, status="HTTP/1.1 200")),
    "a reason in Latin-1": Odd(_lines(_TWO, status="HTTP/1.1 200 \xc9t\xe9")),
    "HTTP/1.0": Odd(_lines(status="HTTP/1.0 200 OK")),
    "a status of its own": Odd(_lines(_TWO, status="HTTP/1.1 999 Request denied"), status=999),
    "a head of 60 KB": Odd(_lines("X-A: " + "x" * 60_000, _TWO)),
    "500 headers": Odd(_lines(*["Set-Cookie: a=1"] * 500, _TWO)),
    "an upgrade that was offered": Odd(
        _lines("Upgrade: h2,h2c", "Connection: Upgrade", _TWO), header=("upgrade", "h2,h2c")
    ),
    # interim answers
    "100 unasked for": Odd(b"HTTP/1.1 100 Continue\r\n\r\n" + _lines(_TWO)),
    "102 twice": Odd(b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + _lines(_TWO)),
    "103 with headers": Odd(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _lines(_TWO)),
    "103 that closes the connection": Odd(b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + _lines(_TWO)),
    "103 with a folded header": Odd(b"HTTP/1.1 103 Early Hints\r\nLink: </a>;\r\n rel=preload\r\n\r\n" + _lines(_TWO)),
    "101 unasked for": Odd(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00", status=101, body=b""
    ),
    "101 without an upgrade": Odd(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", status=101, body=b""),
    # the length of the body
    "two equal lengths": Odd(_lines(_TWO, _TWO), header=("content-length", "2"), said=_LENGTHS),
    "two equal lengths in one line": Odd(_lines("Content-Length: 2, 2"), header=("content-length", "2"), said=_LENGTHS),
    "three equal lengths between others": Odd(
        _lines(_TWO, "X-A: 1", _TWO, "content-length: 2"), header=("x-a", "1"), said=_LENGTHS
    ),
    "no length": Odd(_lines("X-A: 1")),
    "no length, and the connection would stay open": Odd(_lines("Connection: keep-alive")),
    "a length and chunks": Odd(_chunks(b"2\r\nhi\r\n0\r\n\r\n", "Content-Length: 9")),
    "the transfer coding identity": Odd(_lines("Transfer-Encoding: identity", _TWO), said=_IDENTITY),
    "the transfer codings identity and chunked": Odd(
        _lines("Transfer-Encoding: identity, chunked", body=b"2\r\nhi\r\n0\r\n\r\n"), said=_IDENTITY
    ),
    "chunked with a comma": Odd(_lines("Transfer-Encoding: chunked,", body=b"2\r\nhi\r\n0\r\n\r\n"), said=_IDENTITY),
    "Chunked": Odd(_lines("Transfer-Encoding: Chunked", body=b"2\r\nhi\r\n0\r\n\r\n")),
    "chunks with extensions": Odd(_chunks(b'2;a=b;c="d e"\r\nhi\r\n0;last\r\n\r\n')),
    "chunk sizes with zeros and capitals": Odd(_chunks(b"00A\r\n0123456789\r\n000\r\n\r\n"), body=b"0123456789"),
    "chunk sizes with blanks": Odd(_chunks(b"2  \r\nhi\r\n0\r\n\r\n")),
    "trailers": Odd(_chunks(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")),
    "a line end after the body": Odd(_lines(_TWO, body=b"hi\r\n")),
    "204 with a length": Odd(_lines("Content-Length: 2", status="HTTP/1.1 204 No Content"), status=204, body=b""),
    "205 with a body": Odd(_lines(_TWO, status="HTTP/1.1 205 Reset Content"), status=205),
    "a body in answer to HEAD": Odd(_lines(_TWO), method="HEAD", body=b""),
    # compression
    "gzip without a body": Odd(_lines("Content-Encoding: gzip", "Content-Length: 0", body=b""), body=b""),
    "gzip in members": Odd(_lines("Content-Encoding: gzip", body=gzip.compress(b"h") + gzip.compress(b"i"))),
    "x-gzip": Odd(_lines("Content-Encoding: x-gzip", body=gzip.compress(b"hi"))),
    "deflate without its header": Odd(_lines("Content-Encoding: deflate", body=zlib.compress(b"hi")[2:-4])),
    "identity": Odd(_lines("Content-Encoding: identity", _TWO)),
}

REFUSED: dict[str, Refused] = {
    "two different lengths": Refused(_lines("Content-Length: 1", _TWO), "No reader can know where the answer ends."),
    "two different lengths in one line": Refused(_lines("Content-Length: 1, 2"), "No reader can know where it ends."),
    "a length that is no number": Refused(_lines("Content-Length: many"), "No reader can know where the answer ends."),
    "a negative length": Refused(_lines("Content-Length: -2"), "No reader can know where the answer ends."),
    "a signed length": Refused(_lines("Content-Length: +2"), "RFC 9110 has digits only; readers differ."),
    "a transfer coding but chunked": Refused(
        _lines("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        "It was not asked for (`TE`), and is hardly used.",
    ),
    "chunked twice": Refused(
        _lines("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "RFC 9112, 6.1 forbids it, and readers differ.",
    ),
    "a chunk size that is no number": Refused(_chunks(b"x\r\nhi\r\n0\r\n\r\n"), "The end of the chunk is unknown."),
    "a chunk longer than its size": Refused(_chunks(b"1\r\nhi\r\n0\r\n\r\n"), "The end of the chunk is unknown."),
    "a header without a colon": Refused(_lines("X-A", _TWO), "It is no header; what follows may be none either."),
    "a header name with a blank": Refused(_lines("X A: 1", _TWO), "It is no header; what follows may be none either."),
    "a NUL in a header": Refused(_lines("X-A: \0", _TWO), "RFC 9110, 5.5 calls it dangerous."),
    "a carriage return alone": Refused(
        _lines("X-A: 1\rX-B: 2", _TWO), "RFC 9112, 2.2: readers differ on where the line ends."
    ),
    "a head of more than 100 KB": Refused(_lines(*["X-A: " + "x" * 1000] * 110), "It would fill the memory."),
    "more than 1000 headers": Refused(_lines(*["X-A: 1"] * 1001), "Reading them takes too long."),
    "more than 20 interim answers": Refused(
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 21 + _lines(_TWO), "A server could go on with them for ever."
    ),
    "a status of two digits": Refused(_lines(_TWO, status="HTTP/1.1 20 OK"), "It is no status."),
    "another version": Refused(
        _lines(_TWO, status="HTTP/2 200"), "HTTP/2 and HTTP/3 are not spoken here, and not asked for."
    ),
    "no version": Refused(_lines(_TWO, status="ICY 200 OK"), "It is not HTTP."),
    "another protocol": Refused(b"SSH-2.0-OpenSSH_9.9\r\n", "It is not HTTP."),
    "HTTP/0.9": Refused(b"<html></html>", "It has no status, so it is unknown whether the request worked."),
}
