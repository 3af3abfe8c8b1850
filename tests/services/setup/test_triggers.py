"""The life of a project trigger, with providers that refuse, go down and are asked at bad moments."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hairtrigger.domain.errors import (
    Conflict,
    CredentialsRefused,
    HairtriggerError,
    Invalid,
    NotFound,
    NotReady,
    ProviderFailed,
    Rejected,
)
from hairtrigger.domain.event import Draft
from hairtrigger.domain.operational import OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.config import Config
from hairtrigger.kit.incoming import Headers, Incoming, Request
from hairtrigger.kit.trigger import App, AppWebhook, Provider, Question, Registration, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, triggers
from tests.services.world import Killed, Meddled, World, a_world, at, dying, seconds
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
TOKEN = {"token": "t0k3n"}


class Branch(Config):
    branch: str = "main"


class Hold:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()

    async def pause(self) -> None:
        self.begun.set()
        await self.release.wait()


@dataclass
class Remote:
    """The provider's side: the webhooks that exist with their signing secrets, and how the next calls end."""

    hooks: dict[str, str] = field(default_factory=dict)
    failure: Exception | None = None  # how the next calls fail
    holds: list["Hold"] = field(default_factory=list)  # each of the next calls waits for one
    calls: list[str] = field(default_factory=list)
    made: int = 0
    accounts: tuple[str, ...] = ("team:1", "team:2")

    async def create(self, question: Question[Branch], url: str, secret: str) -> Registration:
        await self._call("create", question)
        self.made += 1
        self.hooks[url] = f"secret {self.made}"  # shown once, and different each time
        return Registration({"hook_id": self.made, "branch": question.config.branch}, self.hooks[url])

    async def remove(self, question: Question[Branch], url: str) -> None:
        await self._call("remove", question)
        self.hooks.pop(url, None)

    async def own_accounts(self, question: Question[Branch]) -> Sequence[str]:
        await self._call("accounts", question)
        return self.accounts

    async def _call(self, what: str, question: Question[Branch]) -> None:
        assert question.api.carried.headers == {"authorization": "Bearer t0k3n"}
        self.calls.append(what)
        if self.holds:
            await self.holds.pop(0).pause()
        if self.failure:
            raise self.failure

    def hold(self) -> "Hold":
        """Make the next answer wait until it is released."""
        self.holds.append(Hold())
        return self.holds[-1]

    def provider(self) -> Provider:
        own = Webhook(
            id="on_push",
            name="Push",
            description="",
            config=Branch,
            verify=Token("x-token"),
            events=_events,
            subscription=self,
        )
        shared = AppWebhook(
            id="on_message", name="Message", description="", config=Branch, accounts=self.own_accounts, events=_events
        )
        return Provider(
            id="remote",
            name="Remote",
            auth=Bearer("token"),
            app=App(verify=Token("x-token"), accounts=lambda _: ()),
            triggers=(own, shared),
        )


def _events(delivery: Incoming[Any]) -> Iterable[Draft]:
    return ()


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, remote: Remote) -> World:
    return await a_world(store, clock, vault, remote.provider(), webhook.provider, schedule.provider)


@pytest.fixture
async def push(world: World) -> UUID:
    """Make a trigger that needs a webhook at its provider and is not enabled yet; return its id."""
    return await connected(world, "on_push")


async def connected(world: World, trigger_id: str) -> UUID:
    connection = await world.connections.create(world.caller, "remote", "Mine", TOKEN)
    return await world.create("remote", trigger_id, {"branch": "next"}, connection.id)


async def enable(world: World, id_: UUID) -> None:
    await world.triggers.enable(world.caller, id_)


async def disable(world: World, id_: UUID) -> None:
    await world.triggers.disable(world.caller, id_)


def url(id_: UUID) -> str:
    return f"https://hooks.test/v1/webhooks/{id_}"


async def live(world: World, id_: UUID) -> list[str]:
    return world.secrets.live(await world.trigger(id_), world.clock.now())


# -- enabling


async def test_enabling_registers_one_webhook_and_shows_it_without_its_secret(
    world: World, remote: Remote, push: UUID
) -> None:
    await enable(world, push)
    await enable(world, push)

    assert remote.calls == ["create"]
    assert remote.hooks == {url(push): "secret 1"}
    found = await world.trigger(push)
    assert (found.enabled, found.enabled_at, found.generation) == (True, world.clock.now(), 1)
    assert found.webhook_data == {"hook_id": 1, "branch": "next"}
    assert await live(world, push) == ["secret 1"]
    assert b"secret 1" not in (found.secrets or b"")
    assert await world.codes(push, Kind.REGISTRATION) == [Code.REGISTERED]


@pytest.mark.parametrize("error", [ProviderFailed("The provider answered 422."), CredentialsRefused("No.")])
async def test_what_the_provider_refuses_stays_disabled_and_is_cleaned_up(
    world: World, remote: Remote, push: UUID, error: HairtriggerError
) -> None:
    remote.failure = error
    with pytest.raises(type(error)):
        await enable(world, push)

    found = await world.trigger(push)
    assert (found.enabled, found.webhook_data, found.secrets) == (False, None, None)
    [outcome] = await world.outcomes(push, Kind.REGISTRATION)
    assert (outcome.code, outcome.detail) == (Code.FAILED, f"Enabling failed: {error.message}")

    remote.failure = None
    remote.hooks[url(push)] = "made all the same"
    assert await world.webhook_removals.run_due() == 1
    assert remote.hooks == {}


async def test_what_failed_can_be_tried_again_at_once(world: World, remote: Remote, push: UUID) -> None:
    remote.failure = ProviderFailed("500")
    with pytest.raises(ProviderFailed):
        await enable(world, push)
    remote.failure = None
    await enable(world, push)
    world.clock.advance(timedelta(hours=1))
    assert await world.webhook_removals.run_due() == 0
    assert list(remote.hooks) == [url(push)]


async def test_what_the_provider_finds_wrong_with_the_configuration_is_told_too(
    world: World, remote: Remote, push: UUID
) -> None:
    remote.failure = Invalid("There is no branch 'next'.")
    with pytest.raises(Invalid):
        await enable(world, push)
    assert await world.codes(push, Kind.REGISTRATION) == [Code.FAILED]
    remote.failure = None
    await enable(world, push)


async def test_a_connection_without_its_secret_is_told(world: World, remote: Remote, push: UUID) -> None:
    found = await world.trigger(push)
    assert found.connection_id
    connection = await world.connections.get(world.caller, found.connection_id)
    async with world.store.transaction() as tx:
        sealed = world.secrets.seal_for_connection(connection.id, {})
        await connections.change(tx, connection.id, world.clock.now(), secrets=sealed)
    with pytest.raises(CredentialsRefused, match="lacks token"):
        await enable(world, push)
    assert await world.codes(push, Kind.REGISTRATION) == [Code.FAILED]
    assert remote.calls == []


async def test_a_process_that_dies_before_the_commit_leaves_no_webhook_behind(
    world: World, remote: Remote, push: UUID
) -> None:
    """The third transaction commits the enabling; the first reads the trigger, the second plans a removal."""
    with pytest.raises(Killed):
        await on_store(world.triggers, dying(world.store, at=3)).enable(world.caller, push)
    assert list(remote.hooks) == [url(push)]
    assert not (await world.trigger(push)).enabled
    with pytest.raises(Conflict):
        await enable(world, push)

    world.clock.advance(MINUTE * 5 - seconds(1))
    assert await world.webhook_removals.run_due() == 0
    world.clock.advance(seconds(1))
    assert await world.webhook_removals.run_due() == 1

    assert remote.hooks == {}
    await enable(world, push)
    assert list(remote.hooks) == [url(push)]


async def test_a_trigger_deleted_while_it_is_enabled_leaves_no_webhook_behind(
    world: World, remote: Remote, push: UUID
) -> None:
    slow = remote.hold()
    enabling = asyncio.create_task(enable(world, push))
    await slow.begun.wait()
    await world.triggers.delete(world.caller, push)
    slow.release.set()
    with pytest.raises(Conflict):
        await enabling
    assert list(remote.hooks) == [url(push)]

    world.clock.advance(MINUTE * 5)
    await world.webhook_removals.run_due()
    assert remote.hooks == {}


async def test_of_two_that_enable_at_once_one_wins_and_its_webhook_stays(
    world: World, remote: Remote, push: UUID
) -> None:
    slow = remote.hold()
    first = asyncio.create_task(enable(world, push))
    await slow.begun.wait()
    with pytest.raises(Conflict):
        await enable(world, push)
    slow.release.set()
    await first

    assert await live(world, push) == list(remote.hooks.values()) == ["secret 1"]
    world.clock.advance(timedelta(hours=1))
    assert await world.webhook_removals.run_due() == 0


async def test_who_enables_what_another_has_just_enabled_touches_nothing(
    world: World, remote: Remote, push: UUID
) -> None:
    """The slower call read "disabled", and the other call ended before the slower one asked the provider."""

    async def other_is_quicker(number: int) -> None:
        if number == 2:
            await enable(world, push)

    slow = on_store(world.triggers, Meddled(world.store.engine, world.store.connect, before_begin=other_is_quicker))
    with pytest.raises(Conflict):
        await slow.enable(world.caller, push)

    assert await live(world, push) == list(remote.hooks.values()), "it would refuse all that comes"
    world.clock.advance(timedelta(hours=1))
    assert await world.webhook_removals.run_due() == 0
    assert list(remote.hooks) == [url(push)]


async def test_an_enabling_that_takes_too_long_does_not_leave_a_trigger_enabled_without_its_webhook(
    world: World, remote: Remote, push: UUID
) -> None:
    """The webhook is removed after five minutes, and then the trigger must not say "enabled"."""

    async def late(number: int) -> None:
        if number == 3:
            world.clock.advance(MINUTE * 5)
            await world.webhook_removals.run_due()

    slow = on_store(world.triggers, Meddled(world.store.engine, world.store.connect, before_begin=late))
    with pytest.raises(Conflict):
        await slow.enable(world.caller, push)
    assert not (await world.trigger(push)).enabled


@pytest.mark.parametrize("provider_id", ["remote", "schedule"])
async def test_concurrent_changes_end_in_one_state_and_the_provider_agrees(
    world: World, remote: Remote, push: UUID, provider_id: str
) -> None:
    id_ = push if provider_id == "remote" else await world.create("schedule", "on_schedule", {"interval": "1m"})
    for _ in range(3):
        changes = [enable(world, id_), disable(world, id_), enable(world, id_), disable(world, id_)]
        ended = await asyncio.gather(*changes, return_exceptions=True)
        assert all(result is None or isinstance(result, Conflict) for result in ended), ended
        world.clock.advance(timedelta(minutes=10))
        await world.webhook_removals.run_due()
        enabled = (await world.trigger(id_)).enabled
        if id_ == push:
            assert (url(id_) in remote.hooks) == enabled
            assert not enabled or await live(world, id_) == [remote.hooks[url(id_)]]
        else:
            assert ((await world.clockwork(id_)).next_at is not None) == enabled


# -- disabling and deleting


async def test_disabling_removes_the_webhook_and_says_so(world: World, remote: Remote, push: UUID) -> None:
    await enable(world, push)
    world.clock.advance(MINUTE)
    await disable(world, push)
    await disable(world, push)

    assert (remote.calls, remote.hooks) == (["create", "remove"], {})
    found = await world.trigger(push)
    assert (found.enabled, found.webhook_data, found.generation) == (False, None, 2)
    assert await world.codes(push, Kind.REGISTRATION) == [Code.REGISTERED, Code.REMOVED]
    world.clock.advance(timedelta(days=1))
    assert await world.webhook_removals.run_due() == 0


@pytest.mark.parametrize(
    "failure", [ProviderFailed("500"), Invalid("What?"), KeyError("a fault of a provider file")], ids=repr
)
async def test_disabling_works_while_the_provider_is_down_and_the_webhook_goes_later(
    world: World, remote: Remote, push: UUID, failure: Exception
) -> None:
    await enable(world, push)
    remote.failure = failure

    await disable(world, push)

    assert not (await world.trigger(push)).enabled
    waits = [await until_tried(world, remote) for _ in range(5)]
    assert waits == [MINUTE * 2**n for n in range(1, 6)]
    remote.failure = None
    await until_tried(world, remote)
    assert remote.hooks == {}
    assert (await world.codes(push, Kind.REGISTRATION))[-1] == Code.REMOVED


def on_store(services: Triggers, store: Store) -> Triggers:
    """Return the services of a process that uses this store."""
    return replace(services, store=store, subscriptions=replace(services.subscriptions, store=store))


async def until_tried(world: World, remote: Remote) -> timedelta:
    """Advance the clock until the provider is asked again, and return the time that passed."""
    asked, waited = len(remote.calls), timedelta()
    while len(remote.calls) == asked:
        world.clock.advance(MINUTE)
        waited += MINUTE
        await world.webhook_removals.run_due()
    return waited


async def test_what_can_never_be_removed_is_given_up_in_the_end_and_told(
    world: World, remote: Remote, push: UUID
) -> None:
    await enable(world, push)
    remote.failure = ProviderFailed("The provider answered 403.")
    await disable(world, push)
    for tries in range(1, 12):
        world.clock.advance(MINUTE * 2**tries - seconds(1))
        assert await world.webhook_removals.run_due() == 0
        world.clock.advance(seconds(1))
        assert await world.webhook_removals.run_due() == 1

    outcome = (await world.outcomes(push, Kind.REGISTRATION))[-1]
    assert (outcome.code, "403" in outcome.detail) == (Code.FAILED, True)
    [told] = await world.noticed()
    assert (told.type, told.project_trigger_id) == (OperationalType.WEBHOOK_REMOVAL_FAILED, push)
    assert f"Remove the webhook with this address there: https://hooks.test/v1/webhooks/{push}" in told.sentence
    world.clock.advance(timedelta(days=3))
    assert await world.webhook_removals.run_due() == 0


async def test_a_removal_that_breaks_holds_up_no_other(world: World, remote: Remote, tmp_path: Path) -> None:
    ids = [await connected(world, "on_push") for _ in range(12)]
    for id_ in ids:
        await enable(world, id_)
    remote.failure = ProviderFailed("500")
    for id_ in ids[:11]:
        await disable(world, id_)
    strange = Secrets(Vault.open(tmp_path / "another.json"))  # it opens no secret of the removals
    another = replace(world.webhook_removals, secrets=strange, calls=replace(world.calls, secrets=strange))
    remote.failure = None
    world.clock.advance(timedelta(hours=1))
    assert await another.run_due() == 10
    await disable(world, ids[11])
    assert sorted(remote.hooks) == sorted(map(url, ids[:11]))

    world.clock.advance(timedelta(hours=1))
    while await world.webhook_removals.run_due():
        pass
    assert remote.hooks == {}


async def test_a_webhook_being_removed_cannot_be_made_again_before_that_is_over(
    world: World, remote: Remote, push: UUID
) -> None:
    await enable(world, push)
    slow = remote.hold()
    disabling = asyncio.create_task(disable(world, push))
    await slow.begun.wait()
    with pytest.raises(Conflict, match="made or removed"):
        await enable(world, push)
    slow.release.set()
    await disabling

    await enable(world, push)
    assert remote.hooks == {url(push): "secret 2"}


async def test_a_removal_that_waits_for_others_takes_down_no_webhook_made_meanwhile(
    world: World, remote: Remote
) -> None:
    first, second = [await connected(world, "on_push") for _ in range(2)]
    for id_ in (first, second):
        await enable(world, id_)
    remote.failure = ProviderFailed("500")
    for id_ in (first, second):
        await disable(world, id_)
        world.clock.advance(seconds(1))
    remote.failure = None
    world.clock.advance(timedelta(hours=1))
    slow = remote.hold()
    webhook_removals = asyncio.create_task(world.webhook_removals.run_due())
    await slow.begun.wait()
    world.clock.advance(MINUTE * 3)  # longer than the lease of a removal

    await enable(world, second)
    slow.release.set()
    await webhook_removals

    assert await live(world, second) == list(remote.hooks.values())


async def test_a_removal_that_ends_after_its_lease_forgets_no_newer_plan(
    world: World, remote: Remote, push: UUID
) -> None:
    await enable(world, push)
    removal, making = remote.hold(), remote.hold()
    disabling = asyncio.create_task(disable(world, push))
    await removal.begun.wait()
    world.clock.advance(MINUTE * 3)
    dead = on_store(world.triggers, dying(world.store, at=3))
    enabling = asyncio.create_task(_killed(dead.enable(world.caller, push)))
    await making.begun.wait()
    removal.release.set()
    await disabling
    making.release.set()
    await enabling
    assert list(remote.hooks) == [url(push)]

    world.clock.advance(MINUTE * 5)
    await world.webhook_removals.run_due()
    assert remote.hooks == {}


async def _killed(what: Awaitable[Any]) -> None:
    with pytest.raises(Killed):
        await what


async def test_deleting_an_enabled_trigger_removes_its_webhook(world: World, remote: Remote, push: UUID) -> None:
    await enable(world, push)
    await world.triggers.delete(world.caller, push)
    assert remote.hooks == {}
    with pytest.raises(NotFound):
        await world.trigger(push)


async def test_a_deleted_triggers_webhook_is_removed_later_even_without_its_connection(
    world: World, remote: Remote, push: UUID
) -> None:
    connection_id = (await world.trigger(push)).connection_id
    assert connection_id
    await enable(world, push)
    with pytest.raises(Conflict):
        await world.connections.delete(world.caller, connection_id)
    remote.failure = ProviderFailed("500")
    await world.triggers.delete(world.caller, push)
    await world.connections.delete(world.caller, connection_id)
    remote.failure = None
    await until_tried(world, remote)
    assert remote.hooks == {}


# -- app webhooks


async def listening(world: World, account: str) -> list[UUID]:
    async with world.store.transaction() as tx:
        return [found.id for found in await triggers.listening_to(tx, "remote", [account])]


async def test_an_apps_deliveries_are_routed_from_enable_to_disable(world: World, remote: Remote) -> None:
    id_ = await connected(world, "on_message")
    assert await listening(world, "team:1") == []
    await enable(world, id_)
    assert [await listening(world, account) for account in ("team:1", "team:2", "team:3")] == [[id_], [id_], []]
    assert (await world.trigger(id_)).webhook_data == {"accounts": ["team:1", "team:2"]}

    await disable(world, id_)
    assert await listening(world, "team:1") == []
    remote.accounts = ("team:3",)
    await enable(world, id_)
    assert [await listening(world, account) for account in ("team:1", "team:3")] == [[], [id_]]
    await world.triggers.delete(world.caller, id_)
    assert await listening(world, "team:3") == []


async def test_a_connection_without_accounts_is_not_enabled(world: World, remote: Remote) -> None:
    id_ = await connected(world, "on_message")
    remote.accounts = ()
    with pytest.raises(ProviderFailed):
        await enable(world, id_)
    assert not (await world.trigger(id_)).enabled
    assert await world.codes(id_, Kind.REGISTRATION) == [Code.FAILED]


# -- connections


@pytest.mark.parametrize("trigger_id", ["on_push", "on_message"])
async def test_a_trigger_that_needs_a_connection_is_not_enabled_without(
    world: World, remote: Remote, trigger_id: str
) -> None:
    id_ = await world.create("remote", trigger_id)
    with pytest.raises(NotReady, match="needs a connection to 'remote'"):
        await enable(world, id_)
    assert remote.calls == []


async def test_nobody_uses_anothers_connection_or_one_to_another_provider(
    store: Store, clock: ManualClock, vault: Vault, world: World, remote: Remote
) -> None:
    stranger = await a_world(store, clock, vault, remote.provider())
    foreign = await stranger.connections.create(stranger.caller, "remote", "Theirs", TOKEN)
    other = await world.connections.create(world.caller, "webhook", "Other", {})
    with pytest.raises(NotFound):
        await world.create("remote", "on_push", connection_id=foreign.id)
    with pytest.raises(Invalid, match="to 'webhook', not to 'remote'"):
        await world.create("remote", "on_push", connection_id=other.id)
    with pytest.raises(NotFound):
        await world.create("remote", "on_push", connection_id=uuid4())
    assert await world.triggers.of_project(world.caller, world.project_id) == []


async def test_nobody_sees_or_touches_anothers_trigger(
    store: Store, clock: ManualClock, vault: Vault, remote: Remote, push: UUID
) -> None:
    stranger = await a_world(store, clock, vault, remote.provider())
    for forbidden in (
        stranger.triggers.get,
        stranger.triggers.enable,
        stranger.triggers.disable,
        stranger.triggers.delete,
        stranger.triggers.rotate_secret,
        stranger.triggers.clockwork,
    ):
        with pytest.raises(NotFound):
            await forbidden(stranger.caller, push)


# -- schedules


async def test_a_schedule_with_no_time_left_is_not_enabled(world: World) -> None:
    id_ = await world.create("schedule", "on_schedule_once", {"run_at": at(world.clock, -1).isoformat()})
    with pytest.raises(Invalid, match="never fires again"):
        await enable(world, id_)
    assert not (await world.trigger(id_)).enabled


# -- secrets of triggers whose URL a user enters at the sender


async def test_a_webhook_without_a_secret_is_not_enabled(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    with pytest.raises(NotReady, match="no signing secret"):
        await enable(world, id_)
    await world.triggers.rotate_secret(world.caller, id_)
    await enable(world, id_)
    data = (await world.trigger(id_)).webhook_data
    assert data
    assert data["url"] == url(id_)
    assert data["repeats"].startswith("A request with the same id (header:webhook-id or ")


async def test_the_secret_before_stays_valid_for_the_overlap_and_no_longer(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    first = await world.triggers.rotate_secret(world.caller, id_)
    await enable(world, id_)
    second = await world.triggers.rotate_secret(world.caller, id_, overlap=MINUTE)
    await accepts(world, id_, first, second)
    world.clock.advance(MINUTE - seconds(1))
    await accepts(world, id_, first, second)

    world.clock.advance(seconds(1))

    await accepts(world, id_, second)
    await refuses(world, id_, first)


async def test_rotating_twice_lengthens_no_ones_life(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    first = await world.triggers.rotate_secret(world.caller, id_, "first secret")
    await world.triggers.rotate_secret(world.caller, id_, "second secret", MINUTE)
    await world.triggers.rotate_secret(world.caller, id_, "third secret", MINUTE * 10)
    assert await live(world, id_) == ["third secret", "second secret", "first secret"]
    world.clock.advance(MINUTE)
    assert await live(world, id_) == ["third secret", "second secret"]
    await refuses(world, id_, first)
    await world.triggers.rotate_secret(world.caller, id_, "fourth secret", timedelta())
    assert await live(world, id_) == ["fourth secret"]


async def test_a_secret_outlives_disabling(world: World) -> None:
    id_ = await world.create("webhook", "on_request")
    secret = await world.triggers.rotate_secret(world.caller, id_)
    await enable(world, id_)
    await disable(world, id_)
    await enable(world, id_)
    assert await live(world, id_) == [secret]


async def test_only_secrets_of_ones_own_making_are_rotated(world: World, push: UUID) -> None:
    for id_ in (push, await connected(world, "on_message")):
        with pytest.raises(Invalid, match="not yours to set"):
            await world.triggers.rotate_secret(world.caller, id_)


async def accepts(world: World, id_: UUID, *secrets: str) -> None:
    for secret in secrets:
        await _verify(world, id_, secret)


async def refuses(world: World, id_: UUID, secret: str) -> None:
    with pytest.raises(Rejected):
        await _verify(world, id_, secret)


async def _verify(world: World, id_: UUID, secret: str) -> None:
    now: datetime = world.clock.now()
    request = Request("POST", url(id_), Headers([("x-webhook-secret", secret)]), b"{}", now)
    Token("X-Webhook-Secret")(request, await live(world, id_))
