"""Webhooks at a provider that loses them, ends them, switches them off and doubles them, and the sweep beside them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from hairtrigger.domain.errors import CredentialsRefused, MissingAtProvider, NotReady, ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.domain.operational import OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.start import Start
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.config import Empty
from hairtrigger.kit.cursor import LookBack
from hairtrigger.kit.incoming import Incoming
from hairtrigger.kit.trigger import Page, Provider, Question, Registered, Registration, Sweep, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.vault import Vault
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store.database import Store
from hairtrigger.store.setup import subscriptions
from hairtrigger.store.setup.subscriptions import StoredSubscription
from tests.services.scene import Scene, a_scene
from tests.services.world import Killed, World, dying
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
TOKEN = {"token": "t0k3n"}
LIFE = 4 * DAY
LOOK_BACK = LookBack(late=10 * MINUTE)


@dataclass
class Mail:
    """A provider: the webhooks that it has as (address, secret, whether it is on), and the messages that came, which it
    lists by the date of its own clock.
    """

    clock: ManualClock
    hooks: list[tuple[str, str, bool]] = field(default_factory=list)
    messages: list[tuple[str, datetime]] = field(default_factory=list)
    behind: timedelta = timedelta()  # its clock
    life: timedelta | None = None
    calls: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)  # by call
    remotes: list[Any] = field(default_factory=list)  # that the calls of `remove` were given
    page: int = 100

    def message(self, key: str) -> None:
        self.messages.append((key, self.clock.now() - self.behind))

    async def create(self, question: Question[Empty], url: str, secret: str) -> Registration:
        self._called("create")
        self.hooks = [one for one in self.hooks if one[0] != url]
        chosen = f"chosen {self.calls.count('create')}"  # the provider chooses secrets
        self.hooks.append((url, chosen, True))
        return self._registration(chosen)

    async def renew(self, question: Question[Empty], url: str, registration: Registration) -> Registration:
        self._called("renew")
        if not any(one[0] == url for one in self.hooks):
            raise MissingAtProvider
        assert question.remote == registration.remote
        return self._registration(registration.secret)

    def _registration(self, secret: str) -> Registration:
        until = self.clock.now() + self.life if self.life else None
        return Registration({"number": len(self.calls)}, secret, until)

    async def remove(self, question: Question[Empty], url: str) -> None:
        self._called("remove")
        self.remotes.append(question.remote)
        self.hooks = [one for one in self.hooks if one[0] != url]

    async def list(self, question: Question[Empty]) -> Sequence[Registered]:
        self._called("list")
        return [Registered(url, enabled=on, why="" if on else "It failed for days.") for url, _, on in self.hooks]

    async def sweep(self, question: Question[Empty]) -> Page:
        self._called("sweep")
        look = LOOK_BACK.look(question)
        found = [one for one in self.messages if one[1] >= look.since][look.token or 0 :]
        more = (look.token or 0) + self.page if len(found) > self.page else None
        drafts = [Draft(key, json.dumps({"id": key}).encode(), occurred_at=at) for key, at in found[: self.page]]
        return look.page(drafts, more)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if failure := self.failures.get(what):
            raise failure

    def providers(self) -> Sequence[Provider]:
        def kind(id_: str, **parts: Any) -> Webhook[Empty]:
            return Webhook(
                id=id_,
                name=id_,
                description="",
                config=Empty,
                verify=Token("x-token"),
                events=_events,
                **parts,
            )

        sweep = Sweep(poll=self.sweep, every=10 * MINUTE)
        listing, ending = _Only(self, "list"), _Only(self, "renew")
        triggers = (
            kind("on_message", subscription=listing, sweep=sweep),
            kind("on_ending", subscription=ending),
            kind("on_channel", subscription=_Only(self)),
        )
        return [Provider(id="mail", name="Mail", auth=Bearer("token"), triggers=triggers)]


class _Only:
    """A subscription with these calls besides those that all have."""

    def __init__(self, mail: Mail, *more: str) -> None:
        self.create, self.remove = mail.create, mail.remove
        for name in more:
            setattr(self, name, getattr(mail, name))


def _events(incoming: Incoming[Empty]) -> Iterable[Draft]:
    body = json.loads(incoming.request.body)
    yield Draft(body["id"], incoming.request.body, former_keys=(f"former {body['id']}",))


@pytest.fixture
def mail(clock: ManualClock) -> Mail:
    return Mail(clock)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, mail: Mail) -> Any:
    async with a_scene(store, clock, vault, *mail.providers()) as scene:
        yield scene


async def enabled(world: World, trigger_id: str) -> UUID:
    connection = await world.connections.create(world.caller, "mail", "Mine", TOKEN)
    id_ = await world.create("mail", trigger_id, connection_id=connection.id)
    await world.triggers.enable(world.caller, id_)
    return id_


async def kept(world: World, id_: UUID) -> StoredSubscription:
    async with world.store.transaction() as tx:
        found = await subscriptions.get(tx, id_)
    assert found
    return found


async def push(scene: Scene, id_: UUID, mail: Mail, key: str) -> None:
    [(_, secret, on)] = [one for one in mail.hooks if one[0].endswith(str(id_))]
    assert on
    await scene.request(id_, "", key, **{"x-token": secret})


async def codes(world: World, id_: UUID) -> list[Code]:
    return (await world.codes(id_, Kind.REGISTRATION))[1:]  # without that of enabling


def address(id_: UUID) -> str:
    return f"https://hooks.test/v1/webhooks/{id_}"


async def until_looked(world: World, id_: UUID) -> None:
    """Advance the clock to the next look at the trigger's webhook, and look."""
    world.clock.advance((await kept(world, id_)).next_at - world.clock.now())
    assert await world.subscriptions.run_due() >= 1


# -- subscriptions that end


async def test_a_subscription_is_renewed_at_half_of_its_life_and_keeps_its_secret(scene: Scene, mail: Mail) -> None:
    mail.life, world = LIFE, scene.world
    id_ = await enabled(world, "on_ending")
    scene.passes(days=2, seconds=-1)
    assert await world.subscriptions.run_due() == 0

    scene.passes(seconds=1)
    assert await world.subscriptions.run_due() == 1

    assert mail.calls == ["create", "renew"]
    found = await kept(world, id_)
    assert (found.expires_at, found.next_at) == (scene.clock.now() + LIFE, scene.clock.now() + LIFE / 2)
    assert (await world.trigger(id_)).webhook_data == {"number": 2}
    await push(scene, id_, mail, "a")
    assert await world.keys(id_) == ["a"]
    assert await codes(world, id_) == [Code.RENEWED]
    assert await world.noticed() == [], "what goes as planned is not told"


async def test_a_subscription_that_can_t_be_renewed_is_tried_until_it_ends_and_then_it_is_said(
    scene: Scene, mail: Mail
) -> None:
    mail.life, world = LIFE, scene.world
    mail.failures = {"renew": ProviderFailed("The provider answered 500.")}
    id_ = await enabled(world, "on_ending")
    began = scene.clock.now()
    while mail.calls.count("create") == 1:
        await until_looked(world, id_)
    assert scene.clock.now() - began == 0.95 * LIFE, "near its end it is made again instead"
    assert mail.calls.count("renew") > 5

    assert (await kept(world, id_)).lost_at is None
    assert await codes(world, id_) == [Code.UNCHECKED, Code.REMADE]
    mail.failures["create"] = ProviderFailed("The provider answered 503.")
    ends_at = (await kept(world, id_)).expires_at
    assert ends_at
    while scene.clock.now() <= ends_at:
        await until_looked(world, id_)
    summary = await scene.summary(id_)
    assert "The trigger is failing" in summary
    assert "could not be made again: The provider answered 503." in summary
    assert (await codes(world, id_))[-1] is Code.LOST

    mail.failures = {}
    await until_looked(world, id_)
    assert "is healthy" in await scene.summary(id_)


async def test_a_subscription_that_the_provider_has_lost_is_made_again_and_told(scene: Scene, mail: Mail) -> None:
    mail.life, world = LIFE, scene.world
    id_ = await enabled(world, "on_ending")
    mail.hooks.clear()

    await until_looked(world, id_)

    assert mail.calls == ["create", "renew", "create"]
    await push(scene, id_, mail, "a")
    assert await world.keys(id_) == ["a"]
    [told] = await world.noticed()
    assert told.type is OperationalType.SUBSCRIPTION_RENEWED
    assert told.sentence.startswith("Mail no longer had the subscription. It was last seen as it should be at ")
    assert "can't be asked for" in told.sentence, "it has no sweep"


async def test_a_subscription_without_a_call_of_its_own_is_renewed_by_a_new_one(scene: Scene, mail: Mail) -> None:
    mail.life, world = LIFE, scene.world
    id_ = await enabled(world, "on_channel")
    await until_looked(world, id_)
    assert mail.calls == ["create", "create"]
    assert await codes(world, id_) == [Code.RENEWED]


async def test_the_end_of_a_subscription_is_gone_with_it(scene: Scene, mail: Mail) -> None:
    mail.life, world = LIFE, scene.world
    id_ = await enabled(world, "on_ending")
    await world.triggers.disable(world.caller, id_)
    assert mail.remotes == [{"number": 1}], "what the provider named it is known when it is removed"
    scene.passes(days=9)
    assert await world.subscriptions.run_due() == 0


# -- what the provider has and what we want


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda hooks: [], "Mail no longer had its webhook."),
        (lambda hooks: [(url, secret, False) for url, secret, _ in hooks], "had switched its webhook off. It failed"),
        (lambda hooks: hooks * 2, "Mail had 2 webhooks with its address."),
    ],
    ids=["gone", "switched off", "doubled"],
)
async def test_a_webhook_that_is_not_as_it_should_be_is_made_again_and_the_sweep_fills_the_gap(
    scene: Scene, mail: Mail, harm: Any, said: str
) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    before = mail.hooks[0][1]
    mail.hooks = harm(mail.hooks)
    mail.message("lost")

    await until_looked(world, id_)
    await scene.poll()

    assert [(url, on) for url, _, on in mail.hooks] == [(address(id_), True)]
    assert await world.keys(id_) == ["lost"]
    await push(scene, id_, mail, "new")
    await scene.request(id_, "", "on its way", **{"x-token": before})
    assert sorted(await world.keys(id_)) == ["lost", "new", "on its way"], "both secrets are valid for a while"
    [told] = await world.noticed()
    assert said in told.sentence
    assert "What it did not send meanwhile is asked for now." in told.sentence
    assert any(said in step.detail for step in (await scene.why(id_, at=scene.clock.now())).steps)


async def test_a_webhook_that_is_as_it_should_be_is_left_alone(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    for _ in range(5):
        await until_looked(world, id_)
    assert mail.calls == ["create", *["list"] * 5]
    assert await codes(world, id_) == []
    assert (await kept(world, id_)).seen_at == scene.clock.now()


async def test_a_webhook_that_the_list_does_not_show_is_not_made_again_and_again(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    for _ in range(5):
        hidden, mail.hooks = mail.hooks, []
        await until_looked(world, id_)
        mail.hooks = mail.hooks or hidden
    assert mail.calls.count("create") == 2
    assert await codes(world, id_) == [Code.REMADE, Code.UNCHECKED]
    assert "Mail lists no such webhook" in await scene.summary(id_)


async def test_only_webhooks_of_this_service_that_no_trigger_has_are_removed(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_, other = await enabled(world, "on_message"), await enabled(world, "on_message")
    off = await enabled(world, "on_message")
    await world.triggers.disable(world.caller, off)
    gone = uuid4()
    foreign = ["https://example.com/v1/webhooks/1", f"{address(id_)}/more", f"https://hooks.test.example/{gone}"]
    mail.hooks += [(url, "", True) for url in (address(gone), address(off), *foreign)]
    orphaned = mail.hooks[:]

    await until_looked(world, id_)
    await world.webhook_removals.run_due()

    assert {url for url, _, _ in mail.hooks} == {address(id_), address(other), *foreign}
    assert len(orphaned) == len(mail.hooks) + 2


async def test_a_process_that_dies_after_it_made_a_webhook_again_leaves_one_that_works(
    scene: Scene, mail: Mail
) -> None:
    """It dies before the transaction that stores the new secret, so the webhook that it made is of no use."""
    world = scene.world
    id_ = await enabled(world, "on_message")
    mail.hooks.clear()
    scene.passes(hours=6)
    with pytest.raises(BaseExceptionGroup) as ended:
        await replace(world.subscriptions, store=dying(world.store, at=4)).run_due()
    assert ended.group_contains(Killed)
    assert mail.calls[-1] == "create"

    for _ in range(10):
        scene.passes(minutes=1)
        await world.webhook_removals.run_due()
        await world.subscriptions.run_due()

    await push(scene, id_, mail, "a")
    assert await world.keys(id_) == ["a"]
    assert (await kept(world, id_)).lost_at is None


async def test_looking_in_vain_waits_longer_each_time_and_says_why(scene: Scene, mail: Mail) -> None:
    world = scene.world
    mail.failures = {"list": ProviderFailed("The provider answered 500.")}
    id_ = await enabled(world, "on_message")
    waits = []
    for _ in range(5):
        await until_looked(world, id_)
        waits.append((await kept(world, id_)).next_at - scene.clock.now())
    assert waits == [MINUTE * 2**n for n in range(5)]
    assert await codes(world, id_) == [Code.UNCHECKED], "the same reason is told once"
    assert "Its webhook could not be looked at or renewed. The provider answered 500." in await scene.summary(id_)
    assert "is healthy" in await scene.summary(id_), "its requests come"

    mail.failures = {"list": ProviderFailed("Later.", retry_after=2 * HOUR)}
    await until_looked(world, id_)
    assert (await kept(world, id_)).next_at - scene.clock.now() == 2 * HOUR


async def test_new_credentials_are_used_at_once(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    mail.failures = dict.fromkeys(("list", "sweep"), CredentialsRefused("No."))
    await until_looked(world, id_)
    for _ in range(3):
        scene.passes(hours=2)
        await scene.poll()
    assert "The last 3 sweeps failed, and the provider's requests are taken. No." in await scene.summary(id_)
    await push(scene, id_, mail, "pushed")
    mail.message("not pushed")

    mail.failures = {}
    connection_id = (await world.trigger(id_)).connection_id
    assert connection_id
    await world.connections.update(world.caller, connection_id, None, TOKEN)
    assert await world.subscriptions.run_due() == 1
    await scene.poll()

    assert sorted(await world.keys(id_)) == ["not pushed", "pushed"]


async def test_triggers_of_an_earlier_version_are_looked_after_too(scene: Scene, mail: Mail) -> None:
    world = scene.world
    mail.message("before")
    id_ = await enabled(world, "on_message")
    async with world.store.transaction() as tx:
        await subscriptions.end(tx, id_)
        await tx.connection.exec_driver_sql("DELETE FROM poll")
    scene.passes(minutes=1)
    mail.message("before the update")
    scene.passes(minutes=1)

    assert await world.subscriptions.adopt() == 2
    assert await world.subscriptions.adopt() == 0
    mail.message("after")
    scene.passes(minutes=10)
    assert await world.subscriptions.run_due() == 1
    await scene.poll()
    assert await world.keys(id_) == ["after"], "nothing from before the update fires"


# -- the sweep


async def test_what_the_push_did_not_bring_is_found_and_nothing_is_doubled(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    for number in range(20):
        mail.message(f"{number}")
        if number % 3:
            await push(scene, id_, mail, f"{number}")
        scene.passes(minutes=1)
        await scene.poll()
    scene.passes(minutes=10)
    await scene.poll()
    for number in range(20):  # each request comes once more
        await push(scene, id_, mail, f"{number}")

    assert sorted(await world.keys(id_), key=int) == [f"{number}" for number in range(20)]
    found = [one for one in await world.outcomes(id_, Kind.SWEEP) if one.code is Code.RECOVERED_EVENTS]
    assert sum(one.events for one in found) == 7
    assert "that the provider's request" in found[-1].detail
    assert "Its sweeps found 7 events that the provider's requests had not brought" in await scene.summary(id_)
    assert "with a sweep, because the provider's request had not brought it" in await scene.summary(id_, key="0")
    assert "as a request" in await scene.summary(id_, key="1")


async def test_a_sweep_finds_nothing_from_before_the_trigger_was_enabled(scene: Scene, mail: Mail) -> None:
    world = scene.world
    mail.message("old")
    scene.passes(seconds=1)
    id_ = await enabled(world, "on_message")
    scene.passes(minutes=10)
    await scene.poll()
    await world.triggers.disable(world.caller, id_)
    mail.message("while it was disabled")
    scene.passes(minutes=1)
    await world.triggers.enable(world.caller, id_)
    mail.message("new")
    scene.passes(minutes=10)
    await scene.poll()
    assert await world.keys(id_) == ["new"]
    assert (await world.codes(id_, Kind.SWEEP))[0] is Code.EMPTY


async def test_an_edit_that_makes_the_webhook_anew_loses_nothing(scene: Scene, mail: Mail) -> None:
    """The webhook is removed and made again, and what happens in between is found by the sweep."""
    world = scene.world
    id_ = await enabled(world, "on_message")
    other = await world.connections.create(world.caller, "mail", "Other", TOKEN)
    mail.message("lost")
    scene.passes(minutes=1)
    await world.triggers.change(world.caller, id_, TriggerChanges(frozenset({"connection_id"}), connection_id=other.id))
    scene.passes(minutes=10)
    await scene.poll()
    assert await world.keys(id_) == ["lost"]


@pytest.mark.parametrize("behind", [timedelta(), 8 * MINUTE, -8 * MINUTE], ids=["none", "behind", "ahead"])
async def test_the_provider_s_clock_may_differ(scene: Scene, mail: Mail, behind: timedelta) -> None:
    mail.behind, world = behind, scene.world
    id_ = await enabled(world, "on_message")
    scene.passes(minutes=10)
    for number in range(30):
        mail.message(f"{number}")
        scene.passes(minutes=1)
        await scene.poll()
    scene.passes(minutes=10)
    await scene.poll()
    assert sorted(await world.keys(id_), key=int) == [f"{number}" for number in range(30)]


async def test_a_sweep_that_dies_before_its_commit_is_repeated(scene: Scene, mail: Mail) -> None:
    mail.page, world = 2, scene.world
    id_ = await enabled(world, "on_message")
    for number in range(5):
        mail.message(f"{number}")
    scene.passes(minutes=10)
    [claimed] = (await world.poller.claim(10)).mine
    with pytest.raises(Killed):
        await world.poller_on(dying(world.store, at=4)).run(claimed)
    scene.passes(minutes=11)
    await scene.poll()
    assert sorted(await world.keys(id_)) == ["0", "1", "2", "3", "4"]


async def test_a_push_may_start_from_an_earlier_time_if_its_provider_has_a_list(scene: Scene, mail: Mail) -> None:
    world = scene.world
    mail.message("old")
    scene.passes(hours=2)
    mail.message("of the last hour")
    scene.passes(minutes=30)
    connection = await world.connections.create(world.caller, "mail", "Mine", TOKEN)
    id_ = await world.create("mail", "on_message", connection_id=connection.id)
    await world.triggers.enable(world.caller, id_, start=Start(scene.clock.now() - HOUR))
    await scene.poll()
    await push(scene, id_, mail, "new")
    assert sorted(await world.keys(id_)) == ["new", "of the last hour"]


async def test_a_failing_sweep_is_seen_and_the_push_goes_on(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    mail.failures = {"sweep": ProviderFailed("The provider answered 500.")}
    scene.passes(minutes=10)
    await scene.poll()
    assert "The last sweep failed, and the provider's requests are taken." in await scene.summary(id_)
    assert (await scene.why(id_)).health.status == "healthy"
    await push(scene, id_, mail, "a")
    assert await world.keys(id_) == ["a"]

    for _ in range(2):
        scene.passes(hours=1)
        await scene.poll()
    assert (await scene.why(id_)).health.status == "failing"
    mail.failures = {}
    scene.passes(hours=2)
    await scene.poll()
    assert (await scene.why(id_)).health.status == "healthy"


async def test_an_event_that_an_earlier_version_stored_under_another_key_starts_nothing_again(
    scene: Scene, mail: Mail
) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    await push(scene, id_, mail, "former a")  # as the earlier version stored it
    await push(scene, id_, mail, "a")
    await push(scene, id_, mail, "b")
    assert sorted(await world.keys(id_)) == ["b", "former a"]


async def test_a_sweep_runs_at_once_when_a_user_asks(scene: Scene, mail: Mail) -> None:
    world = scene.world
    id_ = await enabled(world, "on_message")
    mail.message("a")
    assert (await world.poller.poll_now(world.caller, id_)).events
    with pytest.raises(NotReady):
        await world.poller.poll_now(world.caller, await enabled(world, "on_ending"))
