"""Mend heads of answers that real servers send and llhttp refuses, as RFC 9112 says or allows.

Only bytes of a head are changed, never those of a body. A head that remains wrong is refused when it is parsed again.
"""

import re

_BEGINNING = re.compile(rb"(?:\r?\n)*HTTP/1\.[01] [0-9]{3}")
_INTERIM = re.compile(rb"(?:\r?\n)*HTTP/1\.[01] 1(?!01)")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")
_SPACE_BEFORE_COLON = re.compile(rb"(?m)^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+:")
_LENGTHS = re.compile(rb"(?im)^content-length:([^\r\n]*)\r?\n")
_CODINGS = re.compile(rb"(?im)^transfer-encoding:([^\r\n]*)\r?\n")


def is_mendable(raw: bytes | bytearray) -> bool:
    """Return whether the bytes begin as an HTTP/1.0 or HTTP/1.1 answer does, up to its status."""
    return _BEGINNING.match(raw) is not None


def final_head(raw: bytes | bytearray) -> tuple[int, int | None, int]:
    """Return the offsets of the beginning and the end of the final head, and how many interim answers stand before it.

    The end is None if the final head has not come as a whole.
    """
    start = interim = 0
    while blank := _BLANK_LINE.search(raw, start):
        if not _INTERIM.match(raw, start):
            return start, blank.end(), interim
        start = blank.end()
        interim += 1
    return start, None, interim


def mend(head: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the mended head, and what was mended as phrases that follow "The server"."""
    odd = []
    unfolded = _FOLD.sub(b" ", head)  # RFC 9112, 5.2
    if unfolded != head:
        odd.append("continued a header in a second line")
    closed = _SPACE_BEFORE_COLON.sub(rb"\1:", unfolded)  # 5.1
    if closed != unfolded:
        odd.append("left a space before a colon")
    counted = _with_one_length(closed)
    if counted != closed:
        odd.append("gave its length more than once")
    mended = _without_identity(counted)
    if mended != counted:
        odd.append("named the transfer coding identity, which means none")
    return mended, tuple(odd)


def _with_one_length(head: bytes) -> bytes:
    """Return the head with one of several equal lengths (RFC 9112, 6.3).

    Lengths that differ are all left, so that the parser refuses the head.
    """
    lengths = [value.strip() for line in _LENGTHS.findall(head) for value in line.split(b",")]
    if len(lengths) < 2 or len(set(lengths)) > 1:
        return head
    first = _LENGTHS.sub(b"content-length: %b\r\n" % lengths[0], head, count=1)
    kept = _LENGTHS.search(first)
    assert kept
    return first[: kept.end()] + _LENGTHS.sub(b"", first[kept.end() :])


def _without_identity(head: bytes) -> bytes:
    """Return the head without the transfer coding `identity`, which means none (RFC 2616, 3.6).

    The head is left as it is if it names other codings than `identity` and one `chunked`.
    """
    codings = [value.strip().lower() for line in _CODINGS.findall(head) for value in line.split(b",")]
    real = [coding for coding in codings if coding not in (b"", b"identity")]
    if codings == real or real not in ([], [b"chunked"]):
        return head
    without = _CODINGS.sub(b"", head)
    if not real:
        return without
    line = without.index(b"\n") + 1
    return without[:line] + b"transfer-encoding: chunked\r\n" + without[line:]
