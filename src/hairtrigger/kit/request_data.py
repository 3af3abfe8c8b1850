"""Makes the text of a request's method, query and headers that is kept with the events of the request."""

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from hairtrigger.kit.incoming import Request

MOST = 8 * 1024
"""The most bytes that are kept of a request's method, query and headers together."""

_NEVER = frozenset({"authorization", "cookie", "forwarded", "host", "content-length", "connection"})
_BEGINNINGS = ("proxy-", "x-forwarded-")
_PARTS = ("token", "secret", "key", "signature", "password")


def request_data(request: Request, reads: frozenset[str]) -> str:
    """Return the method, query and headers of a request as a JSON text of at most 8 KiB.

    Headers and parameters at the places in `reads`, which the verifier reads, are left out. So are those whose names
    speak of a credential, and headers about the way of the request, such as Host or Forwarded. If the text would be
    longer than 8 KiB, first headers and then parameters are kept as far as they fit, and `cut` is true.
    """
    read_headers, read_query = _names(reads)
    headers = {
        name: value if value.isascii() and "\0" not in value else _text(value)
        for name, value in request.headers.items()
        if name not in read_headers and not _is_private(name)
    }
    query = _query(request, read_query) if "?" in request.url else {}
    text = to_json({"method": request.method, "query": query, "headers": headers})
    return (text if len(text) <= MOST else _cut(request.method, query, headers)).decode()


def _query(request: Request, read: AbstractSet[str]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in request.parameters():
        if name not in read and not _is_private(name.lower()):
            found.setdefault(_storable(name), []).append(_storable(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _cut(method: str, query: dict[str, Any], headers: dict[str, str]) -> bytes:
    left = MOST - len(to_json({"method": method, "query": {}, "headers": {}, "cut": True}))
    kept: dict[str, dict[str, Any]] = {"query": {}, "headers": {}}
    for part, values in (("headers", headers), ("query", query)):
        for name, value in values.items():
            size = len(to_json({name: value}))
            if size <= left:
                kept[part][name] = value
                left -= size
    return to_json({"method": method, **kept, "cut": True})


def _text(value: str) -> str:
    """Return a header's value as storable text. A value in UTF-8, which many senders write and servers pass on as
    Latin-1, is decoded.
    """
    try:
        return _storable(value.encode("latin-1").decode())
    except UnicodeError:
        return _storable(value)


def _storable(text: str) -> str:
    """Return the text without NUL and with `?` for lone surrogates, because `jsonb` refuses both."""
    return text.replace("\0", "").encode(errors="replace").decode()


@lru_cache(maxsize=4096)
def _names(reads: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the headers, and then those of the query parameters, that are among the places."""
    headers = frozenset(place.removeprefix("header:") for place in reads if place.startswith("header:"))
    return headers, frozenset(place.removeprefix("query:") for place in reads if place.startswith("query:"))


_LONGEST_NAME = 200


def _is_private(name: str) -> bool:
    return _judged(name) if len(name) <= _LONGEST_NAME else _judged.__wrapped__(name)


@lru_cache(maxsize=4096)
def _judged(name: str) -> bool:
    return name in _NEVER or name.startswith(_BEGINNINGS) or any(part in name for part in _PARTS)
