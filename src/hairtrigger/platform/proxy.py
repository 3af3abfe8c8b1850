"""Describe the HTTP proxy for outgoing calls: its address, its credentials, and the request for a tunnel (CONNECT).

HTTPS goes through such a tunnel. Requests of plain HTTP are sent to the proxy itself.

https://www.rfc-editor.org/rfc/rfc9110#CONNECT
"""

import base64
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from hairtrigger.platform.http1 import Header, head_of

_DEFAULT_PORT = 3128


class ProxyRefused(OSError):
    """The proxy answered a request for a tunnel with an error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")


@dataclass(frozen=True)
class Proxy:
    host: str
    port: int
    headers: tuple[Header, ...] = field(default=(), repr=False)
    """The headers that each request to the proxy has in addition: its credentials, if it needs any."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the proxy at a URL, which may hold a user name and a password. Raises `ValueError` for other forms."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a proxy is http://host:port or http://user:password@host:port")
        if parts.username is None:
            return cls(parts.hostname, parts.port or _DEFAULT_PORT)
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(parts.hostname, parts.port or _DEFAULT_PORT, (("proxy-authorization", credentials),))

    def tunnel_to(self, host: str, port: int) -> bytes:
        """Return the request for a tunnel to the host, as bytes."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return head_of("CONNECT", authority, [("host", authority), *self.headers])
