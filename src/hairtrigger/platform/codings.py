"""Content codings undone (RFC 9110, section 8.4), in steps of bounded work.

What a server sends decides how much there is to do for each byte, so every call of zlib takes and gives little, and
what goes in, and each member of a gzip stream, is counted.
"""

import zlib
from collections.abc import Iterator, Sequence

_MOST = 3  # one upon the other
_WINDOW = 1024  # zlib copies what it does not use of what it is given
_LARGEST = 16 * 1024
_MEMBER = 256  # to begin another member takes as long as to read so many bytes

STEP = 2 * _WINDOW
"""What one step costs at most, in bytes that are parsed."""


class Coding:
    """One coding, undone as its bytes come in. Several members may follow each other."""

    def __init__(self, name: str) -> None:
        self._is_gzip = name != "deflate"
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._received = 0

    @property
    def cost(self) -> int:
        """The bytes that came in, or as many as would take as long."""
        return self._received + _MEMBER * max(self._members - 1, 0)

    @property
    def ended(self) -> bool:
        """Whether it could end here, or has not begun."""
        return self._member is None

    def steps(self, data: bytes) -> Iterator[bytes]:
        """What each step gives, which may be nothing. Raises `zlib.error`."""
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
        wrapped = data[0] & 0x0F == zlib.DEFLATED  # "deflate" means in zlib's format, but some send it bare
        return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


def codings_of(headers: Sequence[tuple[str, str]]) -> list[Coding] | None:
    """What has to be undone, the last coding first; none when one is unknown, or there are too many."""
    values = [value for name, value in headers if name == "content-encoding"]
    names = [name for name in (part.strip().lower() for part in ",".join(values).split(",")) if name]
    applied = [name for name in names if name != "identity"]
    if len(applied) > _MOST or not {"gzip", "x-gzip", "deflate"}.issuperset(applied):
        return None
    return [Coding(name) for name in reversed(applied)]


def undone(codings: Sequence[Coding], data: bytes) -> Iterator[bytes]:
    """What `data` holds, step by step."""
    if not codings:
        yield data
        return
    for part in codings[0].steps(data):
        if part:
            yield from undone(codings[1:], part)
        else:
            yield part
