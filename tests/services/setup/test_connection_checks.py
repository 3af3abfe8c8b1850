"""A connection is checked at its provider when it is made: what the provider refuses is refused."""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hairtrigger.domain.errors import Invalid
from hairtrigger.kit.oauth import OAuth2
from hairtrigger.kit.trigger import Listening
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import CATALOGUE
from hairtrigger.store.database import Store
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio

SECRETS: Mapping[str, Mapping[str, str]] = {
    "stripe": {"api_key": "x"},
    "github": {"token": "x"},
    "typeform": {"token": "x"},
    "slack": {"bot_token": "x"},
}
HOSTS = ("https://api.stripe.com", "https://api.github.com", "https://api.typeform.com", "https://slack.com")


async def a_world_whose_providers_answer(
    store: Store, clock: ManualClock, vault: Vault, status: int, body: Mapping[str, Any]
) -> World:
    async def answer(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer x"
        return JSONResponse(body, status)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    return await a_world(store, clock, vault, *CATALOGUE, http=Internet(dict.fromkeys(HOSTS, app)))


@pytest.mark.parametrize("provider", SECRETS)
async def test_what_the_provider_refuses_is_refused_with_its_secret_named(
    store: Store, clock: ManualClock, vault: Vault, provider: str
) -> None:
    status, body = (200, {"ok": False, "error": "invalid_auth"}) if provider == "slack" else (401, {})
    world = await a_world_whose_providers_answer(store, clock, vault, status, body)
    with pytest.raises(Invalid) as refused:
        await world.connections.check(world.caller, provider, SECRETS[provider])
    assert [issue.path for issue in refused.value.issues] == [("secrets", next(iter(SECRETS[provider])))]
    assert "does not accept" in refused.value.message


@pytest.mark.parametrize("provider", SECRETS)
async def test_what_the_provider_accepts_is_said(store: Store, clock: ManualClock, vault: Vault, provider: str) -> None:
    body = {"ok": True, "team_id": "T1", "bot_id": "B1", "data": []}
    world = await a_world_whose_providers_answer(store, clock, vault, 200, body)
    assert (await world.connections.check(world.caller, provider, SECRETS[provider])).endswith(" accepts it.")


@pytest.mark.parametrize("provider", SECRETS)
async def test_a_provider_that_has_troubles_of_its_own_is_no_reason_to_refuse(
    store: Store, clock: ManualClock, vault: Vault, provider: str
) -> None:
    world = await a_world_whose_providers_answer(store, clock, vault, 500, {})
    said = await world.connections.check(world.caller, provider, SECRETS[provider])
    assert said.startswith("It could not be checked at ")


async def test_every_native_provider_that_needs_secrets_says_how_to_get_them_and_can_check_them() -> None:
    for provider in CATALOGUE:
        granted = isinstance(provider.auth, OAuth2)  # what was granted just now needs no check
        listens = all(isinstance(trigger, Listening) for trigger in provider.triggers)  # tried when one is enabled
        checked = provider.check is not None or granted or listens
        assert bool(provider.fields) == bool(provider.guide) == checked, provider.id
        typed_in = {*provider.fields} - ({"access_token"} if granted else set())
        assert typed_in <= set(provider.labels) <= {*provider.fields, *provider.optional}, provider.id
