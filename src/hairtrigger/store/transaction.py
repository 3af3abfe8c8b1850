"""Define the unit of work that the functions of this package take, and the type of the driver's own connection."""

from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True)
class Transaction:
    """A transaction under way, in which the functions of this package read and write."""

    connection: AsyncConnection
