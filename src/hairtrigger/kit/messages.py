"""Parts of provider files that read messages from a broker: the address of the server, and the event of a message."""

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic_core import to_json

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.json_reader import read_json

LARGEST = 1024 * 1024
"""The number of bytes of the largest message that makes an event. The outcomes of the trigger tell of larger ones."""


@dataclass(frozen=True)
class Server:
    """The parts of a server's address. `encrypted` is true for the schemes that ask for TLS."""

    host: str
    port: int
    encrypted: bool
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""

    @classmethod
    def of(cls, url: str, plain: str, encrypted: str, port: int, encrypted_port: int | None = None) -> "Server":
        """Return the server at a URL with one of two schemes. Raise `ProviderFailed` if it is no such URL."""
        parts = urlsplit(url.strip())
        if parts.scheme not in {plain, encrypted} or not parts.hostname:
            raise ProviderFailed(f"The address must be {encrypted}://user:password@host:port or {plain}://…")
        tls = parts.scheme == encrypted
        return cls(
            parts.hostname,
            parts.port or (encrypted_port or port if tls else port),
            tls,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            unquote(parts.path.removeprefix("/")),
        )


def message(payload: bytes, **about: Any) -> bytes | None:
    """Return the JSON of a message's event, or None if the message is too large to make one.

    It has the members of `about`, and the payload as `value`: JSON as it is, other text as a string, and other bytes as
    Base64, which `encoding` says.
    """
    if len(payload) > LARGEST:
        return None
    value, encoding = _value(payload)
    return to_json({**about, "encoding": encoding})[:-1] + b',"value":' + value + b"}"


def text(value: bytes | None) -> str | None:
    """Return bytes as text, with a sign for each byte that is no UTF-8."""
    return None if value is None else value.decode(errors="replace")


def told(large: int) -> str:
    """Return a sentence on messages that are too large to make an event, or an empty text if there is none."""
    return f"{large} messages are larger than {LARGEST} bytes, and make no event." if large else ""


def _value(payload: bytes) -> tuple[bytes, str]:
    try:
        read_json(payload, allow_inf_nan=False)
    except ValueError:
        pass
    else:
        return payload, "json"
    try:
        return to_json(payload.decode()), "text"
    except UnicodeDecodeError:
        return to_json(base64.b64encode(payload).decode()), "base64"
