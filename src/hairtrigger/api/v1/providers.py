"""The routes that show providers, and what a connection to each of them needs."""

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import Page, Provider
from hairtrigger.services.setup.connections import Connections


def router(routes: APIRouter, connections: Connections) -> APIRouter:
    @routes.get("/providers")
    async def list_providers(caller: Admitted) -> Page[Provider]:
        """Lists the providers of the service and the integrations of the organisation, with their triggers."""
        return Page(data=[Provider.of(one) for one in await connections.providers(caller)])

    @routes.get("/providers/{provider_id}")
    async def get_provider(provider_id: str, caller: Admitted) -> Provider:
        return Provider.of(await connections.provider(caller, provider_id))

    return routes
