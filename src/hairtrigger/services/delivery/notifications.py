"""Wake workers on other machines when there is work. Processes that store events send a NOTIFY, and workers LISTEN.

A wake-up only saves time. A worker that gets none, because its database connection broke or because a pooler does not
pass wake-ups on, finds the same work when it looks for work itself.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.loops import repeat
from hairtrigger.platform.wake import TOLD, UNTOLD, Wake
from hairtrigger.store.database import Store
from hairtrigger.store.transaction import Session

log = structlog.get_logger()

_CHANNEL = "hairtrigger_work"
# It runs in a transaction of its own, because a transaction with NOTIFY waits for all others that notify. The commit
# does not wait for the disk, because a wake-up may be lost.
_NOTIFY = f"SET LOCAL synchronous_commit = off; NOTIFY {_CHANNEL}"
_LEAST_BETWEEN = timedelta(milliseconds=10)
_HEARTBEAT = timedelta(seconds=10)
_AGAIN = timedelta(seconds=1)


@dataclass(frozen=True)
class Notifications:
    store: Store
    work: Wake

    async def tell(self) -> None:
        """Notify workers of new work, at most once in ten milliseconds, until cancelled.

        This runs in a process that delivers nothing itself.
        """

        async def once() -> timedelta:
            await self.work.wait(timedelta(days=1))
            async with self.store.session() as session:
                await session.execute(_NOTIFY)
            return _LEAST_BETWEEN

        await repeat("notify", once)

    async def listen(self) -> None:
        """Listen for wake-ups until cancelled, in a process that delivers.

        While the database connection is broken, the process looks for work more often and tries to connect again.
        """
        while True:
            lost = Wake()
            try:
                async with self.store.session() as session:
                    session.add_termination_listener(lambda _, lost=lost: lost.set())
                    await session.add_listener(_CHANNEL, self._heard)
                    if await _is_direct(session):
                        self.work.patience = TOLD
                    self.work.set()  # earlier wake-ups were not heard
                    while True:
                        await lost.wait(_HEARTBEAT)
                        await session.execute("SELECT 1")
            except Unavailable:
                log.warning("no wake-ups come until the database is back: looking more often")
            finally:
                self.work.patience = UNTOLD
            await asyncio.sleep(_AGAIN.total_seconds())

    def _heard(self, *_: Any) -> None:
        self.work.set()


async def _is_direct(session: Session) -> bool:
    """Return whether the session is connected without a pooler, which would pass no wake-ups on.

    A pooler gives its clients an invented number of the server's process, which is not the one that the server tells.
    """
    return bool(session.get_server_pid() == await session.fetchval("SELECT pg_backend_pid()"))
