"""Stops: by a signal to the whole process group at any moment, asked for twice, and by a kill."""

import asyncio
import json
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Client, Service
from tests.e2e.test_roles import a_fleet
from tests.faults import processes
from tests.providers.rss.fake import Item, Site
from tests.support.servers import Seen, Server, response, serving
from tests.support.waiting import until_true

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in Linux' /proc"),
]

_WORSE_THAN_INFO = re.compile(r"^.*(?:\[(?:warning|error|critical) *\]|Traceback|Error|Exception).*$", re.MULTILINE)
_STOPPING = "stopping: finishing what is under way"
_CODE = "return (await (await fetch(inputs.address)).json());"
_SETTINGS = {
    "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
    "HAIRTRIGGER_LEAST_POLLING_SECONDS": "1",
    "HAIRTRIGGER_POLL_DEADLINE_SECONDS": "86400",
    "HAIRTRIGGER_SANDBOX_WALL_SECONDS": "3600",
    "HAIRTRIGGER_SHUTDOWN_SECONDS": "3600",
    "HAIRTRIGGER_LEASE_SECONDS": "60",
}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        service = Service(folder, _SETTINGS)
        yield service
        await service.kill()


class Outside:
    """A target, a provider and a feed in one server. What asks for `/target` or `/provider` waits while `held`."""

    def __init__(self) -> None:
        self.held: Callable[[], bool] = lambda: False
        self.server = Server("", 0)

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.path == "/feed":
            writer.write(response(200, Site([Item("1")]).feed()))
            return
        await until_true(lambda: not self.held())
        writer.write(response(200, b"[]"))

    def asked(self, path: str) -> int:
        return sum(one.path == path for one in self.server.seen)

    async def set_up(self, client: Client) -> tuple[str, str]:
        """Make a webhook, a feed that is polled and polling code, and return the webhook's path and secret."""
        target = {"kind": "workflow", "url": f"{self.server.url}/target", "timeout_seconds": 300}
        project = (await client.ask("POST", "/v1/projects", {"name": "Stops", "target": target}, status=201))["id"]
        made = await client.ask("POST", "/integrations/v1/create", {"name": "Slow"}, status=201)
        body = {
            "name": "Item created",
            "description": "An item was created",
            "pollingCode": _CODE,
            "inputFields": [{"label": "Address", "type": "TEXT", "required": True}],
        }
        integration = made["integration"]["id"]
        path = f"/integrations/v1/{integration}/triggers/create"
        slug = (await client.ask("POST", path, body, status=201))["trigger"]["slug"]
        feed = {"url": f"{self.server.url}/feed", "polling_frequency": 1}
        await self._trigger(client, project, "rss", "on_item_published", feed)
        asked = {"address": f"{self.server.url}/provider", "polling_frequency": 1}
        await self._trigger(client, project, integration, slug, asked)
        return await a_webhook(client, project)

    async def _trigger(self, client: Client, project: str, provider: str, trigger: str, params: dict[str, Any]) -> None:
        body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": params}
        made = await client.ask("POST", f"/projects/{project}/triggers", body, status=201)
        await client.ask("POST", f"/triggers/{made['project_trigger_id']}/enable")


async def a_webhook(client: Client, project: str) -> tuple[str, str]:
    body = {"provider_id": "webhook", "trigger_id": "on_request"}
    made = await client.ask("POST", f"/projects/{project}/triggers", body, status=201)
    id_ = made["project_trigger_id"]
    secret = (await client.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
    await client.ask("POST", f"/triggers/{id_}/enable")
    return f"/v1/webhooks/{id_}", secret


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    made = Outside()
    async with serving(made.answer) as made.server:
        yield made


async def busy(service: Service, outside: Outside, held: Callable[[], bool]) -> Client:
    """Return when a poll of code and a delivery are under way. They get no answer while `held` is true."""
    client = Client(service, service.api_key)
    path, secret = await outside.set_up(client)
    outside.held = held
    before = outside.asked("/target"), outside.asked("/provider")
    await client.ask("POST", path, {}, headers={"x-webhook-secret": secret})
    await until_true(lambda: outside.asked("/target") > before[0] and outside.asked("/provider") > before[1])
    return client


def complaints(service: Service, since: int = 0) -> list[str]:
    return _WORSE_THAN_INFO.findall(service.output[since:])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_to_the_whole_group_ends_what_is_under_way_without_a_complaint(
    service: Service, outside: Outside, how: signal.Signals
) -> None:
    await service.start()
    await (await busy(service, outside, lambda: _STOPPING not in service.output)).close()
    service.signal_group(how)
    await service.wait()
    assert service.exit_code == 0
    assert complaints(service) == []
    assert service.output.count(_STOPPING) == 1


async def test_a_signal_to_each_process_but_the_database_is_no_cause_for_complaint(
    service: Service, outside: Outside
) -> None:
    """Supervisors such as systemd may tell every process of a service to stop, whatever its group."""
    await service.start()
    await (await busy(service, outside, lambda: _STOPPING not in service.output)).close()
    ours = [pid for pid in processes.family(service.pid) if "postgres" not in processes.command(pid)]
    assert any("hairtrigger.sandbox" in processes.command(pid) for pid in ours)
    assert any("parser_process" in processes.command(pid) for pid in ours)
    processes.kill(ours, signal.SIGTERM)
    await service.wait()
    assert service.exit_code == 0
    assert complaints(service) == []


def _data(service: Service) -> Path:
    return service.folder / "data" / "postgres"


STAGES: dict[str, Callable[[Service], bool]] = {
    "at once": lambda _: True,
    "while the program is loaded": lambda service: "libpython" in _maps(service) or "pydantic_core" in _maps(service),
    "before the database is made": lambda service: (_data(service) / "lock").exists(),
    "while the database is made": lambda service: (_data(service) / "cluster.new" / "PG_VERSION").exists(),
    "while the database starts": lambda service: (_data(service) / "cluster" / "postmaster.pid").exists(),
    "while the sandbox starts": lambda service: any(
        "hairtrigger.sandbox" in processes.command(pid) for pid in processes.children(service.pid)
    ),
    "before its first login": lambda service: "locked in" in service.output,
}


def _maps(service: Service) -> str:
    return Path(f"/proc/{service.pid}/maps").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_stop_while_the_service_starts_ends_the_start_without_a_complaint(
    service: Service, stage: str, how: signal.Signals
) -> None:
    await service.launch()
    await until_true(lambda: STAGES[stage](service))
    family = processes.family(service.pid)
    service.signal_group(how)
    await service.wait()
    assert service.exit_code in (0, -how)
    assert complaints(service) == []
    assert "Aborted" not in service.output
    await processes.ended(family)


async def test_a_start_after_one_that_was_stopped_half_way_shows_its_login(service: Service) -> None:
    await service.launch()
    await until_true(lambda: STAGES["while the database is made"](service))
    service.signal_group(signal.SIGINT)
    await service.wait()
    await service.start()
    assert service.login
    assert complaints(service) == []


async def test_a_stop_that_is_asked_for_again_waits_for_nothing(service: Service, outside: Outside) -> None:
    await service.start()
    await (await busy(service, outside, lambda: True)).close()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf a bo")
    await writer.drain()

    async def again() -> bool:
        service.signal_group(signal.SIGINT)
        await asyncio.sleep(0.1)
        return service.ended

    await until_true(lambda: outside.asked("/target") > 0)
    while not await again():
        pass
    await service.wait()
    assert service.exit_code == 0
    assert complaints(service) == []
    assert service.output.count(_STOPPING) == 1
    assert (await reader.read()).startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 400 "))
    writer.close()

    delivered, polled = outside.asked("/target"), outside.asked("/provider")
    await service.start()  # leases last a minute and a day, but were given back
    await until_true(lambda: outside.asked("/target") > delivered and outside.asked("/provider") > polled)


async def test_the_demo_stops_without_a_complaint_while_it_is_set_up_and_while_it_plays(service: Service) -> None:
    service.environment = {}
    await service.start("--demo")
    service.signal_group(signal.SIGINT)
    await service.wait()
    assert (service.exit_code, complaints(service)) == (0, [])
    await service.start("--demo")
    await until_true(lambda: "workflow started" in service.output)
    service.signal_group(signal.SIGTERM)
    await service.wait()
    assert (service.exit_code, complaints(service)) == (0, [])


async def test_what_a_killed_service_held_is_done_at_once_and_the_outage_is_told(
    service: Service, outside: Outside
) -> None:
    await service.start()
    client = await busy(service, outside, lambda: True)
    at = datetime.now(UTC).isoformat()
    await service.kill()
    delivered, polled = outside.asked("/target"), outside.asked("/provider")
    await service.start()
    outside.held = lambda: False
    await until_true(lambda: outside.asked("/target") > delivered and outside.asked("/provider") > polled)
    assert "what a process held that died is free again" in service.output
    for trigger in (await client.ask("GET", "/v1/project-triggers"))["data"]:
        told = await client.ask("GET", f"/v1/project-triggers/{trigger['id']}/explain", params={"at": at})
        assert "he service was down from " in told["summary"]
    await client.close()


async def test_of_two_workers_the_living_one_keeps_what_it_holds() -> None:
    outside = Outside()
    async with AsyncExitStack() as stack:
        outside.server = await stack.enter_async_context(serving(outside.answer))
        fleet = await stack.enter_async_context(a_fleet())
        one_place = {"concurrent_deliveries": "1", "lease_seconds": "60"}
        api = await fleet.start("api", "api")
        client = Client(api, api.api_key)
        target = {"kind": "workflow", "url": outside.server.url, "timeout_seconds": 300}
        project = (await client.ask("POST", "/v1/projects", {"name": "Two", "target": target}, status=201))["id"]
        path, secret = await a_webhook(client, project)
        outside.held = lambda: True
        workers: list[Service] = []
        for name in ("killed", "living"):
            workers.append(await fleet.start("worker", name, **one_place))
            await client.ask("POST", path, {}, headers={"x-webhook-secret": secret})
            await until_true(lambda: len(outside.server.seen) == len(workers))
        first, second = [json.loads(one.body)["id"] for one in outside.server.seen]
        await workers[0].kill()
        third = await fleet.start("worker", "third", **one_place)
        await until_true(lambda: len(outside.server.seen) == 3)
        assert [json.loads(one.body)["id"] for one in outside.server.seen] == [first, second, first]
        assert (workers[1].output + third.output).count("deliveries=1") == 1
        outside.held = lambda: False
        await client.close()
