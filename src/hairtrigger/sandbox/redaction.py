"""Puts `***` where a secret stands in a text, also in the forms that code gives it on its way into a request.

A secret is found as it is, inside JSON, percent-encoded, as in a form, and in Base64, also in the middle of something
longer (`btoa("user:" + secret)`). One of up to three characters would be found in every other word, so it is hidden
only where it stands alone, between characters that are no letters, digits or underscores: that is where headers, URLs
and JSON have it. What else code makes of a secret (a hash, its letters backwards) is not recognised.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "***"
SHORT = 3  # characters
_UNESCAPED = "-_.!~*'()"  # by encodeURIComponent, besides letters and digits
_IN_URLS = _UNESCAPED + ";/?:@&=+$,"  # by URL and encodeURI
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")

Span = tuple[int, int]


class Redaction:
    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = {secret for secret in secrets if secret}
        self._largest = max(map(_bound, self._secrets), default=0)

    @property
    def longest(self) -> int:
        """No form of a secret has more UTF-16 units."""
        return self._largest

    def __call__(self, text: str, length: int) -> str:
        """The first `length` characters of `text`. A secret that the cut would halve vanishes as a whole.

        Whoever made the text may have cut it himself, after `length + longest` UTF-16 units or later.
        """
        if _units(text) >= length + self.longest:
            length = min(length, max(0, len(text) - self.longest))
        parts: list[str] = []
        end = 0
        for start, stop in _merged(self._found(text[: length + self.longest])):
            if start >= length:
                break
            parts += text[end:start], MARK
            end = stop
        return "".join(parts) + text[end:length]

    def whole(self, text: str) -> str:
        return self(text + " " * self.longest, len(text))

    def json(self, value: Any) -> Any:
        """The value with every text in it redacted, keys too."""
        match value:
            case str():
                return self.whole(value)
            case list():
                return [self.json(one) for one in value]
            case dict():
                return {self.whole(str(name)): self.json(one) for name, one in value.items()}
            case _:
                return value

    def _found(self, text: str) -> Iterator[Span]:
        for form in self._forms:
            yield from _places(text, form)
        for form in self._short:
            yield from (one for one in _places(text, form) if _stands_alone(text, one))
        for form in self._encoded:
            yield from (_widened(text, one) for one in _places(text, form))

    @cached_property
    def _forms(self) -> frozenset[str]:
        return frozenset(form for secret in self._secrets if len(secret) > SHORT for form in _texts(secret))

    @cached_property
    def _short(self) -> frozenset[str]:
        return frozenset(form for secret in self._secrets if len(secret) <= SHORT for form in _texts(secret))

    @cached_property
    def _encoded(self) -> frozenset[str]:
        return frozenset(core for secret in self._secrets if len(secret) > SHORT for core in _cores(secret))


def _bound(secret: str) -> int:
    """The most common secrets, letters and digits, need no more than Base64 does."""
    raw = len(secret.encode("utf-8", "surrogatepass"))
    plain = secret.isascii() and secret.replace("-", "").replace("_", "").isalnum()
    return raw * 4 // 3 + 8 if plain else max(6 * _units(secret), 3 * raw + 2, raw * 4 + 8)


def _texts(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield json.dumps(secret)[1:-1]
    for encoded in (
        quote(secret, _UNESCAPED, errors="replace"),
        quote(secret, _IN_URLS, errors="replace"),
        quote(secret, "", errors="replace"),
        quote_plus(secret, "*", errors="replace"),
    ):
        yield encoded
        yield _lower(encoded)


def _lower(encoded: str) -> str:
    """With %2f instead of %2F."""
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _cores(secret: str) -> Iterator[str]:
    """What Base64 makes of a secret alone, wherever it begins in a group of three bytes."""
    raw = secret.encode("utf-8", "replace")
    latin = [secret.encode("latin-1")] if not secret.isascii() and max(secret) <= "\xff" else []  # by btoa
    for data in (raw, *latin):
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + data).decode()
            first = -(-before * 8 // 6)
            last = (before + len(data)) * 8 // 6
            core = encoded[first:last]
            yield core
            yield core.replace("+", "-").replace("/", "_")
            yield core.replace("+", "%2B").replace("/", "%2F")


def _places(text: str, form: str) -> Iterator[Span]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + len(form))


def _stands_alone(text: str, place: Span) -> bool:
    start, stop = place
    around = text[start - 1 : start] + text[stop : stop + 1] if start else text[stop : stop + 1]
    return not any(one.isalnum() or one == "_" for one in around)


def _widened(text: str, place: Span) -> Span:
    """With the characters at both ends that hold a part of the secret's bits."""
    start, stop = place
    if start and text[start - 1] in _BASE64:
        start -= 1
    if text[stop : stop + 1] in _BASE64:
        stop += 1
    return start, stop


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    start = stop = -1
    for one, other in sorted(spans):
        if one >= stop:
            if stop > 0:
                yield start, stop
            start = one
        stop = max(stop, other)
    if stop > 0:
        yield start, stop


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
