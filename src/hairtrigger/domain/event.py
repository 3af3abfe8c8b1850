"""An event before it is stored, and the key that tells it from other events."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

_LONGEST_KEY = 512  # bytes


@dataclass(frozen=True)
class Draft:
    """One thing that happened at a provider, before it is stored.

    `key` tells the event from every other event of the same project trigger: a second draft with the same key is the
    same event. The key comes from signed bytes or from the provider's answer, never from our clock. `data` is the
    event's body as bytes of `content_type`; JSON is passed on to the target exactly as it stands here.
    """

    key: str
    data: bytes
    type: str | None = None  # given only if it differs from the trigger's own type
    subject: str | None = None
    occurred_at: datetime | None = None
    content_type: str = "application/json"
    request: str | None = None  # JSON: the method, query and headers of the request that brought it


def digest(data: bytes) -> str:
    """Return a key for data that has no better one: events with equal bytes are then the same event."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def bounded_key(key: str) -> str:
    """Return the key in its stored form. Keys are indexed, so a digest replaces one that is long or not valid text."""
    try:
        raw = key.encode()
    except UnicodeEncodeError:  # the key holds lone surrogates
        return digest(key.encode(errors="surrogatepass"))
    return key if len(raw) <= _LONGEST_KEY and "\0" not in key else digest(raw)
