"""Find the address of a host that an outgoing TCP connection may reach, and the TLS settings for it.

The caller must connect to an address that was returned here, and not to the name, which may lead elsewhere by then.
"""

import socket
import ssl
from collections.abc import Sequence

import httpx2

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.platform.addresses import EgressPolicy, Place
from hairtrigger.platform.look_ups import LookUps, Resolve, resolve
from hairtrigger.platform.proxy import Proxy
from hairtrigger.platform.shares import Tenant


class BlockedAddress(Exception):
    """The policy permits none of the host's addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__()
        self.addresses = addresses


class Dialing:
    def __init__(self, policy: EgressPolicy, resolve: Resolve = resolve) -> None:
        self._policy = policy
        self._look_ups = LookUps(resolve)

    @property
    def proxy(self) -> Proxy | None:
        return self._policy.proxy

    def place_of(self, host: str, port: int) -> Place:
        """Return the host and port that take the place of the given ones by the operator's settings, or the same."""
        return self._policy.connect_to.get((host, port), (host, port))

    def is_direct(self, host: str, port: int, permitted: Sequence[str]) -> bool:
        """Return whether the call goes past the proxy, because the operator's settings name the place or an address."""
        named = (host, port) in self._policy.connect_to
        return named or any(self._policy.allows(address) for address in permitted)

    async def permitted(self, tenant: Tenant, host: str, port: int) -> list[str]:
        """Return the host's addresses that the policy permits. Raises `BlockedAddress` if it permits none of them.

        For an unknown name, raises `gaierror`, or returns no address if there is a proxy, which may know the name.
        """
        try:
            found = await self._look_ups.addresses(tenant, host, port)
        except socket.gaierror:
            if self._policy.proxy:
                return []
            raise
        addresses = list(dict.fromkeys(found))
        permitted = [address for address in addresses if self._policy.permits(address)]
        if not permitted:
            raise BlockedAddress(addresses)
        return permitted

    def tls(self, authorities: str = "") -> ssl.SSLContext:
        """Return settings that check the server's certificate and name.

        They trust the usual authorities and the operator's, and `authorities`, which are certificates as PEM text, or
        an empty text. Raise `ProviderFailed` if these are no certificates.
        """
        context: ssl.SSLContext = httpx2.create_ssl_context()
        if self._policy.authorities:
            context.load_verify_locations(self._policy.authorities)
        if authorities:
            try:
                context.load_verify_locations(cadata=authorities)
            except (ssl.SSLError, TypeError, ValueError) as error:
                raise ProviderFailed("The certificates of the server's authority can't be read as PEM.") from error
        return context

    def close(self) -> None:
        self._look_ups.close()
