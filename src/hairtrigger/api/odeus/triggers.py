"""The routes that create, replace and delete the triggers of an integration."""

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from hairtrigger.api.auth import Admitted
from hairtrigger.api.odeus.admission import json_only
from hairtrigger.api.odeus.paths import IntegrationId, TriggerId
from hairtrigger.api.odeus.responses import refusals
from hairtrigger.api.odeus.schemas import Deleted, Trigger, TriggerAnswer, TriggerBody
from hairtrigger.services.setup.integrations import Integrations


def router(integrations: Integrations, route_class: type[APIRoute]) -> APIRouter:
    routes = APIRouter(
        prefix="/{integrationId}/triggers",
        tags=["triggers"],
        route_class=route_class,
        dependencies=[Depends(json_only)],
    )

    @routes.post("/create", status_code=201, responses=refusals(400, 404, 409, 413, 415))
    async def create_trigger(integration_id: IntegrationId, body: TriggerBody, caller: Admitted) -> Trigger:
        """Creates a trigger, which can start workflows or agent conversations. Without pollingCode it never fires."""
        created = await integrations.create_trigger(caller, integration_id, body.draft())
        return Trigger(trigger=TriggerAnswer.model_validate(created))

    @routes.put("/{triggerId}", responses=refusals(400, 404, 409, 413, 415))
    async def update_trigger(
        integration_id: IntegrationId, trigger_id: TriggerId, body: TriggerBody, caller: Admitted
    ) -> Trigger:
        """Replaces a trigger as a whole. Its id and slug stay."""
        changed = await integrations.replace_trigger(caller, integration_id, trigger_id, body.draft())
        return Trigger(trigger=TriggerAnswer.model_validate(changed))

    @routes.delete("/{triggerId}", responses=refusals(400, 404))
    async def delete_trigger(integration_id: IntegrationId, trigger_id: TriggerId, caller: Admitted) -> Deleted:
        """Deletes a trigger for good. Workflows and agents that use it are no longer started by it."""
        await integrations.delete_trigger(caller, integration_id, trigger_id)
        return Deleted(message="Trigger deleted", id=trigger_id)

    return routes
