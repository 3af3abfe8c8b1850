"""Manages users on the service's own machine, for an operator that can't log in.

The commands use the database directly. If the service runs with an embedded database, they use that one. If the service
does not run, its embedded database is started for the command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.postgres import embedded_or_running
from hairtrigger.services.accounts import Accounts
from hairtrigger.settings import Settings
from hairtrigger.store.database import open_store


@asynccontextmanager
async def accounts_of(settings: Settings) -> AsyncIterator[Accounts]:
    """Yield the accounts in the database of these settings. The schema of the database is brought up to date first."""
    async with _database_url(settings) as url, open_store(url, connections=2, patience=None) as store:
        await store.migrate()
        yield Accounts(store=store, clock=SystemClock(), token_key=b"")


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    if url := settings.database_direct_url or settings.database_url:
        yield url.get_secret_value()
        return
    async with embedded_or_running(settings.data_dir / "postgres") as url_:
        yield url_
