"""Killed in the middle of everything, the service loses nothing it has acknowledged."""

import asyncio
import json
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import Client, Service
from tests.support.servers import Seen, Server, answering, response, serving
from tests.support.web import until

pytestmark = pytest.mark.anyio

KILLS = 3
ENVIRONMENT = {"HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]'}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        running = Service(folder, ENVIRONMENT)
        await running.start()
        yield running
        await running.stop()


@pytest.fixture
async def target() -> AsyncIterator[Server]:
    async with serving(answering()) as server:
        yield server


async def test_every_acknowledged_event_reaches_the_target_though_the_service_is_killed(
    service: Service, target: Server
) -> None:
    client = Client(service, service.api_key)
    path, secret = await _webhook(client, target)
    acknowledged: set[str] = set()
    stopped = asyncio.Event()
    senders = [asyncio.create_task(_send(service, path, secret, acknowledged, stopped)) for _ in range(8)]
    starts = []
    for kill in range(KILLS):
        await asyncio.sleep(random.uniform(0.3, 0.8))
        before = len(acknowledged)
        await service.kill()
        await service.start()
        starts.append(service.started_in)
        await until(_more_than(acknowledged, before + 50))
        print(f"kill {kill + 1}: {before} acknowledged so far, up again after {service.started_in:.1f} s")
    stopped.set()
    await asyncio.gather(*senders)

    def received() -> set[str]:
        return {json.loads(one.body)["id"] for one in target.seen}

    await until(lambda: _true(acknowledged <= received()), timedelta(seconds=60))
    repeats = len(target.seen) - len({one.header("webhook-id") for one in target.seen})
    print(f"{len(acknowledged)} acknowledged, {len(received())} received, {repeats} attempts repeated with the same id")
    for one in target.seen:
        assert one.header("webhook-id") == json.loads(one.body)["id"], "a repeat must have its first attempt's id"
    await client.close()


async def test_what_was_set_up_is_there_after_a_restart_and_nothing_is_shown_twice(
    service: Service, target: Server
) -> None:
    client = Client(service, service.api_key)
    body = {"name": "Kept", "target": {"kind": "workflow", "url": target.url}}
    project = await client.ask("POST", "/v1/projects", body, status=201)
    await service.stop()
    first_output = service.output
    await service.start()
    print(f"second start: {service.started_in:.1f} s")
    assert "Log in" not in service.output[len(first_output) :]
    assert (await client.ask("GET", f"/v1/projects/{project['id']}"))["name"] == "Kept"
    await client.close()


async def test_a_service_whose_database_has_ended_ends_too_and_says_why(service: Service) -> None:
    clusters = list((service.folder / "data" / "postgres").glob("cluster/postmaster.pid"))
    os.kill(int(clusters[0].read_text().split()[0]), signal.SIGKILL)
    await until(lambda: _true(service.ended))
    await service.stop()
    assert service.exit_code == 1
    assert "The embedded PostgreSQL ended by itself" in service.output
    await service.start()


async def test_a_stop_finishes_what_is_under_way(service: Service) -> None:
    async def slowly(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.write(response())

    client = Client(service, service.api_key)
    async with serving(slowly) as target:
        path, secret = await _webhook(client, target)
        await client.ask("POST", path, {}, headers={"x-webhook-secret": secret})
        await until(lambda: _true(bool(target.seen)))
        await service.stop()
        assert service.exit_code == 0
        await service.start()
        [delivery] = (await client.ask("GET", "/v1/deliveries"))["data"]
        assert (delivery["status"], delivery["attempts"], len(target.seen)) == ("delivered", 1, 1)
    await client.close()


async def _webhook(client: Client, target: Server) -> tuple[str, str]:
    body = {"name": "Restart", "target": {"kind": "workflow", "url": target.url}}
    project = await client.ask("POST", "/v1/projects", body, status=201)
    body = {"provider_id": "webhook", "trigger_id": "on_request"}
    trigger = await client.ask("POST", f"/projects/{project['id']}/triggers", body, status=201)
    id_ = trigger["project_trigger_id"]
    secret = (await client.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
    await client.ask("POST", f"/triggers/{id_}/enable")
    return f"/v1/webhooks/{id_}", secret


async def _send(service: Service, path: str, secret: str, acknowledged: set[str], stopped: asyncio.Event) -> None:
    """Sends for ever, as a provider does: what got no answer is not counted."""
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as http:
        while not stopped.is_set():
            try:
                answer = await http.post(f"{service.url}{path}", json={}, headers={"x-webhook-secret": secret})
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                acknowledged.update(answer.json()["events"])


def _more_than(acknowledged: set[str], count: int) -> Callable[[], Awaitable[bool]]:
    return lambda: _true(len(acknowledged) > count)


async def _true(value: bool) -> bool:
    return value
