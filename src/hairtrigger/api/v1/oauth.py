"""The routes for access that users grant by OAuth, and for the client ids with which the service asks for it."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.oauth_schemas import (
    Authorization,
    AuthorizationCreate,
    ConnectLink,
    ConnectLinkCreate,
    ExternalUserDeleted,
    NewConnectLink,
    OAuthClient,
    OAuthClientPut,
    StartedAuthorization,
)
from hairtrigger.api.v1.responses import problems
from hairtrigger.api.v1.schemas import Page
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.setup.authorizations import Authorizations
from hairtrigger.services.setup.connect_links import ConnectLinks
from hairtrigger.services.setup.external_users import ExternalUsers


def router(
    routes: APIRouter,
    authorizations: Authorizations,
    clients: OAuthClients,
    links: ConnectLinks,
    users: ExternalUsers,
) -> APIRouter:
    @routes.post("/authorizations", status_code=201, responses=problems(502))
    async def create_authorization(body: AuthorizationCreate, caller: Admitted) -> StartedAuthorization:
        """Asks a user to grant access at a provider by OAuth. Send the user's browser to `url`.

        The provider sends the browser back to this service, which then makes the connection. With `connection_id` an
        existing connection is connected again and keeps its id. With `device` the user enters a code on another device,
        and `GET` on the authorization asks the provider whether that has happened.
        """
        start = authorizations.start_device if body.device else authorizations.start
        return StartedAuthorization.started(await start(caller, body.wanted()))

    @routes.get("/authorizations/{authorization_id}")
    async def get_authorization(authorization_id: UUID, caller: Admitted) -> Authorization:
        """Returns what has come of an authorization. Results are kept for a day."""
        return Authorization.of(await authorizations.get(caller, authorization_id))

    @routes.post("/connect-links", status_code=201)
    async def create_connect_link(body: ConnectLinkCreate, caller: Admitted) -> NewConnectLink:
        """Makes a link under which a user of your product connects an account of the user's own, once.

        The page behind it names your organisation and the provider, and nothing else.
        """
        made, url = await links.create(caller, body.wanted(), timedelta(seconds=body.expires_in))
        return NewConnectLink.with_url(made, url)

    @routes.get("/connect-links/{connect_link_id}")
    async def get_connect_link(connect_link_id: UUID, caller: Admitted) -> ConnectLink:
        """Returns whether a link was used, and the connection that came of it."""
        return ConnectLink.of(await links.get(caller, connect_link_id))

    @routes.delete("/connect-links/{connect_link_id}", status_code=204)
    async def delete_connect_link(connect_link_id: UUID, caller: Admitted) -> None:
        """Deletes a link, which then does not work any more. A connection that was made under it stays."""
        await links.delete(caller, connect_link_id)

    @routes.delete("/external-users/{external_user_id:path}")
    async def delete_external_user(external_user_id: str, caller: Admitted) -> ExternalUserDeleted:
        """Deletes the triggers, connections and links of a user of your product.

        Webhooks are removed at their providers. Events that came of the triggers are kept as long as others are.
        """
        return ExternalUserDeleted(**vars(await users.delete(caller, external_user_id)))

    @routes.get("/oauth-clients")
    async def list_oauth_clients(caller: Admitted) -> Page[OAuthClient]:
        """Lists the organisation's own client ids at providers. The operator's are used where there is none."""
        uri = authorizations.redirect_uri
        return Page(data=[OAuthClient.of(one, uri) for one in await clients.list(caller)])

    @routes.put("/oauth-clients/{client_name}")
    async def put_oauth_client(client_name: str, body: OAuthClientPut, caller: Admitted) -> OAuthClient:
        """Stores the client id and secret of the organisation's own app at a provider, in place of earlier ones.

        Connections that another client got can't be renewed with it: connect them again.
        """
        stored = await clients.put(caller, client_name, body.client())
        return OAuthClient.of(stored, authorizations.redirect_uri)

    @routes.delete("/oauth-clients/{client_name}", status_code=204)
    async def delete_oauth_client(client_name: str, caller: Admitted) -> None:
        await clients.delete(caller, client_name)

    return routes
