"""Defines an event before it is stored, and the key that tells it from other events."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

_LONGEST_KEY = 512  # bytes


@dataclass(frozen=True)
class Draft:
    """One thing that happened at a provider, before it is stored.

    `key` tells the event from all other events of the same project trigger. A second draft with the same key is a
    repeat, and is not stored. So the key is made from signed bytes or from the provider's answer wherever they allow
    it, and not from our clock.

    `data` is the event's body in the media type `content_type`. It is stored byte for byte.

    `former_keys` are the keys that earlier versions gave the same event. If an event is stored with one of them, the
    draft is a repeat of that.

    A `thin` draft is one whose data only names the thing that happened. It is completed before its first delivery, with
    the definition's `hydrate`.
    """

    key: str
    data: bytes
    type: str | None = None  # given only if it differs from the trigger's own type
    subject: str | None = None
    occurred_at: datetime | None = None
    content_type: str = "application/json"
    request: str | None = None  # JSON: the method, query and headers of the request that brought it
    thin: bool = False
    former_keys: tuple[str, ...] = ()


THIN = "application/vnd.hairtrigger.thin+json"
"""The media type of the body of a stored event that still has to be completed."""
INCOMPLETE = "application/vnd.hairtrigger.incomplete+json"
"""The media type of the body of a stored event that can't be completed. Targets get it as JSON, with a mark."""


def digest(data: bytes) -> str:
    """Return an event key made from the bytes of an event that has no id of its own. It is `sha256:` and the hash of
    the bytes in hex, so that two events with equal bytes count as the same event.
    """
    return "sha256:" + hashlib.sha256(data).hexdigest()


def bounded_key(key: str) -> str:
    """Return an event key in the form in which it is stored and indexed.

    A key of more than 512 bytes, with a NUL, or that is not valid Unicode is replaced by its digest. Any other key
    stays as it is.
    """
    try:
        raw = key.encode()
    except UnicodeEncodeError:  # the key holds lone surrogates
        return digest(key.encode(errors="surrogatepass"))
    return key if len(raw) <= _LONGEST_KEY and "\0" not in key else digest(raw)
