"""The routes that list, create, show and change integrations, and set how to authenticate."""

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from hairtrigger.api.auth import Admitted
from hairtrigger.api.odeus.admission import json_only
from hairtrigger.api.odeus.paths import IntegrationId
from hairtrigger.api.odeus.responses import refusals
from hairtrigger.api.odeus.schemas import (
    AuthBody,
    AuthChanged,
    IntegrationAuth,
    IntegrationChanged,
    IntegrationCreate,
    IntegrationCreated,
    IntegrationFound,
    IntegrationList,
    IntegrationPatch,
    IntegrationSummary,
    ListedIntegration,
    NewIntegration,
)
from hairtrigger.services.setup.integrations import Integrations


def listing(integrations: Integrations, route_class: type[APIRoute]) -> APIRouter:
    routes = APIRouter(tags=["integrations"], route_class=route_class)

    @routes.get("/get", responses=refusals())
    async def list_integrations(caller: Admitted) -> IntegrationList:
        """Lists the integrations of the API key's organisation. Needs the scope INTEGRATION_API or ASSISTANT_API."""
        found = await integrations.of_organization(caller)
        return IntegrationList(
            integrations=[ListedIntegration.model_validate({**vars(one), "actions": actions}) for one, actions in found]
        )

    return routes


def router(integrations: Integrations, route_class: type[APIRoute]) -> APIRouter:
    routes = APIRouter(tags=["integrations"], route_class=route_class, dependencies=[Depends(json_only)])

    @routes.post("/create", status_code=201, responses=refusals(400, 413, 415))
    async def create_integration(body: IntegrationCreate, caller: Admitted) -> IntegrationCreated:
        """Creates an integration. It needs no authentication yet, and has no triggers or actions."""
        created = await integrations.create(caller, body.name, body.description or "")
        return IntegrationCreated(integration=NewIntegration.model_validate(created))

    @routes.get("/{integrationId}", responses=refusals(400, 404))
    async def get_integration(integration_id: IntegrationId, caller: Admitted) -> IntegrationFound:
        """Returns an integration with its actions and triggers."""
        return IntegrationFound.of(await integrations.get(caller, integration_id))

    @routes.patch("/{integrationId}", responses=refusals(400, 404, 413, 415))
    async def update_integration(
        integration_id: IntegrationId, body: IntegrationPatch, caller: Admitted
    ) -> IntegrationChanged:
        """Changes the fields of an integration that the body names."""
        changed = await integrations.change(
            caller,
            integration_id,
            name=body.name,
            description=body.description,
            color=body.color,
            icon_url=str(body.icon_url) if body.icon_url else None,
        )
        return IntegrationChanged(integration=IntegrationSummary.model_validate(changed))

    @routes.patch("/{integrationId}/auth", responses=refusals(400, 404, 413, 415))
    async def update_integration_auth(integration_id: IntegrationId, body: AuthBody, caller: Admitted) -> AuthChanged:
        """Sets how to authenticate. Changing authType deletes all connections of the integration."""
        changed = await integrations.set_auth(caller, integration_id, body.draft())
        return AuthChanged(integration=IntegrationAuth.model_validate(changed))

    return routes
