"""Store documents that senders publish and that their signatures are checked with, such as certificates."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import sender_document
from hairtrigger.store.transaction import Transaction

_KEPT = timedelta(days=30)


async def get(tx: Transaction, url: str) -> bytes | None:
    statement = select(sender_document.c.body).where(sender_document.c.url == url)
    return (await tx.connection.execute(statement)).scalar_one_or_none()


async def put(tx: Transaction, url: str, body: bytes, now: datetime) -> None:
    """Store the document that was fetched from `url`, and delete documents that were fetched a month ago or earlier.

    Those are fetched again if they are needed.
    """
    await tx.connection.execute(delete(sender_document).where(sender_document.c.fetched_at < now - _KEPT))
    values = {"url": url, "body": body, "fetched_at": now}
    await tx.connection.execute(
        upsert(sender_document).values(values).on_conflict_do_update(index_elements=["url"], set_=values)
    )
