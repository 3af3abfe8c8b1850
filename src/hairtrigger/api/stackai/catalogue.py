"""The routes of the catalogue. Native providers are public, and an organisation's own integrations need its
credentials.
"""

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request

from hairtrigger.api.auth import bearer_value
from hairtrigger.api.stackai.responses import problems
from hairtrigger.api.stackai.schemas import TriggerDefinition
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.store.database import Store


def router(accounts: Accounts, catalogue: Catalogue, store: Store) -> APIRouter:
    routes = APIRouter(tags=["catalogue"], responses=problems(401, 404, 422, 503))

    async def organization(request: Request, provider_id: str) -> UUID | None:
        """Return the caller's organisation, or None for a native provider and for a request without credentials.

        Native providers are public, so credentials are not even checked for them. Raises `Unauthenticated` if others
        are wrong.
        """
        if catalogue.native(provider_id) or "authorization" not in request.headers:
            return None
        return (await accounts.by_bearer(bearer_value(request))).org_id

    @routes.get("/providers/{provider_id}/triggers")
    async def get_available_triggers_by_provider(provider_id: str, request: Request) -> list[TriggerDefinition]:
        """Lists the triggers of a provider."""
        org_id = await organization(request, provider_id)
        async with store.transaction() as tx:
            provider = await catalogue.provider(tx, org_id, provider_id)
        return [TriggerDefinition.of(provider, trigger) for trigger in provider.triggers]

    @routes.get("/providers/{provider_id}/triggers/{trigger_id}/", include_in_schema=False)
    @routes.get("/providers/{provider_id}/triggers/{trigger_id}")
    async def get_specific_trigger_from_provider(
        provider_id: str, trigger_id: str, request: Request
    ) -> TriggerDefinition:
        org_id = await organization(request, provider_id)
        async with store.transaction() as tx:
            provider, trigger = await catalogue.trigger(tx, org_id, provider_id, trigger_id)
        return TriggerDefinition.of(provider, trigger)

    return routes
