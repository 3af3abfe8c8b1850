"""Decompress HTTP bodies (content codings, RFC 9110, section 8.4) in steps of bounded work.

A server can choose bytes that take much work to decompress. So each call of zlib reads and returns little, and both the
bytes read and the members of a gzip stream are counted.
"""

import zlib
from collections.abc import Iterator, Sequence

_MOST = 3  # codings of one body, applied one after another
_WINDOW = 1024  # bytes for one call of zlib, which copies the part of its input that it does not use
_LARGEST = 16 * 1024
_MEMBER = 256  # the start of another member takes as long as reading this many bytes

STEP = 2 * _WINDOW
"""The highest cost of one step. The unit is that of `Turns`: the work of parsing one byte."""


class Coding:
    """A decompressor that undoes one coding of one body, as the bytes of the body arrive.

    The body may consist of several compressed members, one after the other.
    """

    def __init__(self, name: str) -> None:
        self._is_gzip = name != "deflate"
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._received = 0

    @property
    def cost(self) -> int:
        """Return the number of bytes received, plus a charge for each member after the first, because starting one
        takes time.
        """
        return self._received + _MEMBER * max(self._members - 1, 0)

    @property
    def ended(self) -> bool:
        """Return whether no compressed member is open, so that the body may end here."""
        return self._member is None

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Decompress the next bytes of the body in steps, and yield the result of each step, which may be empty.

        Raises `zlib.error` if the bytes are not compressed in this way.
        """
        self._received += len(data)
        for start in range(0, len(data), _WINDOW):
            yield from self._undone(data[start : start + _WINDOW])

    def _undone(self, data: bytes) -> Iterator[bytes]:
        full = False
        while data or full:
            if self._member is None:
                self._members += 1
                self._member = zlib.decompressobj(wbits=self._wbits(data))
            plain = self._member.decompress(data, _LARGEST)
            full = len(plain) == _LARGEST
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, full, self._member = self._member.unused_data, False, None
            yield plain

    def _wbits(self, data: bytes) -> int:
        if self._is_gzip:
            return 16 + zlib.MAX_WBITS
        wrapped = data[0] & 0x0F == zlib.DEFLATED  # some servers send deflate without zlib's header
        return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


def codings_of(headers: Sequence[tuple[str, str]]) -> list[Coding] | None:
    """Return the codings in the order in which they must be undone, or None if one is unknown or there are too many.

    The names of the headers must be in lower case.
    """
    values = [value for name, value in headers if name == "content-encoding"]
    if not values:
        return []
    names = [name for name in (part.strip().lower() for part in ",".join(values).split(",")) if name]
    applied = [name for name in names if name != "identity"]
    if len(applied) > _MOST or not {"gzip", "x-gzip", "deflate"}.issuperset(applied):
        return None
    return [Coding(name) for name in reversed(applied)]


def undone(codings: Sequence[Coding], data: bytes) -> Iterator[bytes]:
    """Undo the codings of the next bytes of a body, and yield the result of each step, which may be empty.

    Each step is bounded work. Raises `zlib.error` if the bytes are not coded in this way.
    """
    if not codings:
        yield data
        return
    for part in codings[0].steps(data):
        if part:
            yield from undone(codings[1:], part)
        else:
            yield part
