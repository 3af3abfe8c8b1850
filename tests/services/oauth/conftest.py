"""A world whose provider is connected by OAuth, at an authorization server that a test can disturb."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from hairtrigger import kit
from hairtrigger.kit.oauth import Client
from hairtrigger.platform.tickets import Tickets
from hairtrigger.platform.vault import Vault
from hairtrigger.services.setup.authorizations import CALLBACK, Authorizations, Ended, Wanted
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connection_health
from hairtrigger.store.setup.connection_health import Health
from hairtrigger.store.setup.connections import Connection
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.internet import Internet
from tests.support.oauth_server import HOST, OAuthServer, query

REDIRECT = f"https://hooks.test{CALLBACK}"


async def _items(question: kit.Question[Any]) -> kit.Page:
    found = await question.api.get("items")
    return kit.Page([kit.Draft(one["id"], b"{}") for one in found], {})


async def _me(api: kit.Api) -> None:
    await api.get("me")


OAUTH = kit.OAuth2(
    authorize_url=f"{HOST}/authorize",
    token_url=f"{HOST}/token",
    device_url=f"{HOST}/device",
    issuer=HOST,
    scopes=("read",),
    authorize={"access_type": "offline", "prompt": "consent"},
)
PROVIDER = kit.Provider(
    id="shop",
    name="Shop",
    base_url=f"{HOST}/api/",
    auth=OAUTH,
    ways={
        "key": kit.Bearer("api_key"),
        "app": kit.ClientCredentials(token_url=f"{HOST}/token", scopes=("read",)),
        "robot": kit.ServiceAccount(token_url=f"{HOST}/token", scopes=("read", "write")),
    },
    check=_me,
    triggers=(
        kit.Polling(
            id="on_item", name="Item", description="", config=kit.Empty, poll=_items, baseline=False, scopes=("items",)
        ),
        kit.Polling(
            id="on_other",
            name="Other",
            description="",
            config=kit.Empty,
            poll=_items,
            baseline=False,
            scopes=("items", "others"),
        ),
    ),
)


@dataclass
class Shop:
    world: World
    server: OAuthServer
    authorizations: Authorizations
    internet: Internet

    async def granted(self, **wanted: Any) -> Connection:
        """Let the user grant access, and return the connection."""
        ended = await self.answered(await self.started(**wanted))
        assert ended.ok, ended.sentence
        assert ended.authorization
        assert ended.authorization.connection_id
        return await self.world.connections.get(self.world.caller, ended.authorization.connection_id)

    async def started(self, **wanted: Any) -> str:
        return (await self.authorizations.start(self.world.caller, Wanted("shop", **wanted))).url

    async def answered(self, url: str) -> Ended:
        return await self.authorizations.finish(query(await self.server.grants_at(url)))

    async def polling(self, connection: Connection) -> UUID:
        id_ = await self.world.create("shop", "on_item", connection_id=connection.id)
        await self.world.triggers.enable(self.world.caller, id_)
        return id_

    def another_process(self) -> World:
        """Return the same service as another process runs it: it shares the database, and nothing in memory."""
        world = self.world
        calls = replace(world.calls, tokens=replace(world.calls.tokens, under_way={}))
        return replace(world, calls=calls, poller=replace(world.poller, calls=calls))

    async def health(self, connection: Connection) -> Health:
        async with self.world.store.transaction() as tx:
            return (await connection_health.of_all(tx, [connection.id]))[connection.id]

    async def held(self, connection: Connection) -> dict[str, str]:
        found = await self.world.connections.get(self.world.caller, connection.id)
        return self.world.secrets.of_connection(found)

    def passes(self, **time: float) -> None:
        self.world.clock.advance(timedelta(**time))


async def a_shop(store: Store, clock: ManualClock, vault: Vault, **more: Any) -> Shop:
    server = OAuthServer(clock, REDIRECT)
    internet = Internet({HOST: server.app})
    clients = more.pop("oauth_clients", {"shop": Client("app", "app-secret")})
    world = await a_world(store, clock, vault, PROVIDER, http=internet, oauth_clients=clients, **more)
    return Shop(world, server, an_authorizations(world, vault), internet)


def an_authorizations(world: World, vault: Vault) -> Authorizations:
    return Authorizations(
        store=world.store,
        clock=world.clock,
        secrets=world.secrets,
        clients=world.calls.tokens.clients,
        tokens=world.calls.tokens,
        connections=world.connections,
        tickets=Tickets(vault.derive("tickets"), "oauth state"),
        public_url="https://hooks.test",
    )


@pytest.fixture
async def shop(store: Store, clock: ManualClock, vault: Vault) -> Shop:
    return await a_shop(store, clock, vault)


Before = Callable[[dict[str, str]], Awaitable[None]]
