"""Defines the hooks that use the host's own libraries: hashes, single-byte encodings, compression and random bytes
here, and those that `keys`, `domains` and `zones` define.

The prelude keeps to the limits of these hooks. Code may get around the prelude, because it can change the built-ins
that the prelude uses. A hook then raises an ordinary error, such as ValueError, KeyError or TypeError, which ends the
poll.
"""

import codecs
import hashlib
import hmac
import os
import zlib
from collections.abc import Callable

from hairtrigger.sandbox.worker import keys
from hairtrigger.sandbox.worker.domains import to_ascii
from hairtrigger.sandbox.worker.zones import zone_name, zone_offset

Value = str | bytes | None  # None is JavaScript's undefined
Hook = Callable[..., Value]

HASHES = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
WINDOW_BITS = {"deflate": 15, "deflate-raw": -15, "gzip": 31}  # as zlib counts them
CODERS = 8  # that one poll may have at a time: each takes up to 300 kB outside of the poll's own memory
MOST_HASHED = 16 * 1024 * 1024  # bytes
MOST_RANDOM = 65_536
PIECE = 1024 * 1024
OUTPUT = 65_536  # bytes of decompressed data in one piece
BROKEN = "The compressed data is broken."
CUT = "The compressed data ends too early."
TRAILING = "Something follows the compressed data."

_ASCII = "".join(map(chr, range(128)))
SINGLE_BYTE = (
    *("ibm866", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8"),
    *("iso-8859-8-i", "iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u"),
    *("macintosh", "windows-874", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254"),
    *("windows-1255", "windows-1256", "windows-1257", "windows-1258", "x-mac-cyrillic"),
)
# Python's names of the encodings that the standard calls differently.
CODECS = {
    "ibm866": "cp866",
    "windows-874": "cp874",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "iso-8859-8-i": "iso-8859-8",
}
# The characters that Python's tables have wrong, after https://encoding.spec.whatwg.org/#indexes.
CORRECTIONS: dict[str, dict[int, str]] = {
    "koi8-u": {0xAE: "\u045e", 0xBE: "\u040e"},
    "iso-8859-7": {0xA4: "\u20ac", 0xA5: "\u20af", 0xAA: "\u037a"},
    "windows-1255": {0xCA: "\u05ba"},
}


def _decode(data: bytes | None, errors: str = "replace") -> str | None:
    try:
        return (data or b"").decode("utf-8", errors)
    except UnicodeDecodeError:
        return None


def _bounded(data: Value, most: int) -> bytes:
    """Return the bytes, or no bytes for None. Raises `ValueError` for a text, or if there are more than `most` bytes.

    No hook stops in the middle, so larger data would hold up the sandbox worker.
    """
    if isinstance(data, str) or len(data or b"") > most:
        raise ValueError("A hook was given what it does not take.")
    return data or b""


def random_length(text: str) -> int:
    """Return the number of random bytes for which a text asks. Raises `ValueError` if one call may not get so many."""
    length = int(text)
    if not 0 <= length <= MOST_RANDOM:
        raise ValueError("A hook was given what it does not take.")
    return length


def _random(length: str) -> bytes:
    return os.urandom(random_length(length))


# OpenSSL looks up an algorithm when it is first used. In a locked sandbox worker that would fail.
for _name in HASHES.values():
    hmac.digest(b"key", hashlib.new(_name, usedforsecurity=False).digest(), _name)


def _hash(name: str, data: bytes | None) -> bytes:
    return hashlib.new(HASHES[name], _bounded(data, MOST_HASHED), usedforsecurity=False).digest()


def _hmac(name: str, key: bytes, data: bytes | None) -> bytes:
    return hmac.digest(_bounded(key, PIECE), _bounded(data, MOST_HASHED), HASHES[name])


def single_byte_tables() -> dict[str, str]:
    """Return, by the name of each single-byte encoding, its upper 128 characters, with U+FFFD where the encoding has
    none.

    The tables are part of the prelude because a locked sandbox worker can load no codec.
    """
    return {name: _upper_half(name) for name in SINGLE_BYTE}


def _upper_half(encoding: str) -> str:
    characters = bytes(range(256)).decode(CODECS.get(encoding, encoding), "replace")
    corrections = CORRECTIONS.get(encoding, {})
    return "".join(corrections.get(byte) or _with_controls(byte, characters[byte]) for byte in range(128, 256))


def _with_controls(byte: int, character: str) -> str:
    return chr(byte) if character == "\ufffd" and byte < 0xA0 else character  # the standard has C1 controls there


def _decode_single_byte(data: bytes, upper_half: str) -> str:
    return codecs.charmap_decode(_bounded(data, PIECE), "replace", _ASCII + upper_half)[0]


class Coders:
    """The streams that one poll compresses or decompresses, by number.

    A step (`write`, `more`, `end`) returns output as bytes, None if there is no output at this step, or a string that
    says what is wrong with the data.
    """

    def __init__(self) -> None:
        self._coders: dict[str, _Compression | _Decompression] = {}
        self._opened = 0

    def open(self, way: str, name: str) -> str | None:
        """Open a stream and return its number, or None if the poll has too many streams already."""
        if len(self._coders) >= CODERS:
            return None
        self._opened += 1
        number = str(self._opened)
        bits = WINDOW_BITS[name]
        self._coders[number] = _Compression(bits) if way == "compress" else _Decompression(bits)
        return number

    def write(self, number: str, data: bytes) -> Value:
        coder = self._coders.get(number)
        answer = coder.write(_bounded(data, PIECE)) if coder else BROKEN
        if isinstance(answer, str):
            self._coders.pop(number, None)
        return answer

    def more(self, number: str) -> Value:
        return self.write(number, b"")

    def end(self, number: str) -> Value:
        coder = self._coders.pop(number, None)
        return coder.end() if coder else BROKEN


class _Compression:
    def __init__(self, bits: int) -> None:
        self._state = zlib.compressobj(wbits=bits)

    def write(self, data: bytes) -> Value:
        return self._state.compress(data) or None

    def end(self) -> Value:
        return self._state.flush()


class _Decompression:
    def __init__(self, bits: int) -> None:
        self._state = zlib.decompressobj(wbits=bits)
        self._wrong: str | None = None

    def write(self, data: bytes) -> Value:
        """Return at most 64 KiB of output for the data, None if there is no output yet, or a sentence if the data is
        wrong. Further calls, with no data, return the rest.
        """
        if self._wrong is None and self._state.eof and data:
            self._wrong = TRAILING
        if self._wrong is not None:
            return self._wrong
        try:
            output = self._state.decompress(self._state.unconsumed_tail + data, OUTPUT)
        except zlib.error:
            self._wrong = BROKEN
            return BROKEN
        if self._state.unused_data:
            self._wrong = TRAILING  # reported after the output that came before it
        return output or self._wrong

    def end(self) -> Value:
        return self._wrong or (None if self._state.eof else CUT)


STATELESS: dict[str, Hook] = {
    "decode": _decode,
    "decodeSingleByte": _decode_single_byte,
    "encode": str.encode,
    "hash": _hash,
    "hmac": _hmac,
    "random": _random,
    "readKey": keys.read_key,
    "signByKey": keys.sign,
    "toAscii": to_ascii,
    "verifyByKey": keys.verify,
    "writeKey": keys.write_key,
    "zoneName": zone_name,
    "zoneOffset": zone_offset,
}


def native_hooks() -> dict[str, Hook]:
    """Return, by name, the hooks that need nothing but the host's libraries. Each poll needs hooks of its own."""
    coders = Coders()
    return STATELESS | {
        "endCoder": coders.end,
        "moreOfCoder": coders.more,
        "openCoder": coders.open,
        "writeCoder": coders.write,
    }
