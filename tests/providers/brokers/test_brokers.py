"""Providers that listen to brokers, against the brokers themselves: no message is lost and none comes twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.egress import EgressPolicy
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import kafka
from hairtrigger.services.polling.poll_results import PollStep, StoredPoll
from hairtrigger.store.database import Store
from tests.providers.brokers.servers import (
    Broker,
    kafka_broker,
    kafka_server,
    nats_broker,
    nats_server,
    redis_broker,
    valkey_server,
)
from tests.services.listening.workers import Ears, ears
from tests.services.world import Killed, dying, seconds
from tests.support.bridge import Bridge, bridge
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

KINDS = {
    "nats": (nats_server, nats_broker),
    "redis": (valkey_server, redis_broker),
    "kafka": (kafka_server, kafka_broker),
}


@pytest.fixture(scope="session", params=KINDS)
async def running(
    request: pytest.FixtureRequest, free_tcp_port_factory: "pytest.FixtureDef[int]"
) -> AsyncIterator[tuple[str, int]]:
    port = free_tcp_port_factory()  # type: ignore[operator]
    async with KINDS[request.param][0](port):
        yield request.param, port


@pytest.fixture
async def broker(running: tuple[str, int]) -> AsyncIterator[Broker]:
    kind, port = running
    async with KINDS[kind][1](port, f"q{uuid4().hex}") as made:
        yield made


@pytest.fixture
async def ear(store: Store, clock: ManualClock, vault: Vault, broker: Broker) -> AsyncIterator[Ears]:
    async with ears(store, clock, vault, broker.provider) as made:
        yield made


async def a_trigger(ear: Ears, broker: Broker, port: int = 0) -> UUID:
    world, provider = ear.world, broker.provider.id
    held = await world.connections.create(world.caller, provider, "Broker", broker.secrets(port or broker.port))
    id_ = await world.create(provider, broker.trigger, broker.config, held.id)
    await world.triggers.enable(world.caller, id_)
    return id_


async def texts(ear: Ears, broker: Broker, id_: UUID) -> list[str]:
    return broker.texts(await ear.world.bodies(id_))


async def test_messages_that_come_after_enabling_are_events_in_their_order(ear: Ears, broker: Broker) -> None:
    await broker.publish(["before"])
    id_ = await a_trigger(ear, broker)
    async with ear.worker():
        await broker.publish(["a", "b"])
        await ear.until_events(id_, 2)
        await broker.publish(["c"])
        await ear.until_events(id_, 3)
    await broker.publish(["while no worker ran"])
    ear.world.clock.advance(seconds(60))
    async with ear.worker():
        await ear.until_events(id_, 4)
    assert await texts(ear, broker, id_) == ["a", "b", "c", "while no worker ran"]


async def test_a_worker_that_dies_with_its_commit_leaves_the_messages_to_the_next(ear: Ears, broker: Broker) -> None:
    id_ = await a_trigger(ear, broker)
    await broker.publish(["a", "b"])
    listeners = ear.listeners()
    [claimed] = (await listeners.leases.due(1)).mine
    with pytest.raises(Killed):
        await ear.listeners(dying(ear.world.store, at=2)).listener.run(claimed)
    assert await texts(ear, broker, id_) == []
    await listeners.leases.take_back(None)
    ear.world.clock.advance(seconds(1))
    async with ear.worker():
        await ear.until_events(id_, 2)
        await broker.publish(["c"])
        await ear.until_events(id_, 3)
    assert await texts(ear, broker, id_) == ["a", "b", "c"]


async def test_a_worker_that_dies_between_its_commit_and_the_acknowledgement_doubles_nothing(
    ear: Ears, broker: Broker
) -> None:
    id_ = await a_trigger(ear, broker)
    await broker.publish(["a", "b"])
    listeners = ear.listeners()
    [claimed] = (await listeners.leases.due(1)).mine
    settle = listeners.listener.settle

    async def die_after(step: PollStep) -> StoredPoll:
        stored = await settle(step)
        if step.events:
            raise Killed
        return stored

    with pytest.raises(Killed):
        await replace(listeners.listener, settle=die_after).run(claimed)
    assert "a" in await texts(ear, broker, id_)
    await listeners.leases.take_back(None)
    ear.world.clock.advance(seconds(1))
    async with ear.worker():
        await broker.publish(["c"])
        await ear.until_events(id_, 3)
    assert await texts(ear, broker, id_) == ["a", "b", "c"]


async def test_messages_of_the_time_without_a_connection_come_when_it_stands_again(ear: Ears, broker: Broker) -> None:
    if broker.provider is kafka.provider:
        pytest.skip("its client connects to the address that the broker names, past the bridge")
    async with bridge(lambda: asyncio.open_connection("127.0.0.1", broker.port)) as leading:
        id_ = await a_trigger(ear, broker, leading.port)
        async with ear.worker() as worker:
            await broker.publish(["a"])
            await ear.until_events(id_, 1)
            _break(leading)
            await worker.until_all_ended()
            await broker.publish(["b"])
            leading.open = True
            ear.world.clock.advance(seconds(60))
            await worker.look()
            await ear.until_events(id_, 2)
    assert await texts(ear, broker, id_) == ["a", "b"]
    assert Code.FAILED in await ear.world.codes(id_, Kind.LISTEN)


def _break(leading: Bridge) -> None:
    leading.open = False
    leading.cut()


async def test_a_broker_that_names_a_private_address_is_not_followed_there(
    store: Store, clock: ManualClock, vault: Vault, free_tcp_port: int
) -> None:
    there: list[int] = []
    listening = await asyncio.start_server(lambda *_: there.append(1), "127.0.0.2", 0)
    private = f"tcp://127.0.0.2:{listening.sockets[0].getsockname()[1]}"
    policy = EgressPolicy(allow=(ip_network("127.0.0.1/32"),))
    async with kafka_server(free_tcp_port, private), ears(store, clock, vault, kafka.provider, policy=policy) as ear:
        world = ear.world
        servers = {"servers": f"127.0.0.1:{free_tcp_port}"}
        held = await world.connections.create(world.caller, "kafka", "Broker", servers)
        id_ = await world.create("kafka", "on_record", {"topic": "t", "security": "PLAINTEXT"}, held.id)
        with pytest.raises(ProviderFailed):
            await world.triggers.enable(world.caller, id_)
    assert there == []
    listening.close()
