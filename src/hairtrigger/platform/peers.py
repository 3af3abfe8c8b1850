"""Find the place that a request comes from, as far as it can be known behind proxies."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

_FORWARDED = b"x-forwarded-for"
_LONGEST = 64  # characters of an address
_SITE = 64  # bits at the start of an IPv6 address that all addresses of one subscriber share

Network = IPv4Network | IPv6Network


class Proxies:
    """Finds the client that sent a request. `X-Forwarded-For` is believed only if a proxy in `networks` sent it."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._place = lru_cache(maxsize=4096)(self._placed)

    def place(self, host: str) -> str:
        """Return the place of an address, which is its /64 network for IPv6, and the address itself for IPv4.

        So all addresses of one client give the same text. The text is empty for the address of a proxy. A text that is
        no address is returned as it is, cut if it is long.
        """
        return self._place(host) if len(host) <= _LONGEST else host[:_LONGEST]

    def sender(self, host: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the place of the client that sent a request. It is empty if only proxies are known.

        `host` is the other end of the TCP connection. If that is a proxy, the client is the last address in
        `X-Forwarded-For` that is not one.
        """
        if place := self.place(host):
            return place
        said = b",".join(value for name, value in headers if name == _FORWARDED).decode("latin-1")
        return next((place for each in reversed(said.split(",")) if (place := self.place(each.strip()))), "")

    def _placed(self, host: str) -> str:
        if host.startswith("["):
            host = host[1:].partition("]")[0]
        elif host.count(":") == 1:
            host = host.partition(":")[0]
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return host
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if any(address in network for network in self._networks):
            return ""
        return str(IPv6Network((address, _SITE), strict=False)) if isinstance(address, IPv6Address) else str(address)
