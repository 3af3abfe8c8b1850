"""The routes for connections, which hold the credentials for providers."""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.responses import problems
from hairtrigger.api.v1.schemas import CheckedConnection, Connection, ConnectionCreate, ConnectionUpdate, Page
from hairtrigger.services.setup.connections import Connections
from hairtrigger.store.setup import connections as stored


def router(routes: APIRouter, connections: Connections) -> APIRouter:
    async def with_health(*found: stored.Connection) -> list[Connection]:
        health = await connections.health([one.id for one in found])
        return [Connection.of(one, health.get(one.id)) for one in found]

    @routes.post("/connections", status_code=201, responses=problems(502))
    async def create_connection(body: ConnectionCreate, caller: Admitted) -> CheckedConnection:
        """Stores credentials for a provider, encrypted. They are never shown again.

        The provider is asked first. Credentials that it refuses are refused here, too. If it can't be asked, they are
        stored, and `check` says why. A connection that a user grants by OAuth is made by POST /v1/authorizations.
        """
        ready = await connections.ready(caller, body.provider_id, body.secrets, body.way)
        check = await connections.checked(caller, ready)
        made = await connections.store_new(caller, ready, body.name, body.external_user_id)
        return CheckedConnection.with_check(made, (await connections.health([made.id])).get(made.id), check)

    @routes.get("/connections")
    async def list_connections(
        caller: Admitted, provider_id: str | None = None, external_user_id: str | None = None
    ) -> Page[Connection]:
        return Page(data=await with_health(*await connections.list(caller, provider_id, external_user_id)))

    @routes.get("/connections/{connection_id}")
    async def get_connection(connection_id: UUID, caller: Admitted) -> Connection:
        [found] = await with_health(await connections.get(caller, connection_id))
        return found

    @routes.patch("/connections/{connection_id}", responses=problems(502))
    async def update_connection(connection_id: UUID, body: ConnectionUpdate, caller: Admitted) -> Connection:
        if body.secrets is not None:
            before = await connections.get(caller, connection_id)
            ready = await connections.ready(caller, before.provider_id, body.secrets, before.way)
            await connections.checked(caller, ready)
            [again] = await with_health(await connections.store_again(caller, connection_id, ready, body.name))
            return again
        [changed] = await with_health(await connections.update(caller, connection_id, body.name, None))
        return changed

    @routes.delete("/connections/{connection_id}", status_code=204)
    async def delete_connection(connection_id: UUID, caller: Admitted) -> None:
        """Deletes a connection. Refused while an enabled trigger uses it."""
        await connections.delete(caller, connection_id)

    return routes
