"""Look up names in threads that organisations share fairly, because a server that hangs holds a thread for long."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hairtrigger.platform.shares import Shares, Tenant

_PLACES = 32  # threads that one project alone may have

Resolve = Callable[[str, int], Sequence[str]]
"""A function that returns the addresses of a host, given with a port. It is called in a thread."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that the system finds for a host. Raises `gaierror` if there are none.

    The system also accepts unusual spellings of IPv4 addresses, such as 2130706433 and 0x7f.1.
    """
    found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class LookUps:
    """Looks up the addresses of hosts. Simultaneous calls of one organisation for the same host and port share one
    look-up.

    A thread can't be stopped, so its place is taken until the look-up ends, even if no caller waits any more.
    """

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._shares = Shares.beyond(_PLACES)
        self._threads = ThreadPoolExecutor(self._shares.places, "resolve")
        self._under_way: dict[tuple[str, str, int], asyncio.Future[Sequence[str]]] = {}

    async def addresses(self, tenant: Tenant, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, after waiting for a thread. Raises `OSError` if there are none."""
        place = tenant.org, host, port
        if place not in self._under_way:
            await self._shares.enter(tenant)
            if place in self._under_way:  # begun by another call while this one waited
                self._shares.leave(tenant)
            else:
                self._begin(tenant, place)
        return await asyncio.shield(self._under_way[place])

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, tenant: Tenant, place: tuple[str, str, int]) -> None:
        _, host, port = place

        def ended(look_up: asyncio.Future[Sequence[str]]) -> None:
            del self._under_way[place]
            self._shares.leave(tenant)
            if not look_up.cancelled():
                look_up.exception()  # marks an error as seen, because there may be no caller left that sees it

        look_up = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
        self._under_way[place] = look_up
        look_up.add_done_callback(ended)
