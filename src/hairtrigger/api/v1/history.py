"""The routes that list, filter and show events and deliveries, and that replay, retry and cancel."""

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
from hairtrigger.services.delivery.interventions import Interventions


def router(routes: APIRouter, history: History, interventions: Interventions) -> APIRouter:
    @routes.get("/events")
    async def list_events(
        caller: Admitted,
        limit: Limit = 50,
        cursor: Cursor = None,
        project_id: str | None = None,
        project_trigger_id: UUID | None = None,
        since: Instant | None = None,
    ) -> Page[Event]:
        """Lists events, newest first."""
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
        """Returns an event with its body and its deliveries."""
        event, made = await history.event(caller, event_id)
        return EventDetail.with_deliveries(event, made)

    @routes.post("/events/{event_id}/replay", status_code=201)
    async def replay_event(event_id: UUID, caller: Admitted) -> Replayed:
        """Delivers an event once more, under a new delivery id.

        An event that is still on its way to its project is not sent twice. The next attempt of its delivery is made
        now, and the answer has the id of that delivery.
        """
        return Replayed(delivery_id=await interventions.replay(caller, event_id))

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
        """Lists deliveries, newest first."""
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
        """Returns a delivery with all its attempts."""
        delivery, attempts = await history.delivery(caller, delivery_id)
        return DeliveryDetail.with_history(delivery, attempts)

    @routes.post("/deliveries/{delivery_id}/retry")
    async def retry_delivery(delivery_id: UUID, caller: Admitted) -> Delivery:
        """Makes the next attempt of a delivery now. Refused for a delivery that has ended, or that a
        pause holds back.
        """
        return Delivery.of(await interventions.retry(caller, delivery_id))

    @routes.post("/deliveries/{delivery_id}/cancel")
    async def cancel_delivery(delivery_id: UUID, caller: Admitted) -> Delivery:
        """Ends a delivery as a dead letter. Refused while an attempt is under way, and if the event was delivered."""
        return Delivery.of(await interventions.cancel(caller, delivery_id))

    return routes
