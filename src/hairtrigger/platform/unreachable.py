"""Explain to the operator, and to no other user, why an address can't be reached, and what to do."""

import socket
import ssl
from ipaddress import ip_address

from hairtrigger.platform.dialing import BlockedAddress


def why_unreachable(error: Exception, host: str, port: int) -> str | None:
    """Return why the address can't be reached and what to do, as text, or None if the error has another reason."""
    match error:
        case BlockedAddress(addresses=addresses):
            network = _network_of(addresses[0]) if addresses else "…"
            where = host if host in addresses else f"{host} leads to {', '.join(addresses[:3])}, which"
            return (
                f"{where} is no public address, so the service does not call it. To allow it: "
                f"HAIRTRIGGER_EGRESS_ALLOW={network}"
            )
        case socket.gaierror():
            return (
                f"The name {host} is not known. See whether it is spelt correctly, and whether this machine can look "
                "it up."
            )
        case OSError() if not isinstance(error, ssl.SSLError):
            why = error.strerror or str(error)
            return (
                f"{host} did not take the connection at port {port}: {why}. See whether a program listens there, and "
                "whether a firewall is in the way."
            )
        case _:
            return None


def _network_of(address: str) -> str:
    named = ip_address(address)
    if named.is_loopback:
        return "127.0.0.0/8" if named.version == 4 else "::1/128"
    return f"{named}/{named.max_prefixlen}"
