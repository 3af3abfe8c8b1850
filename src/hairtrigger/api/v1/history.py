"""Events and deliveries: list, filter, read, replay."""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.pages import Cursor, Limit, page
from hairtrigger.api.v1.schemas import (
    Delivery,
    DeliveryDetail,
    Event,
    EventDetail,
    Instant,
    Page,
    Replayed,
)
from hairtrigger.domain.outcome import DeliveryStatus
from hairtrigger.services.delivery.history import History


def router(routes: APIRouter, history: History) -> APIRouter:
    @routes.get("/events")
    async def list_events(
        caller: Admitted,
        limit: Limit = 50,
        cursor: Cursor = None,
        project_id: str | None = None,
        project_trigger_id: UUID | None = None,
        since: Instant | None = None,
    ) -> Page[Event]:
        """Newest first."""
        found = await history.events(
            caller,
            limit=limit + 1,
            before=cursor,
            project_id=project_id,
            project_trigger_id=project_trigger_id,
            since=since,
        )
        return page(found, limit, Event.of)

    @routes.get("/events/{event_id}")
    async def get_event(event_id: UUID, caller: Admitted) -> EventDetail:
        """An event with its body and everything that became of it."""
        event, made = await history.event(caller, event_id)
        return EventDetail.with_deliveries(event, made)

    @routes.post("/events/{event_id}/replay", status_code=201)
    async def replay_event(event_id: UUID, caller: Admitted) -> Replayed:
        """Delivers an event once more, under a new delivery id."""
        return Replayed(delivery_id=await history.replay(caller, event_id))

    @routes.get("/deliveries")
    async def list_deliveries(
        caller: Admitted,
        limit: Limit = 50,
        cursor: Cursor = None,
        status: DeliveryStatus | None = None,
        project_id: str | None = None,
        project_trigger_id: UUID | None = None,
        event_id: UUID | None = None,
    ) -> Page[Delivery]:
        """Newest first."""
        found = await history.deliveries(
            caller,
            limit=limit + 1,
            before=cursor,
            status=status,
            project_id=project_id,
            project_trigger_id=project_trigger_id,
            event_id=event_id,
        )
        return page(found, limit, Delivery.of)

    @routes.get("/deliveries/{delivery_id}")
    async def get_delivery(delivery_id: UUID, caller: Admitted) -> DeliveryDetail:
        """A delivery with every attempt."""
        delivery, attempts = await history.delivery(caller, delivery_id)
        return DeliveryDetail.with_history(delivery, attempts)

    return routes
