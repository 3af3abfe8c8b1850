"""Let users retry one delivery now, end it, or replay its event.

An event that is still on its way is not sent twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, NotFound
from hairtrigger.domain.outcome import DELIVERY_STATUS, DeliveryStatus
from hairtrigger.domain.privacy import DROPPED
from hairtrigger.domain.quotas import Limits
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import bodies, history, interventions, replays
from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.delivery.interventions import End
from hairtrigger.store.events import events
from hairtrigger.store.transaction import Transaction

_ENDED: frozenset[DeliveryStatus] = frozenset({"delivered", "dead"})


@dataclass(frozen=True, kw_only=True)
class Interventions:
    store: Store
    clock: Clock
    work: Wake
    limits: Limits = field(default_factory=Limits)
    counter: UseCounter = field(default_factory=UseCounter)

    async def retry(self, caller: Caller, delivery_id: UUID) -> Delivery:
        """Make the next attempt of a delivery due now, and return the delivery. A pending or waiting one stays as it
        is.

        Raise `NotFound` if there is no such delivery, and `Conflict` if it has ended or is suspended.
        """
        async with self.store.transaction() as tx:
            found = await _delivery(tx, caller, delivery_id)
            match found.status:
                case "delivered" | "dead":
                    way = f"To send its event again: POST /v1/events/{found.event_id}/replay"
                    raise Conflict(f"The delivery {DELIVERY_STATUS[found.status]}. {way}")
                case "suspended":
                    raise Conflict(f"The delivery {DELIVERY_STATUS[found.status]}. Resume that, or release it.")
                case "retrying":
                    await interventions.retry_now(tx, [delivery_id])
                    found = await _delivery(tx, caller, delivery_id)
                case "pending" | "waiting":
                    pass
        self.work.set()
        return found

    async def cancel(self, caller: Caller, delivery_id: UUID) -> Delivery:
        """End a delivery as a dead letter, and return it. Its event can be replayed. A dead letter stays as it is.

        Raise `NotFound` if there is no such delivery, and `Conflict` if it was delivered or an attempt is under way.
        """
        async with self.store.transaction() as tx:
            found = await _delivery(tx, caller, delivery_id)
            if found.status == "delivered":
                raise Conflict("The delivery was delivered. It can't be cancelled any more.")
            if found.status != "dead":
                reason = f"Cancelled by {caller.id}."
                end = End(delivery_id, found.project_id, found.org_id, reason, self.clock.now())
                if not await interventions.end(tx, end):
                    raise Conflict("An attempt is under way, and is not cut off. Try again when it has ended.")
                if await bodies.private(tx, [found.project_trigger_id]):
                    await bodies.drop_ended(tx, [found.event_id])
                found = await _delivery(tx, caller, delivery_id)
        self.work.set()
        return found

    async def replay(self, caller: Caller, event_id: UUID) -> UUID:
        """Deliver an event again, and return the id of the new delivery.

        An event that is still on its way to its project gets no second delivery. Instead, the next attempt of its
        delivery is made now, and the id of that delivery is returned. Raise `NotFound` if there is no such event,
        `Conflict` if its body was dropped, and `QuotaFull` if the organisation stores too much.
        """
        async with self.store.transaction() as tx:
            event = await events.get(tx, caller.org_id, event_id)
            if not event:
                raise NotFound("There is no such event.")
            made = await history.deliveries(tx, caller.org_id, limit=100, event_id=event_id)
            if made and made[0].dropped:
                raise Conflict(f"{DROPPED} The event can't be delivered again.")
            found = under_way(made, event.project_id)
            if found:
                await interventions.retry_now(tx, [found.id])
                delivery_id = found.id
            else:
                await quotas.require_room(tx, caller.org_id, self.limits)
                [delivery_id] = await replays.add(tx, [event], str(caller.id), self.clock.now())
                self.counter.ledger(caller.org_id, 1)
        self.work.set()
        return delivery_id


def under_way(deliveries: Sequence[Delivery], project_id: str) -> Delivery | None:
    """Return the first of these deliveries of an event that is still on its way to the project, or None if all have
    ended.
    """
    return next((one for one in deliveries if one.project_id == project_id and one.status not in _ENDED), None)


async def _delivery(tx: Transaction, caller: Caller, delivery_id: UUID) -> Delivery:
    found = await history.deliveries(tx, caller.org_id, limit=1, id=delivery_id)
    if not found:
        raise NotFound("There is no such delivery.")
    return found[0]
