"""A silence of an app's trigger names the other accounts of its organisation for which requests came."""

import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.ids import new_id
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import github
from hairtrigger.store import accounts
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.triggers import ProjectTrigger
from tests.services.scene import Scene, a_scene
from tests.store.build import a_project, a_trigger
from tests.support.clock import ManualClock

PUSHES: dict[str, object] = {"repository": "a/b"}

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, github.provider) as scene:
        yield scene


async def pushed(scene: Scene, repository: int, **more: Any) -> None:
    """Send the app a push to a repository."""
    body = json.dumps({"ref": "refs/heads/main", "repository": {"id": repository, "full_name": "a/b"}, **more}).encode()
    signature = "sha256=" + hmac.digest(b"a secret", body, "sha256").hex()
    headers = Headers([("x-github-event", "push"), ("x-hub-signature-256", signature)])
    try:
        await scene.ingest.receive(
            "github", Request("POST", "https://hooks.test/github", headers, body, scene.clock.now())
        )
    except HairtriggerError as error:
        raise AssertionError(error.message) from error


async def listening(scene: Scene, *repositories: int, org_id: UUID | None = None) -> ProjectTrigger:
    """Make a trigger that its provider has named these repositories for."""
    org_id, now = org_id or scene.world.caller.org_id, scene.clock.now()
    async with scene.world.store.transaction() as tx:
        if org_id == scene.world.caller.org_id:
            project_id = scene.world.project_id
        else:
            await accounts.add_organization(tx, accounts.Organization(org_id, "Other", now))
            project_id = await a_project(tx, org_id, now)
        connection = Connection(new_id(now), org_id, "github", "GitHub", b"", org_id, now, now)
        await connections.add(tx, connection)
        made = await a_trigger(tx, org_id, project_id, now, provider_id="github", trigger_id="on_push", config=PUSHES)
        connected = replace(made, connection_id=connection.id, generation=2)
        await triggers.save(tx, connected)
        await triggers.route(tx, connected, [f"repository:{id_}" for id_ in repositories])
    return connected


async def switched_off(scene: Scene, trigger: ProjectTrigger) -> None:
    async with scene.world.store.transaction() as tx:
        await triggers.switch_off(tx, triggers.is_one_of([trigger.id]), scene.clock.now())


async def test_a_request_for_another_account_of_the_organisation_is_counted_and_told(scene: Scene) -> None:
    asked = await listening(scene, 12345)
    await switched_off(scene, await listening(scene, 12346))
    at = scene.clock.now()
    await pushed(scene, 12346)
    await scene.refusals.flush()
    scene.passes(seconds=1)
    summary = await scene.summary(asked.id, at=at)
    assert "1 request came for repository 12346; this trigger listens to 12345." in summary


async def test_very_many_such_requests_are_one_row_a_minute_and_all_are_told(scene: Scene) -> None:
    asked = await listening(scene, 1)
    await switched_off(scene, await listening(scene, 2, 3))
    at = scene.clock.now()
    for number in range(50):
        await pushed(scene, 2, number=number)
    await pushed(scene, 3)
    await scene.refusals.flush()
    scene.passes(seconds=1)
    summary = await scene.summary(asked.id, at=at)
    assert "Requests came for others: 50 for repository 2, 1 for repository 3; this trigger listens to 1." in summary


async def test_a_request_that_another_trigger_took_is_told_too_and_counted_once(scene: Scene) -> None:
    asked = await listening(scene, 1)
    for _ in range(2):
        await listening(scene, 2)
    at = scene.clock.now()
    await pushed(scene, 2)
    scene.passes(seconds=1)
    assert "1 request came for repository 2; this trigger listens to 1." in await scene.summary(asked.id, at=at)


async def test_nothing_is_told_of_accounts_of_another_organisation(scene: Scene) -> None:
    asked = await listening(scene, 1)
    other = uuid4()
    await listening(scene, 2, org_id=other)
    await switched_off(scene, await listening(scene, 3, org_id=uuid4()))
    at = scene.clock.now()
    for repository in (2, 3, 4):
        await pushed(scene, repository)
    await scene.refusals.flush()
    scene.passes(seconds=1)
    summary = await scene.summary(asked.id, at=at)
    assert "its app brought nothing for it" in summary
    assert "came for" not in summary


async def test_an_account_of_a_deleted_connection_is_no_account_of_the_organisation(scene: Scene) -> None:
    asked = await listening(scene, 1)
    gone = await listening(scene, 2)
    await switched_off(scene, gone)
    async with scene.world.store.transaction() as tx:
        assert gone.connection_id
        await connections.remove(tx, gone.org_id, gone.connection_id, scene.clock.now())
    at = scene.clock.now()
    await pushed(scene, 2)
    await scene.refusals.flush()
    scene.passes(seconds=1)
    assert "came for" not in await scene.summary(asked.id, at=at)
