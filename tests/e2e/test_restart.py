"""A service that is stopped and started again is the same as before. `tests/faults` shows what kills do to it."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.process import Client, Service
from tests.support.servers import Seen, Server, answering, response, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

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
        await until(lambda: _true("stopping: finishing what is under way" in service.output))
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


async def _true(value: bool) -> bool:
    return value
