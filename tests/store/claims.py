"""Claims of deliveries, as a worker makes them."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries
from hairtrigger.store.delivery.claims import Claimed, Look
from hairtrigger.store.delivery.queue import DeliveryQueue


async def claim(
    store: Store,
    limit: int,
    hold: timedelta,
    holder: UUID | None = None,
    *,
    now: datetime | None = None,
    after: str = "",
) -> tuple[Look, list[Claimed]]:
    """Claim deliveries whose leases have ended, and then others."""
    async with store.transaction() as tx:
        again = await deliveries.claim_again(tx, limit, hold, holder)
    queue = DeliveryQueue(store)
    try:
        look, claimed = await deliveries.claim(queue, limit - len(again), hold, holder, now=now, after=after)
    finally:
        queue.close()
    return replace(look, read=look.read + len(again)), [*again, *claimed]
