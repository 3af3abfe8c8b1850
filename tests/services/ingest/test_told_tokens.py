"""A secret that a sender tells with its handshake reaches the user that has to enter it, and no other organisation."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.errors import NotFound
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import webhook
from hairtrigger.store.database import Store
from tests.services.scene import Scene, a_scene
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

TOKEN = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, webhook.provider) as scene:
        yield scene


async def ask(scene: Scene, id_: UUID, body: Any, headers: Mapping[str, str] | None = None) -> int:
    given = Headers([("content-type", "application/json"), *(headers or {}).items()])
    request = Request("POST", f"https://hooks.test/{id_}", given, json.dumps(body).encode(), scene.clock.now())
    return (await scene.ingest.receive(str(id_), request)).status


async def tokens(scene: Scene, id_: UUID) -> list[str]:
    found = await scene.ingest.receivers.tokens.of_trigger(scene.world.caller, id_)
    return [one.token for one in found]


async def test_notions_token_is_shown_and_is_then_the_secret(scene: Scene) -> None:
    id_ = await scene.world.create("webhook", "on_request", {"sender": "notion"})
    assert await tokens(scene, id_) == []

    assert await ask(scene, id_, {"verification_token": TOKEN}) == 200

    assert await tokens(scene, id_) == [TOKEN]
    summary = await scene.summary(id_)
    assert f"GET /v1/project-triggers/{id_}/tokens" in summary
    assert f"hairtrigger triggers tokens {id_}" in summary
    assert TOKEN not in summary
    async with scene.world.store.transaction() as tx:
        rows = (await tx.connection.execute(text("SELECT token, digest FROM told_token"))).all()
    assert all(TOKEN.encode() not in value for row in rows for value in row)
    await scene.world.triggers.rotate_secret(scene.world.caller, id_, TOKEN)
    await scene.world.triggers.enable(scene.world.caller, id_)


@pytest.mark.parametrize(
    ("config", "body", "headers"),
    [
        ({"sender": "asana"}, {}, {"X-Hook-Secret": TOKEN}),
        ({"handshake": "notion"}, {"verification_token": TOKEN}, {}),
        (
            {"handshakes": [{"method": "POST", "when": {"/type": "hello"}, "tells": "/secret"}]},
            {"type": "hello", "secret": TOKEN},
            {},
        ),
    ],
)
async def test_every_sender_that_tells_a_secret_is_heard(
    scene: Scene, config: dict[str, Any], body: Any, headers: Mapping[str, str]
) -> None:
    id_ = await scene.world.create("webhook", "on_request", config)
    assert await ask(scene, id_, body, headers) == 200
    assert await tokens(scene, id_) == [TOKEN]


async def test_the_last_ones_are_kept_each_once_and_for_the_organisation_alone(scene: Scene) -> None:
    id_ = await scene.world.create("webhook", "on_request", {"sender": "notion"})
    for number in (1, 2, 3, 4, 2):
        await ask(scene, id_, {"verification_token": f"token {number}"})
        scene.clock.advance(timedelta(seconds=1))
    assert await tokens(scene, id_) == ["token 2", "token 4", "token 3"]
    stranger = Caller(uuid4(), uuid4(), frozenset(SCOPES))
    with pytest.raises(NotFound):
        await scene.ingest.receivers.tokens.of_trigger(stranger, id_)


async def test_what_tells_no_token_is_no_reason_to_look_for_one(scene: Scene) -> None:
    id_ = await scene.world.create("webhook", "on_request", {"handshake": "monday"})
    assert await ask(scene, id_, {"challenge": "c"}) == 200
    assert "token" not in await scene.summary(id_)
    other = await scene.world.create("webhook", "on_request", {"sender": "notion"})
    await ask(scene, other, {"verification_token": "x" * 5000})
    assert await tokens(scene, other) == []
