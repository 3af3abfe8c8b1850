"""The routes that create, replace and delete the actions of an integration."""

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from hairtrigger.api.auth import Admitted
from hairtrigger.api.odeus.admission import json_only
from hairtrigger.api.odeus.paths import ActionId, IntegrationId
from hairtrigger.api.odeus.responses import refusals
from hairtrigger.api.odeus.schemas import Action, ActionAnswer, ActionBody, Deleted
from hairtrigger.services.setup.integrations import Integrations


def router(integrations: Integrations, route_class: type[APIRoute]) -> APIRouter:
    routes = APIRouter(
        prefix="/{integrationId}/actions",
        tags=["actions"],
        route_class=route_class,
        dependencies=[Depends(json_only)],
    )

    @routes.post("/create", status_code=201, responses=refusals(400, 404, 409, 413, 415))
    async def create_action(integration_id: IntegrationId, body: ActionBody, caller: Admitted) -> Action:
        """Creates an action. Its place is after the integration's other actions."""
        created = await integrations.create_action(caller, integration_id, body.draft())
        return Action(action=ActionAnswer.model_validate(created))

    @routes.put("/{actionId}", responses=refusals(400, 404, 409, 413, 415))
    async def update_action(
        integration_id: IntegrationId, action_id: ActionId, body: ActionBody, caller: Admitted
    ) -> Action:
        """Replaces an action. What ActionBody names stays if it is left out. The id, the slug and the order always
        stay.
        """
        changed = await integrations.replace_action(caller, integration_id, action_id, body.draft())
        return Action(action=ActionAnswer.model_validate(changed))

    @routes.delete("/{actionId}", responses=refusals(400, 404))
    async def delete_action(integration_id: IntegrationId, action_id: ActionId, caller: Admitted) -> Deleted:
        await integrations.delete_action(caller, integration_id, action_id)
        return Deleted(message="Action deleted", id=action_id)

    return routes
