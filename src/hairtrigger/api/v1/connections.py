"""The routes for connections, which hold the credentials for providers."""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import CheckedConnection, Connection, ConnectionCreate, ConnectionUpdate, Page
from hairtrigger.services.setup.connections import Connections


def router(routes: APIRouter, connections: Connections) -> APIRouter:
    @routes.post("/connections", status_code=201)
    async def create_connection(body: ConnectionCreate, caller: Admitted) -> CheckedConnection:
        """Stores credentials for a provider, encrypted. They are never shown again.

        The provider is asked first. Credentials that it refuses are refused here, too. If it can't be asked, they are
        stored, and `check` says why.
        """
        check = await connections.check(caller, body.provider_id, body.secrets)
        made = await connections.create(caller, body.provider_id, body.name, body.secrets)
        return CheckedConnection.with_check(made, check)

    @routes.get("/connections")
    async def list_connections(caller: Admitted, provider_id: str | None = None) -> Page[Connection]:
        return Page(data=[Connection.of(one) for one in await connections.list(caller, provider_id)])

    @routes.get("/connections/{connection_id}")
    async def get_connection(connection_id: UUID, caller: Admitted) -> Connection:
        return Connection.of(await connections.get(caller, connection_id))

    @routes.patch("/connections/{connection_id}")
    async def update_connection(connection_id: UUID, body: ConnectionUpdate, caller: Admitted) -> Connection:
        if body.secrets is not None:
            before = await connections.get(caller, connection_id)
            await connections.check(caller, before.provider_id, body.secrets)
        return Connection.of(await connections.update(caller, connection_id, body.name, body.secrets))

    @routes.delete("/connections/{connection_id}", status_code=204)
    async def delete_connection(connection_id: UUID, caller: Admitted) -> None:
        """Deletes a connection. Refused while an enabled trigger uses it."""
        await connections.delete(caller, connection_id)

    return routes
