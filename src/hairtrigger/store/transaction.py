"""The unit of work as the functions of this package see it, and the driver's own connection."""

from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True)
class Transaction:
    """A transaction under way. The functions of this package read and write with it."""

    connection: AsyncConnection
