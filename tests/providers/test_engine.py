"""The fakes of the catalogue through the service itself, on a real store: nothing is lost or doubled by a crash."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import pytest

from hairtrigger.conformance import Fake, Recorded, Subject
from hairtrigger.conformance.asking import URL
from hairtrigger.conformance.internet import Internet
from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.event import bounded_key
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import Polling, Webhook
from hairtrigger.kit.verify import Signature
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.vault import Vault
from hairtrigger.store.database import Store
from tests.providers.subjects import SUBJECTS
from tests.services.scene import a_scene
from tests.services.world import Killed, World, a_world, dying
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

LEASE = timedelta(minutes=10)  # longer than that of a poll whose process died


def has_its_time_inside(subject: Subject, recorded: Recorded) -> bool:
    """Return whether the recorded body holds the time at which it was sent, so that it is too old today."""
    verifier = subject.verifier(recorded)
    return bool(
        isinstance(verifier, Signature) and verifier.timestamp and (verifier.timestamp.header or "").startswith("/")
    )


POLLED = [(one, one.polled[0]) for one in SUBJECTS if one.polled]
PUSHED = [
    (one, recorded)
    for one in SUBJECTS
    for recorded in one.recorded[:1]
    if isinstance(trigger := one.trigger(recorded.trigger), Webhook) and trigger.subscription
    if not has_its_time_inside(one, recorded)
]


def internet(subject: Subject, fake: Fake) -> Internet:
    parts = urlsplit(subject.provider.address(fake.secrets))
    hosts: Sequence[str] = fake.hosts or [f"{parts.scheme}://{parts.hostname}"]
    return Internet(dict.fromkeys(hosts, fake.app))


async def made(world: World, subject: Subject, fake: Fake, trigger: str, config: Any) -> UUID:
    """Make a trigger with a connection, if its provider needs one, and return its id."""
    connection = None
    if subject.provider.fields:
        connection = (await world.connections.create(world.caller, subject.provider.id, "Mine", dict(fake.secrets))).id
    return await world.create(subject.provider.id, trigger, config, connection)


@pytest.mark.parametrize(("subject", "trigger"), POLLED, ids=[one.provider.id for one, _ in POLLED])
async def test_polls_lose_and_double_nothing_when_processes_die(
    store: Store, clock: ManualClock, vault: Vault, subject: Subject, trigger: Polling[Any]
) -> None:
    fake, happened = subject.made(), []
    async with Parsers(1) as parsers:
        world = await a_world(store, clock, vault, subject.provider, http=internet(subject, fake), parsers=parsers)
        id_ = await made(world, subject, fake, trigger.id, subject.config(trigger))
        await fake.happen(trigger.id, clock.now() - trigger.every)
        await world.triggers.enable(world.caller, id_)
        for dies_at in (1, 2, 3):
            clock.advance(trigger.every * 2)
            happened += [await fake.happen(trigger.id, clock.now()) for _ in range(2)]
            poller = world.poller_on(dying(world.store, at=dies_at))
            with suppress(Killed):
                for claimed in (await poller.claim(100)).mine:
                    await poller.run(claimed)
            clock.advance(LEASE)
            await world.poll_due()
        clock.advance(LEASE)
        await world.poll_due()

        assert sorted(await world.keys(id_)) == sorted(map(bounded_key, happened))


@pytest.mark.parametrize(("subject", "recorded"), PUSHED, ids=[one.provider.id for one, _ in PUSHED])
async def test_a_webhook_is_registered_heard_once_and_removed(
    store: Store, clock: ManualClock, vault: Vault, subject: Subject, recorded: Recorded
) -> None:
    fake, trigger = subject.made(), subject.trigger(recorded.trigger)
    async with a_scene(store, clock, vault, subject.provider, http=internet(subject, fake)) as scene:
        world = scene.world
        id_ = await made(world, subject, fake, recorded.trigger, subject.config(trigger))
        await world.triggers.enable(world.caller, id_)
        assert len([one for one in fake.hooks() if str(id_) in one.url]) == 1
        body = subject.body(recorded)
        [secret] = world.secrets.live(await world.trigger(id_), clock.now())
        sign = recorded.sign or fake.signed
        headers = Headers({**recorded.headers, **sign(body, secret, clock.now())}.items())
        query = f"?{urlencode({recorded.query: secret})}" if recorded.query else ""
        url = f"{URL}{query}"  # the address for which fakes sign
        request = Request("POST", url, headers, body, clock.now())

        for _ in range(2):
            await scene.ingest.receive(str(id_), request)

        keys = [bounded_key(draft.key) for draft in recorded.expected(body)]
        assert await world.keys(id_) == keys
        await world.triggers.disable(world.caller, id_)
        assert [one for one in fake.hooks() if str(id_) in one.url] == []
        with suppress(HairtriggerError):
            await scene.ingest.receive(str(id_), request)
        assert await world.keys(id_) == keys
