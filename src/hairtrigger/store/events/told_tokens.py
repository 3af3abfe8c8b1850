"""Store secrets that senders told while they asked a webhook for proof of who it is.

They are sealed, and only the last ones of each trigger are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import told_token
from hairtrigger.store.transaction import Transaction

MOST = 3
"""The number of secrets that are kept for each trigger, which are those told last."""


@dataclass(frozen=True)
class ToldToken:
    project_trigger_id: UUID
    digest: bytes = field(repr=False)
    token: bytes = field(repr=False)  # sealed
    told_at: datetime


async def keep(tx: Transaction, told: ToldToken) -> None:
    """Store a secret, and delete all but the last `MOST` of its trigger."""
    statement = upsert(told_token).values(vars(told))
    same = {"token": statement.excluded.token, "told_at": statement.excluded.told_at}
    await tx.connection.execute(statement.on_conflict_do_update(constraint=told_token.primary_key, set_=same))
    mine = told_token.c.project_trigger_id == told.project_trigger_id
    last = select(told_token.c.digest).where(mine).order_by(told_token.c.told_at.desc()).limit(MOST)
    await tx.connection.execute(delete(told_token).where(mine, told_token.c.digest.not_in(last)))


async def of_trigger(tx: Transaction, project_trigger_id: UUID) -> Sequence[ToldToken]:
    """Return the trigger's secrets. The one that was told last comes first."""
    statement = select(*told_token.c).where(told_token.c.project_trigger_id == project_trigger_id)
    return [ToldToken(*row) for row in await tx.connection.execute(statement.order_by(told_token.c.told_at.desc()))]


async def forget(tx: Transaction, before: datetime) -> None:
    await tx.connection.execute(delete(told_token).where(told_token.c.told_at < before))
