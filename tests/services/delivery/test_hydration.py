"""Thin events: the request is answered at once, and the rest is fetched before the first delivery."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import from_json

from hairtrigger.domain.errors import CredentialsRefused, MissingAtProvider, ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.domain.privacy import Privacy
from hairtrigger.domain.target import Outgoing
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.config import Empty
from hairtrigger.kit.incoming import Incoming
from hairtrigger.kit.trigger import Provider, Question, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import webhook
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history
from hairtrigger.targets.formats import cloud_event
from tests.services.scene import Scene, a_scene
from tests.services.world import Killed, dying
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


@dataclass
class Notes:
    """A provider whose requests say which page was changed, and not what it says now."""

    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failure: Exception | None = None

    async def fetch(self, question: Question[Empty], thin: Draft) -> Draft:
        assert question.secrets == {"token": "t0k3n"}
        assert thin.thin
        id_ = from_json(thin.data)["id"]
        self.asked.append(id_)
        if self.failure:
            raise self.failure
        if id_ not in self.pages:
            raise MissingAtProvider
        whole = json.dumps({"id": id_, "text": self.pages[id_]}).encode()
        return replace(thin, data=whole, subject=f"page {id_}", content_type="application/json")

    def provider(self) -> Provider:
        changed = Webhook(
            id="on_change",
            name="Change",
            description="",
            config=Empty,
            verify=Token("x-token"),
            events=_events,
            hydrate=self.fetch,
        )
        return Provider(id="notes", name="Notes", auth=Bearer("token"), triggers=(changed,))


def _events(incoming: Incoming[Empty]) -> Iterable[Draft]:
    yield Draft(from_json(incoming.request.body)["id"], incoming.request.body, thin=True)


@pytest.fixture
def notes() -> Notes:
    return Notes({"a": "Hello", "b": "World"})


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, notes: Notes) -> Any:
    async with a_scene(store, clock, vault, notes.provider(), webhook.provider) as scene:
        yield scene


@pytest.fixture
async def trigger(scene: Scene) -> UUID:
    world = scene.world
    connection = await world.connections.create(world.caller, "notes", "Mine", {"token": "t0k3n"})
    id_ = await world.create("notes", "on_change", connection_id=connection.id)
    await world.triggers.rotate_secret(world.caller, id_, "a secret")
    await world.triggers.enable(world.caller, id_)
    return id_


async def come(scene: Scene, trigger: UUID, key: str) -> None:
    await scene.request(trigger, "", key, **{"x-token": "a secret"})


def data(outgoing: Outgoing) -> Any:
    return from_json(cloud_event(outgoing))


async def test_a_thin_event_is_fetched_after_the_answer_and_once(scene: Scene, trigger: UUID, notes: Notes) -> None:
    world = scene.world
    await come(scene, trigger, "a")
    assert notes.asked == [], "the request is answered before"
    await come(scene, trigger, "a")

    await scene.deliver()
    [event] = await world.events(trigger)
    services = Interventions(store=world.store, clock=scene.clock, work=world.poller.work)
    await services.replay(world.caller, event.id)
    await scene.deliver()

    assert notes.asked == ["a"]
    assert await world.bodies(trigger) == [{"id": "a", "text": "Hello"}]
    assert [data(one)["data"] for one in scene.received] == [{"id": "a", "text": "Hello"}] * 2
    assert data(scene.received[0])["subject"] == "page a"
    assert "incomplete" not in data(scene.received[0])


@pytest.mark.parametrize(
    "failure", [ProviderFailed("The provider answered 500."), CredentialsRefused("No."), KeyError("a fault of a file")]
)
async def test_a_fetch_that_fails_is_repeated_and_the_target_is_not_to_blame(
    scene: Scene, trigger: UUID, notes: Notes, failure: Exception
) -> None:
    notes.failure = failure
    await come(scene, trigger, "a")
    await scene.deliver()

    assert scene.received == []
    summary = await scene.summary(trigger)
    assert "The event could not be fetched from its provider, so the target was not called." in summary
    async with scene.world.store.transaction() as tx:
        blamed = (await tx.connection.exec_driver_sql("SELECT count(*) FROM target_streak")).scalar_one()
    assert blamed == 0

    notes.failure = None
    scene.passes(minutes=10)
    await scene.deliver()
    assert [data(one)["data"]["text"] for one in scene.received] == ["Hello"]


async def test_a_provider_that_asks_to_be_left_alone_is(scene: Scene, trigger: UUID, notes: Notes) -> None:
    notes.failure = ProviderFailed("Later.", retry_after=timedelta(hours=1))
    await come(scene, trigger, "a")
    await scene.deliver()
    scene.passes(minutes=59)
    await scene.deliver()
    assert notes.asked == ["a"]
    scene.passes(minutes=2)
    notes.failure = None
    await scene.deliver()
    assert notes.asked == ["a", "a"]
    assert len(scene.received) == 1


async def test_an_event_whose_thing_is_gone_is_delivered_as_it_came_and_marked(
    scene: Scene, trigger: UUID, notes: Notes
) -> None:
    await come(scene, trigger, "deleted")
    await scene.deliver()

    [sent] = map(data, scene.received)
    assert (sent["data"], sent["incomplete"]) == ({"id": "deleted"}, True)
    assert sent["datacontenttype"] == "application/json"
    summary = await scene.summary(trigger, key="deleted")
    assert "It could not be completed: The provider answered 404." in summary
    assert "repeat" not in summary


async def test_the_trigger_may_be_gone_before_its_event_is_fetched(scene: Scene, trigger: UUID, notes: Notes) -> None:
    await come(scene, trigger, "a")
    await scene.world.triggers.delete(scene.world.caller, trigger)
    await scene.deliver()
    assert notes.asked == []
    assert [data(one)["incomplete"] for one in scene.received] == [True]


async def test_a_process_that_dies_with_what_it_fetched_loses_nothing(
    scene: Scene, trigger: UUID, notes: Notes
) -> None:
    await come(scene, trigger, "a")
    [event] = await scene.world.events(trigger)
    with pytest.raises(Killed):
        await replace(scene.hydration, store=dying(scene.world.store, at=2)).completed(event)

    await scene.deliver()

    assert [data(one)["data"]["text"] for one in scene.received] == ["Hello"]
    assert notes.asked == ["a", "a"]


async def test_events_are_delivered_in_order_though_the_first_is_fetched_late(
    scene: Scene, trigger: UUID, notes: Notes
) -> None:
    world = scene.world
    await world.projects.update(world.caller, world.project_id, None, None, None, None, order_by="trigger")
    notes.failure = ProviderFailed("The provider answered 500.")
    await come(scene, trigger, "a")
    scene.passes(seconds=1)
    await come(scene, trigger, "b")
    await scene.deliver()
    notes.failure = None
    for _ in range(3):
        scene.passes(minutes=10)
        await scene.deliver()

    assert [data(one)["data"]["id"] for one in scene.received] == ["a", "b"]


async def test_what_is_fetched_is_redacted_too(scene: Scene, trigger: UUID) -> None:
    world = scene.world
    private = TriggerChanges(frozenset({"privacy"}), privacy=Privacy(redact=("/text",)))
    await world.triggers.change(world.caller, trigger, private)
    await come(scene, trigger, "a")
    await scene.deliver()
    [body] = await world.bodies(trigger)
    assert body["text"] != "Hello"
    assert "Hello" not in str(data(scene.received[0]))


async def test_a_sender_that_names_the_media_type_of_thin_events_is_taken_at_its_word(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "a", **{"content-type": "application/vnd.hairtrigger.thin+json"})
    await scene.deliver()
    assert [data(one)["data"] for one in scene.received] == [{"id": "a"}]


async def test_an_attempt_without_a_fetch_is_recorded_as_such(scene: Scene, trigger: UUID, notes: Notes) -> None:
    notes.failure = ProviderFailed("The provider answered 500.")
    await come(scene, trigger, "a")
    await scene.deliver()
    [event] = await scene.world.events(trigger)
    async with scene.world.store.transaction() as tx:
        [attempt] = await history.attempts(tx, scene.world.caller.org_id, event.id)
    assert (attempt.status, attempt.failure) == ("failed", "unfetched")
