"""Heads of answers that real servers send and llhttp refuses, mended as RFC 9112 says or allows.

Only bytes of a head are changed here, never those of a body. A head that remains wrong is refused when it is read
again.
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
    """Return whether these first bytes are those of an answer at all."""
    return _BEGINNING.match(raw) is not None


def final_head(raw: bytes | bytearray) -> tuple[int, int | None, int]:
    """Return where the final head begins and ends, and how many interim answers stand before it.

    The end is None if it has not come.
    """
    start = interim = 0
    while blank := _BLANK_LINE.search(raw, start):
        if not _INTERIM.match(raw, start):
            return start, blank.end(), interim
        start = blank.end()
        interim += 1
    return start, None, interim


def mend(head: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the head with what can be mended, and what that was, worded to follow "The server"."""
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
    """Keep one of several equal lengths (RFC 9112, 6.3). Lengths that differ stay, and are refused."""
    lengths = [value.strip() for line in _LENGTHS.findall(head) for value in line.split(b",")]
    if len(lengths) < 2 or len(set(lengths)) > 1:
        return head
    first = _LENGTHS.sub(b"content-length: %b\r\n" % lengths[0], head, count=1)
    kept = _LENGTHS.search(first)
    assert kept
    return first[: kept.end()] + _LENGTHS.sub(b"", first[kept.end() :])


def _without_identity(head: bytes) -> bytes:
    """Leave only `chunked` of the transfer codings, if all others are `identity`, which means none (RFC 2616, 3.6)."""
    codings = [value.strip().lower() for line in _CODINGS.findall(head) for value in line.split(b",")]
    real = [coding for coding in codings if coding not in (b"", b"identity")]
    if codings == real or real not in ([], [b"chunked"]):
        return head
    without = _CODINGS.sub(b"", head)
    if not real:
        return without
    line = without.index(b"\n") + 1
    return without[:line] + b"transfer-encoding: chunked\r\n" + without[line:]
