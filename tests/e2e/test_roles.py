"""Several processes on one PostgreSQL: what each role does, and what a restart of one process costs."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import httpx2
import pytest

from hairtrigger.platform.vault import Vault
from tests.e2e.process import Client, EndedEarly, Service
from tests.support.postgres import Server as Database
from tests.support.postgres import server as database
from tests.support.servers import Answer, Seen, Server, answering, response, serving
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio


@dataclass
class Fleet:
    folder: Path
    database: Database
    stack: AsyncExitStack
    environment: dict[str, str] = field(default_factory=dict)  # of every process

    async def start(self, role: str, name: str, **settings: str) -> Service:
        home = self.folder / name
        home.mkdir()
        environment = {
            "HAIRTRIGGER_ROLE": role,
            "HAIRTRIGGER_DATABASE_URL": self.database.url,
            "HAIRTRIGGER_VAULT_FILE": str(self.folder / "vault.json"),
            "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
            "HAIRTRIGGER_SANDBOX_WORKERS": "1",
            **self.environment,
            **{f"HAIRTRIGGER_{key.upper()}": value for key, value in settings.items()},
        }
        service = Service(home, environment)
        await service.start()
        self.stack.push_async_callback(service.stop)
        return service


@asynccontextmanager
async def a_fleet() -> AsyncIterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        Vault.open(folder / "vault.json")
        async with database(folder) as running, AsyncExitStack() as stack:
            yield Fleet(folder, running, stack)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with a_fleet() as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Server]:
    async with serving(answering()) as server:
        yield server


async def webhook(client: Client, target: Server) -> tuple[str, dict[str, str]]:
    """Return the webhook of a new trigger whose events go to the target, and the header that requests need."""
    body = {"name": "Roles", "target": {"kind": "workflow", "url": target.url}, "max_inflight": 100}
    project = await client.ask("POST", "/v1/projects", body, status=201)
    body = {"provider_id": "webhook", "trigger_id": "on_request"}
    trigger = await client.ask("POST", f"/projects/{project['id']}/triggers", body, status=201)
    id_ = trigger["project_trigger_id"]
    secret = (await client.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
    await client.ask("POST", f"/triggers/{id_}/enable")
    return f"/v1/webhooks/{id_}", {"x-webhook-secret": secret}


async def is_ready(service: Service) -> int:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return (await http.get(f"{service.url}/readyz")).status_code


class Senders:
    """Senders of events at a steady rate. Each acknowledged event is noted with the time of its acknowledgement."""

    def __init__(self, service: Service, path: str, headers: dict[str, str], per_second: int) -> None:
        self._service, self._path, self._headers, self._pause = service, path, headers, 1 / per_second
        self.acknowledged: dict[str, float] = {}
        self.refused: list[int] = []
        self.retry_after: set[str | None] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        due = time.monotonic()
        limits = httpx2.Limits(max_keepalive_connections=0)  # the service closes idle connections at any time
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=PATIENCE, limits=limits) as http,
            asyncio.TaskGroup() as tasks,
        ):
            while not self._stopped.is_set():
                tasks.create_task(self._send(http))
                due += self._pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _send(self, http: httpx2.AsyncClient) -> None:
        answer = await http.post(f"{self._service.url}{self._path}", json={}, headers=self._headers)
        if answer.status_code == 200:
            self.acknowledged.update(dict.fromkeys(answer.json()["events"], time.monotonic()))
        else:
            self.refused.append(answer.status_code)
            self.retry_after.add(answer.headers.get("retry-after"))

    def stop(self) -> None:
        self._stopped.set()


async def test_each_role_does_its_share(fleet: Fleet, target: Server) -> None:
    api = await fleet.start("api", "api")
    client = Client(api, api.api_key)
    path, headers = await webhook(client, target)
    await client.ask("POST", path, {}, headers=headers)
    assert [one["status"] for one in (await client.ask("GET", "/v1/deliveries"))["data"]] == ["pending"]

    worker = await fleet.start("worker", "worker")
    await until(lambda: _seen(target, 1))
    await client.ask("POST", path, {}, headers=headers)
    await until(lambda: _seen(target, 2))

    assert await is_ready(worker) == 200
    assert "Log in" not in worker.output
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{worker.url}/v1/projects")).status_code == 404
    await client.close()


async def test_a_rolling_restart_of_workers_loses_and_doubles_nothing(fleet: Fleet) -> None:
    arrived: dict[str, float] = {}
    attempts: list[str] = []

    async with serving(_noting(arrived, attempts)) as target:
        api = await fleet.start("api", "api")
        workers = [await fleet.start("worker", f"worker-{number}") for number in range(2)]
        client = Client(api, api.api_key)
        path, headers = await webhook(client, target)
        senders = Senders(api, path, headers, per_second=60)
        sending = asyncio.create_task(senders.run())
        for worker in workers:
            await until(partial(_more, arrived, len(arrived) + 30))
            await worker.stop()
            assert worker.exit_code == 0
            await worker.start()
        await until(partial(_more, arrived, len(arrived) + 60))
        senders.stop()
        await sending
        await until(lambda: _true(senders.acknowledged.keys() <= arrived.keys()))
        await client.close()

    delays = sorted(arrived[id_] - sent for id_, sent in senders.acknowledged.items())
    print(f"{len(delays)} events, delays p50 {delays[len(delays) // 2]:.3f} s, longest {delays[-1]:.3f} s")
    assert senders.refused == []
    assert len(attempts) == len(set(attempts))


def _noting(arrived: dict[str, float], attempts: list[str]) -> Answer:
    async def noting(seen: Seen, writer: asyncio.StreamWriter) -> None:
        id_ = json.loads(seen.body)["id"]
        arrived.setdefault(id_, time.monotonic())
        attempts.append(id_)
        await asyncio.sleep(0.05)
        writer.write(response())

    return noting


@pytest.mark.parametrize("how", ["immediate", "kill", "fast"])
async def test_after_a_restart_of_the_database_everything_goes_on_by_itself(
    fleet: Fleet, target: Server, how: Literal["immediate", "kill", "fast"]
) -> None:
    service = await fleet.start("all", "all")
    client = Client(service, service.api_key)
    path, headers = await webhook(client, target)
    senders = Senders(service, path, headers, per_second=40)
    sending = asyncio.create_task(senders.run())
    await until(lambda: _seen(target, 10))

    if how == "kill":
        fleet.database.kill()
    else:
        fleet.database.stop(how)
    await until(lambda: _true(len(senders.refused) > 20))
    assert await is_ready(service) == 503
    await asyncio.to_thread(fleet.database.start)
    before = len(senders.acknowledged)
    await until(lambda: _true(len(senders.acknowledged) > before))
    await client.ask("POST", path, {}, headers=headers)
    delivered = len(target.seen)
    await until(lambda: _true(len(target.seen) > delivered))
    senders.stop()
    await sending

    assert set(senders.refused) == {503}
    assert senders.retry_after == {"1"}
    await until(lambda: _true(senders.acknowledged.keys() <= {json.loads(one.body)["id"] for one in target.seen}))
    assert await is_ready(service) == 200
    await client.close()


async def test_a_standby_takes_no_events_until_it_is_promoted_and_then_everything_goes_on(
    fleet: Fleet, target: Server
) -> None:
    primary = fleet.database
    standby = await asyncio.to_thread(primary.standby)
    await asyncio.to_thread(standby.start)
    fleet.stack.callback(standby.stop, "immediate")
    both = f"postgresql://hairtrigger@/hairtrigger?host={primary.sockets},{standby.sockets}&port=5432,5432"
    service = await fleet.start("all", "all", database_url=both)
    client = Client(service, service.api_key)
    path, headers = await webhook(client, target)
    senders = Senders(service, path, headers, per_second=40)
    sending = asyncio.create_task(senders.run())
    await until(lambda: _seen(target, 10))

    primary.stop()  # the stop waits until the standby has everything
    await until(lambda: _true(len(senders.refused) > 20))
    assert await is_ready(service) == 503
    await asyncio.to_thread(standby.promote)
    before = len(senders.acknowledged)
    await until(lambda: _true(len(senders.acknowledged) > before))
    senders.stop()
    await sending
    await until(lambda: _true(senders.acknowledged.keys() <= {json.loads(one.body)["id"] for one in target.seen}))

    assert set(senders.refused) == {503}
    await client.close()


async def test_a_stop_says_no_to_load_balancers_first_and_parts_politely_from_clients(
    fleet: Fleet, target: Server
) -> None:
    service = await fleet.start("api", "api", unready_seconds="5")
    client = Client(service, service.api_key)
    path, headers = await webhook(client, target)
    await client.close()
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        address = f"{service.url}{path}"
        assert "connection" not in (await http.post(address, json={}, headers=headers)).headers
        stopping = asyncio.create_task(service.stop())
        await until(lambda: _not_ready(service))
        last = await http.post(address, json={}, headers=headers)
        await stopping

    assert (last.status_code, last.headers["connection"]) == (200, "close")
    assert service.exit_code == 0


async def test_what_a_role_lacks_is_said_at_its_start(fleet: Fleet) -> None:
    with pytest.raises(EndedEarly, match="the embedded PostgreSQL serves one process; 'worker' needs"):
        await fleet.start("worker", "no-database", database_url="")
    with pytest.raises(EndedEarly, match="hairtrigger vault create"):
        await fleet.start("worker", "no-keys", vault_file=str(fleet.folder / "missing.json"))


async def test_the_queue_is_rebuilt_while_workers_deliver(fleet: Fleet) -> None:
    arrived: dict[str, float] = {}
    attempts: list[str] = []
    async with serving(_noting(arrived, attempts)) as target:
        service = await fleet.start("all", "all")
        client = Client(service, service.api_key)
        path, headers = await webhook(client, target)
        senders = Senders(service, path, headers, per_second=60)
        sending = asyncio.create_task(senders.run())
        await until(lambda: _true(len(arrived) > 20))

        rebuilding = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from hairtrigger.cli import main; main()", "database", "rebuild-queue"),
            env={"PATH": os.environ["PATH"], "HAIRTRIGGER_DATABASE_URL": fleet.database.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await rebuilding.communicate()
        before = len(senders.acknowledged)
        await until(lambda: _true(len(senders.acknowledged) > before + 60))
        senders.stop()
        await sending
        await until(lambda: _true(senders.acknowledged.keys() <= arrived.keys()))
        await client.close()

    print(said.decode().strip(), f"{len(arrived)} events, {len(senders.refused)} refused meanwhile")
    assert rebuilding.returncode == 0, said.decode()
    assert "The queue was rebuilt" in said.decode()
    assert set(senders.refused) <= {503}
    assert len(attempts) == len(set(attempts))


async def _not_ready(service: Service) -> bool:
    return await is_ready(service) == 503


async def _more(arrived: Mapping[str, float], count: int) -> bool:
    return len(arrived) >= count


async def _seen(target: Server, count: int) -> bool:
    return len(target.seen) >= count


async def _true(value: bool) -> bool:
    return value
