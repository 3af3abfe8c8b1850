"""Decide which IP addresses outgoing TCP connections may reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from hairtrigger.platform.proxy import Proxy

Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

# `is_global` refuses most of these networks, but its answer differs between releases of Python.
_NEVER: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' address translation; Alibaba's and Tailscale's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, a public address
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments; Teredo, which carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",  # documentation
    )
)

Place = tuple[str, int]
"""A host and a port."""


@dataclass(frozen=True)
class EgressPolicy:
    """The rules for outgoing TCP connections, which may reach public addresses and the networks in `allow`.

    `connect_to` replaces a host and port by another host and port, as curl's `--connect-to` does. The address of the
    replacement is then checked, and the TLS certificate must still be that of the original host.

    With a `proxy`, calls go through it, except to addresses in `allow` and to places that `connect_to` replaces.
    `authorities` is a file with certificates of authorities that are trusted in addition to the usual ones.
    """

    allow: tuple[Network, ...] = ()
    connect_to: Mapping[Place, Place] = field(default_factory=dict)
    proxy: Proxy | None = None
    authorities: Path | None = None

    def permits(self, address: str) -> bool:
        return self.allows(address) or _public(_reached(ip_address(address)))

    def allows(self, address: str) -> bool:
        """Return whether the address, or the IPv4 address that it leads to, is in `allow`."""
        named = ip_address(address)
        reached = _reached(named)
        return any(named in network or reached in network for network in self.allow)


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the address that packets reach.

    An IPv6 address that maps an IPv4 address, or that NAT64 translates, leads to the IPv4 address that it contains.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address
    return address


def _public(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_global
        and (address.version == 4 or address in _GLOBAL_UNICAST)  # the rest of IPv6 is not assigned
        and not any(address in network for network in _NEVER)
    )
