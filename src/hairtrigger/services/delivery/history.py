"""List events and deliveries as users see them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import NotFound
from hairtrigger.domain.outcome import DeliveryStatus
from hairtrigger.platform.clock import Clock
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history
from hairtrigger.store.delivery.history import AttemptRecord, Delivery
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event


@dataclass(frozen=True, kw_only=True)
class History:
    store: Store
    clock: Clock

    async def events(
        self,
        caller: Caller,
        *,
        limit: int,
        before: UUID | None,
        project_trigger_id: UUID | None,
        project_id: str | None,
        since: datetime | None,
    ) -> list[Event]:
        async with self.store.transaction() as tx:
            return await events.page(
                tx,
                caller.org_id,
                limit=limit,
                before=before,
                project_trigger_id=project_trigger_id,
                project_id=project_id,
                since=since,
            )

    async def event(self, caller: Caller, event_id: UUID) -> tuple[Event, list[Delivery]]:
        async with self.store.transaction() as tx:
            event = await events.get(tx, caller.org_id, event_id)
            if not event:
                raise NotFound("There is no such event.")
            return event, await history.deliveries(
                tx, caller.org_id, limit=100, event_id=event_id, now=self.clock.now()
            )

    async def deliveries(
        self,
        caller: Caller,
        *,
        limit: int,
        before: UUID | None,
        status: DeliveryStatus | None,
        project_trigger_id: UUID | None,
        project_id: str | None,
        event_id: UUID | None,
    ) -> list[Delivery]:
        async with self.store.transaction() as tx:
            return await history.deliveries(
                tx,
                caller.org_id,
                limit=limit,
                status=status,
                before=before,
                project_trigger_id=project_trigger_id,
                project_id=project_id,
                event_id=event_id,
                now=self.clock.now(),
            )

    async def delivery(self, caller: Caller, delivery_id: UUID) -> tuple[Delivery, list[AttemptRecord]]:
        async with self.store.transaction() as tx:
            found = await history.deliveries(tx, caller.org_id, limit=1, id=delivery_id, now=self.clock.now())
            if not found:
                raise NotFound("There is no such delivery.")
            return found[0], await history.attempts(tx, caller.org_id, delivery_id)
