"""The routes for organisations and API keys."""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import ApiKey, ApiKeyCreate, NewApiKey, Organization, OrganizationCreate, Page
from hairtrigger.domain.errors import Forbidden
from hairtrigger.services.accounts import Accounts


def router(routes: APIRouter, accounts: Accounts) -> APIRouter:
    @routes.post("/organizations", status_code=201)
    async def create_organization(body: OrganizationCreate, caller: Admitted) -> Organization:
        """Creates an organisation with its first user. Only the operator may do so: the user made at
        the first start.
        """
        if not caller.operator:
            raise Forbidden("Only the operator may create organisations.")
        organization, _ = await accounts.create_organization(body.name, body.email, body.password)
        return Organization.of(organization)

    @routes.get("/organizations/current")
    async def get_current_organization(caller: Admitted) -> Organization:
        return Organization.of(await accounts.organization(caller.org_id))

    @routes.post("/api-keys", status_code=201)
    async def create_api_key(body: ApiKeyCreate, caller: Admitted) -> NewApiKey:
        """Creates an API key. Its value is in this answer and nowhere else."""
        key, value = await accounts.create_key(caller, body.name, body.scopes, body.expires_at)
        return NewApiKey.with_value(key, value)

    @routes.get("/api-keys")
    async def list_api_keys(caller: Admitted) -> Page[ApiKey]:
        return Page(data=[ApiKey.of(key) for key in await accounts.keys(caller.org_id)])

    @routes.delete("/api-keys/{key_id}", status_code=204)
    async def delete_api_key(key_id: UUID, caller: Admitted) -> None:
        """Deletes an API key, which stops working at once."""
        await accounts.remove_key(caller.org_id, key_id)

    return routes
