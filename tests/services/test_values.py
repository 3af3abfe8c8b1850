"""Odd times and texts from outside, and faults of this service in a request, end in an event or an outcome."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hairtrigger.domain.errors import Broken, Malformed
from hairtrigger.domain.event import Draft
from hairtrigger.domain.instants import FIRST, LAST
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.config import Empty
from hairtrigger.kit.incoming import Headers, Incoming, Request
from hairtrigger.kit.trigger import Provider, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import slack, typeform
from hairtrigger.services.provider_calls import ProviderCalls
from hairtrigger.store.database import Store
from tests.providers.slack.fake import signed as signed_by_slack
from tests.providers.typeform.fake import Typeform, app, signed
from tests.services.scene import Scene, a_scene
from tests.services.world import no_door
from tests.support.clock import ManualClock
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio


def odd(delivery: Incoming[Empty]) -> Iterable[Draft]:
    """Return the drafts of a provider file that has a fault, which only some requests meet."""
    told = delivery.json()
    if told.get("fault"):
        raise KeyError("a fault of ours")
    yield Draft(key=told["key"], data=delivery.request.body, subject=told.get("subject"), type=told.get("type"))


ODD = Provider(
    id="odd",
    name="Odd",
    triggers=(Webhook(id="on_it", name="It", description="It.", config=Empty, verify=Token("x-token"), events=odd),),
)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, typeform.provider, slack.provider, ODD) as made:
        yield made


def request(scene: Scene, body: bytes, **headers: str) -> Request:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("POST", "https://hooks.test/", Headers(named), body, scene.clock.now())


# -- Typeform


async def a_form(scene: Scene) -> tuple[UUID, str]:
    """Make an enabled Typeform trigger; return its id and the signing secret of its submissions."""
    account, world = Typeform(), scene.world
    internet = Internet({"https://api.typeform.com": app(account)})
    calls = ProviderCalls(
        http_of=lambda _: internet,
        door_of=no_door,
        clock=world.clock,
        secrets=world.secrets,
        tokens=world.calls.tokens,
        parsers=Parsers(),
    )
    connection = await world.connections.create(world.caller, "typeform", "Forms", {"token": "tfp_right"})
    id_ = await world.create("typeform", "on_form_submitted", {"form_id": "u6nXL7"}, connection.id)
    await replace(world.triggers, calls=calls).enable(world.caller, id_)
    [webhook] = account.webhooks.values()
    return id_, str(webhook["secret"])


def submission(submitted_at: object, token: str = "1") -> bytes:
    told = {"token": token, "submitted_at": submitted_at}
    return json.dumps({"event_id": "e", "event_type": "form_response", "form_response": told}).encode()


@pytest.mark.parametrize(
    ("submitted_at", "occurred_at"),
    [
        ("0001-01-01T00:00:00+02:00", FIRST),
        ("0001-01-01T00:00:00Z", FIRST),
        ("9999-12-31T23:59:59-05:00", LAST),
        ("9999-12-31T23:59:59.999999Z", LAST),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("1969-12-31T23:59:59.999999+00:00", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
async def test_a_signed_submission_is_an_event_however_it_is_dated(
    scene: Scene, submitted_at: str, occurred_at: datetime
) -> None:
    """Send two submissions: the first finds a trigger that is not remembered yet, the second one that is."""
    id_, secret = await a_form(scene)
    for token in "12":
        scene.passes(seconds=1)
        body = submission(submitted_at, token)
        answer = await scene.ingest.receive(str(id_), request(scene, body, **signed(body, secret)))
        assert json.loads(answer.body)["status"] == "accepted"
    found = await scene.world.events(id_)
    assert [(event.key, event.occurred_at) for event in found] == [("1", occurred_at), ("2", occurred_at)]
    assert all(event.occurred_at.tzinfo for event in found)


@pytest.mark.parametrize("submitted_at", ["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-05-01", 10**40, None])
async def test_a_signed_submission_without_a_date_is_refused_with_an_outcome(
    scene: Scene, submitted_at: object
) -> None:
    id_, secret = await a_form(scene)
    body = submission(submitted_at)
    with pytest.raises(Malformed, match="submitted_at"):
        await scene.ingest.receive(str(id_), request(scene, body, **signed(body, secret)))
    [outcome] = await scene.world.outcomes(id_, Kind.WEBHOOK)
    assert outcome.code is Code.MALFORMED
    assert "submitted_at" in outcome.detail


# -- texts, and faults of this service


async def an_odd_one(scene: Scene) -> UUID:
    id_ = await scene.world.create("odd", "on_it")
    await scene.world.triggers.rotate_secret(scene.world.caller, id_, "s3cret-token")
    await scene.world.triggers.enable(scene.world.caller, id_)
    return id_


async def send(scene: Scene, id_: UUID, **told: Any) -> None:
    body = json.dumps(told).encode()
    await scene.ingest.receive(str(id_), request(scene, body, x_token="s3cret-token"))


async def test_texts_that_the_database_refuses_are_made_such_as_it_takes(scene: Scene) -> None:
    id_ = await an_odd_one(scene)
    for key in ("a\0", "b\0", "a"):
        await send(scene, id_, key=key, subject="s\0", type="t\0")
    found = await scene.world.events(id_)
    assert len({event.key for event in found}) == 3
    assert {(event.subject, event.type) for event in found} == {("s", "t")}


async def test_a_fault_of_ours_in_a_request_has_an_outcome_and_is_told_as_ours(scene: Scene) -> None:
    """The sender is told to send the request again, and that stores the event once the fault is mended."""
    id_ = await an_odd_one(scene)
    await send(scene, id_, key="remembered")
    scene.passes(seconds=1)
    with pytest.raises(Broken, match="The fault is the service's"):
        await send(scene, id_, key="a", fault=True)
    [outcome] = await scene.world.outcomes(id_, Kind.WEBHOOK)
    assert outcome.code is Code.BROKEN
    assert "a fault of ours" not in outcome.detail
    assert "The request at" in (said := await scene.summary(id_))
    assert "broke inside the service" in said


async def test_a_request_that_names_an_account_which_can_not_be_stored_is_unrouted(scene: Scene) -> None:
    """The request does not reach the account whose name differs only in the characters that can't be stored."""
    ingest = replace(scene.ingest, app_secrets={"slack": ["s3cret"]})
    told = {"type": "event_callback", "team_id": "T1\0", "event_id": "E1", "event_time": 1, "event": {"type": "x"}}
    body = json.dumps(told).encode()
    answer = await ingest.receive("slack", request(scene, body, **signed_by_slack(body, "s3cret", scene.clock.now())))
    assert json.loads(answer.body)["reason"] == "unrouted"
