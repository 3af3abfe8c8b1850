"""The routes for organisations, their users and API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import (
    ApiKey,
    ApiKeyCreate,
    Deleted,
    NewApiKey,
    Organization,
    OrganizationCreate,
    OrganizationDeletion,
    Page,
    User,
)
from hairtrigger.domain.errors import Forbidden
from hairtrigger.services.accounts import Accounts


def router(routes: APIRouter, accounts: Accounts) -> APIRouter:
    @routes.post("/organizations", status_code=201)
    async def create_organization(body: OrganizationCreate, caller: Admitted) -> Organization:
        """Creates an organisation with its first user. Only an operator may do so."""
        if not caller.operator:
            raise Forbidden("Only the operator may create organisations.")
        organization, _ = await accounts.create_organization(body.name, body.email, body.password)
        return Organization.of(organization)

    @routes.get("/organizations/current")
    async def get_current_organization(caller: Admitted) -> Organization:
        return Organization.of(await accounts.organization(caller.org_id))

    @routes.get("/organizations/{organization_id}/deletion")
    async def preview_organization_deletion(organization_id: UUID, caller: Admitted) -> OrganizationDeletion:
        """What the deletion of an organisation would delete, or has still to delete.

        Only for a user that has logged in to it, and for the operator. No API key may ask.
        """
        await accounts.may_delete(caller, organization_id)
        return await _deletion(accounts, organization_id)

    @routes.delete("/organizations/{organization_id}", status_code=202)
    async def delete_organization(
        organization_id: UUID,
        caller: Admitted,
        confirm: Annotated[str, Query(description="The name of the organisation, without which it is refused.")] = "",
    ) -> OrganizationDeletion:
        """Deletes an organisation with all that is its own.

        Only for a user that has logged in to it, and for the operator. No API key may do it. Users and API keys are
        gone with the answer, and the rest in the background: first its triggers, whose webhooks are removed at the
        providers. The organisation that operates the service can't be deleted.
        """
        await accounts.may_delete(caller, organization_id)
        await accounts.delete_organization(organization_id, confirm, str(caller.id))
        return await _deletion(accounts, organization_id)

    @routes.get("/users")
    async def list_users(caller: Admitted) -> Page[User]:
        """The users of the organisation, oldest first."""
        return Page(data=[User.of(one) for one in await accounts.users_of(caller)])

    @routes.delete("/users/{user_id}", status_code=204)
    async def delete_user(user_id: UUID, caller: Admitted) -> None:
        """Deletes a user of the organisation with the API keys that the user made. No API key may do it.

        What else the user made is the organisation's, and stays. The last user of an organisation can't be deleted.
        """
        await accounts.delete_user(caller, user_id)

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


async def _deletion(accounts: Accounts, organization_id: UUID) -> OrganizationDeletion:
    begun = await accounts.deletion(organization_id)
    deletes = Deleted.of(await accounts.contents(organization_id))
    return OrganizationDeletion(requested_at=begun.requested_at if begun else None, deletes=deletes)
