"""What happened, and how it is told apart from everything else that happened."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

_LONGEST_KEY = 512  # bytes


@dataclass(frozen=True)
class Draft:
    """One thing that happened at a provider, before it is stored.

    `key` tells it apart from every other event of the same project trigger: a second draft with the same key is the
    same event. It comes from what the provider signed or answered, never from our clock. `data` is the event's body
    as bytes of `content_type`; JSON is passed on to the target exactly as it stands here.
    """

    key: str
    data: bytes
    type: str | None = None  # only where it differs from the trigger's own
    subject: str | None = None
    occurred_at: datetime | None = None
    content_type: str = "application/json"


def digest(data: bytes) -> str:
    """The key of last resort: what has the same bytes is the same event."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def bounded_key(key: str) -> str:
    """Return the key as it is stored. Keys are indexed, so the digest stands for one that is long or no valid text."""
    try:
        raw = key.encode()
    except UnicodeEncodeError:  # half surrogates
        return digest(key.encode(errors="surrogatepass"))
    return key if len(raw) <= _LONGEST_KEY and "\0" not in key else digest(raw)
