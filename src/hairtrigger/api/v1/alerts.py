"""Operational events, and the channels that tell people of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.alert_schemas import (
    AlertChannel,
    AlertChannelCreate,
    AlertChannelUpdate,
    OperationalEvent,
    OperationalEventType,
    TestResult,
)
from hairtrigger.api.v1.pages import Cursor, Limit, page
from hairtrigger.api.v1.schemas import Instant, Page
from hairtrigger.domain.operational import OperationalType
from hairtrigger.services.alerts.alert_channels import AlertChannels


def router(routes: APIRouter, channels: AlertChannels) -> APIRouter:
    @routes.get("/operational-event-types")
    async def list_operational_event_types(caller: Admitted) -> Page[OperationalEventType]:  # noqa: ARG001
        """Lists the types of operational events, each with the JSON Schema of its data."""
        return Page(data=[OperationalEventType.of(one) for one in OperationalType])

    @routes.get("/operational-events")
    async def list_operational_events(
        caller: Admitted,
        limit: Limit = 50,
        cursor: Cursor = None,
        type: Annotated[list[OperationalType] | None, Query(description="May be given several times.")] = None,  # noqa: A002
        project_id: str | None = None,
        project_trigger_id: UUID | None = None,
        since: Instant | None = None,
    ) -> Page[OperationalEvent]:
        """Lists the operational events of the organisation, newest first."""
        found = await channels.events(
            caller,
            limit=limit + 1,
            before=cursor,
            types=type or (),
            project_id=project_id,
            project_trigger_id=project_trigger_id,
            since=since,
        )
        return page(found, limit, OperationalEvent.of)

    @routes.get("/operational-events/{operational_event_id}")
    async def get_operational_event(operational_event_id: UUID, caller: Admitted) -> OperationalEvent:
        return OperationalEvent.of(await channels.event(caller, operational_event_id))

    @routes.post("/alert-channels", status_code=201)
    async def create_alert_channel(body: AlertChannelCreate, caller: Admitted) -> AlertChannel:
        """Adds a way in which people are told of operational events: by e-mail or in a chat."""
        return AlertChannel.of(await channels.create(caller, body.draft()), 0)

    @routes.get("/alert-channels")
    async def list_alert_channels(caller: Admitted) -> Page[AlertChannel]:
        return Page(data=[AlertChannel.of(*one) for one in await channels.listed(caller)])

    @routes.get("/alert-channels/{alert_channel_id}")
    async def get_alert_channel(alert_channel_id: UUID, caller: Admitted) -> AlertChannel:
        return AlertChannel.of(*await channels.get(caller, alert_channel_id))

    @routes.patch("/alert-channels/{alert_channel_id}")
    async def update_alert_channel(alert_channel_id: UUID, body: AlertChannelUpdate, caller: Admitted) -> AlertChannel:
        """Changes what is given. The kind of a channel stays."""
        return AlertChannel.of(*await channels.change(caller, alert_channel_id, body.changes()))

    @routes.post("/alert-channels/{alert_channel_id}/test")
    async def test_alert_channel(alert_channel_id: UUID, caller: Admitted) -> TestResult:
        """Sends a test message at once, and says what came of it. It counts as one of the messages of an hour."""
        return TestResult.of(await channels.test(caller, alert_channel_id))

    @routes.delete("/alert-channels/{alert_channel_id}", status_code=204)
    async def delete_alert_channel(alert_channel_id: UUID, caller: Admitted) -> None:
        """Deletes a channel. What it has not sent yet is not sent any more."""
        await channels.delete(caller, alert_channel_id)

    return routes
