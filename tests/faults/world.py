"""The service and everything around it: a target, a provider, senders, a clock, and the ledger about them."""

import asyncio
import itertools
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from hairtrigger.platform.vault import Vault
from tests.e2e.process import Client, EndedEarly, Service
from tests.faults.database import Database
from tests.faults.ledger import Ledger, Strike, Verdict
from tests.faults.provider import POLLING_CODE, Provider, providing
from tests.faults.proxy import Proxy, proxying
from tests.faults.senders import Senders
from tests.support.waiting import until

# The most deliveries under way that the project allows. The target sees no others before their attempts are stored, so
# one kill repeats no more than these. Three of five faults repeat deliveries; by default, that is less than half a
# percent of the events between the faults.
UNDER_WAY = 30
_TICK = timedelta(seconds=1)  # the interval of the schedule
_PATIENCE = timedelta(seconds=150)  # for a lease to run out on a slow machine, and for the work that waits behind it
_SETTINGS = {
    "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
    "HAIRTRIGGER_LEAST_POLLING_SECONDS": "1",
    # A poll that a kill interrupts begins again when its lease runs out, HAIRTRIGGER_LEASE_SECONDS after this deadline.
    "HAIRTRIGGER_POLL_DEADLINE_SECONDS": "10",
    "HAIRTRIGGER_SANDBOX_WALL_SECONDS": "8",
}


@dataclass(frozen=True)
class Settings:
    """The needs of a scenario: how many services, on which database, and how much work they get."""

    seed: int
    services: tuple[tuple[str, ...], ...] = ((),)
    """The arguments of each service."""
    environment: Mapping[str, str] = field(default_factory=dict)
    senders: int = 8
    per_second: float = 200
    target_timeout: timedelta = timedelta(seconds=30)
    lease: timedelta = timedelta(seconds=30)
    """The lease of the work of a process that dies: for this long, no other process takes the work."""
    polls: bool = True
    weather: bool = False
    """True if a network that can have faults lies between the service and the target and provider."""


@dataclass
class World:
    """The world of a scenario. Everything that happens in it by chance comes from `dice`."""

    folder: Path
    settings: Settings
    ledger: Ledger
    provider: Provider
    database: Database | None
    target_url: str
    dice: random.Random
    networks: Sequence[Proxy] = ()
    services: list[Service] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The time by the service's clock."""
    webhook: str = ""
    secret: str = ""
    polling: str = ""
    schedule: str = ""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Make events of every kind while the body runs. Then give all promised events time to arrive."""
        answering = [service for service, arguments in self._started if "worker" not in arguments]
        sending = Senders(
            self.ledger, answering, self.webhook, self.secret, self.settings.senders, self.settings.per_second
        )
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(sending.run())
            publisher = tasks.create_task(self.provider.publish())
            yield
            sending.stop()
            publisher.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE.total_seconds()):
                    await sender
            sender.cancel()
        await self._settle()

    async def strike(self, fault: Callable[["World"], Awaitable[None]]) -> None:
        """Let a fault strike, and return when an event that was sent after the fault has been acknowledged."""
        name = fault.__name__.replace("_", " ")
        at = time.monotonic()
        await fault(self)
        over = time.monotonic()
        answered = await until(lambda: self._answered(over))
        self.ledger.strikes.append(Strike(name, at, over, answered))

    async def acknowledged(self, count: int) -> None:
        """Return after `count` more acknowledgements."""
        enough = len(self.ledger.acknowledged) + count
        await until(lambda: _true(len(self.ledger.acknowledged) >= enough))

    async def pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.dice.uniform(least, most))

    def verdict(self) -> Verdict:
        return self.ledger.verdict()

    async def _answered(self, since: float) -> float:
        later = itertools.takewhile(lambda one: one[1] > since, reversed(self.ledger.acknowledged))
        return min((answered for sent, answered in later if sent > since), default=0.0)

    @property
    def _started(self) -> list[tuple[Service, tuple[str, ...]]]:
        return list(zip(self.services, self.settings.services, strict=True))

    async def set_up(self, client: Client) -> None:
        target = {
            "kind": "workflow",
            "url": self.target_url,
            "timeout_seconds": round(self.settings.target_timeout.total_seconds()),
        }
        body = {"name": "Faults", "target": target, "max_inflight": UNDER_WAY}
        project = (await client.ask("POST", "/v1/projects", body, status=201))["id"]
        self.webhook = await _trigger(client, project, "webhook", "on_request", {})
        self.secret = (await client.ask("POST", f"/v1/project-triggers/{self.webhook}/secret", {}))["secret"]
        every = {"interval": _TICK.total_seconds(), "missed": "all"}
        self.schedule = await _trigger(client, project, "schedule", "on_schedule", every)
        triggers = [self.webhook, self.schedule]
        if self.settings.polls:
            integration, slug = await _integration(client)
            asked = {"address": self.provider.url, "polling_frequency": 1}
            self.polling = await _trigger(client, project, integration, slug, asked)
            triggers.append(self.polling)
        for trigger in triggers:
            await client.ask("POST", f"/triggers/{trigger}/enable")

    async def _settle(self) -> None:
        """Note the promises of polls and firings, and wait some time for all events: the verdict reports the rest."""
        over = self.now()
        for item in self.provider.items if self.polling else ():
            self.ledger.promised[self.polling, item.key] = time.monotonic()
        with suppress(TimeoutError):
            await until(lambda: _true(max(self._fired(), default=over - _TICK) >= over))
        for planned in self._planned(until=over):
            self.ledger.promised[self.schedule, planned.isoformat()] = time.monotonic()
        with suppress(TimeoutError):
            await until(lambda: _true(not self.ledger.missing()))
        client = Client(self.services[0], self.services[0].api_key)
        for trigger in filter(None, (self.schedule, self.polling)):
            await client.ask("POST", f"/triggers/{trigger}/disable")
        with suppress(TimeoutError):
            await until(lambda: _at_rest(client))
        await client.close()

    def _fired(self) -> list[datetime]:
        """Return the planned times that have fired, which are the event keys."""
        keys = (request.key for request in self.ledger.requests() if request.trigger == self.schedule)
        return [datetime.fromisoformat(key) for key in keys]

    def _planned(self, until: datetime) -> list[datetime]:
        first = min(self._fired(), default=until)
        return [first + _TICK * count for count in range(int((until - first) / _TICK) + 1)]

    def check_schedule(self) -> None:
        """Raise `AssertionError` if the schedule fired at a time that was not planned."""
        fired = self._fired()
        assert fired
        unplanned = set(fired) - set(self._planned(until=max(fired)))
        assert not unplanned, f"fired at {sorted(unplanned)[:3]}, which was not planned"


@asynccontextmanager
async def running(
    settings: Settings, database: Database | None = None, disk: Path | None = None
) -> AsyncIterator[World]:
    """Run services that are started again whenever they end. Nothing of them is left at the end.

    On `disk` lie the data directories, with their embedded databases.
    """
    async with AsyncExitStack() as stack:
        folder = disk or stack.enter_context(_folder())
        ledger = Ledger(folder / "received.jsonl")
        provider = await stack.enter_async_context(providing())
        target = stack.enter_context(_target(ledger.file))
        networks = []
        if settings.weather:
            networks = [await stack.enter_async_context(proxying(url)) for url in (target, provider.url)]
            target, provider.url = (network.url for network in networks)
        dice = random.Random(settings.seed)
        world = World(folder, settings, ledger, provider, database, target, dice, networks)
        lease = {"HAIRTRIGGER_LEASE_SECONDS": str(round(settings.lease.total_seconds()))}
        environment = {**_SETTINGS, **lease, **settings.environment}
        if database:
            environment["HAIRTRIGGER_DATABASE_URL"] = database.url
            (folder / "data").mkdir()
            Vault.open(folder / "data" / "vault.json")  # several processes need the same key file
        for arguments in settings.services:
            service = Service(folder, environment)
            await service.start(*arguments)
            stack.push_async_callback(service.stop)
            world.services.append(service)
        client = Client(world.services[0], world.services[0].api_key)
        await world.set_up(client)
        await client.close()
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(_keep(service, arguments)) for service, arguments in world._started]
            try:
                yield world
            finally:
                for keeper in keepers:
                    keeper.cancel()


@asynccontextmanager
async def external(disk: Path | None = None, settings: Mapping[str, str] = {}) -> AsyncIterator[Database]:
    """Run a database that an operator provides."""
    with _folder() as folder:
        database = Database(disk or folder, settings)
        await database.start()
        try:
            yield database
        finally:
            await database.stop()


async def _keep(service: Service, arguments: tuple[str, ...]) -> None:
    """Start the service again whenever it has ended, as systemd does."""
    while True:
        await service.wait()
        try:
            await service.start(*arguments)
        except EndedEarly:
            await asyncio.sleep(0.2)


@contextmanager
def _folder() -> Any:
    """Make a temporary folder that the database's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="hairtrigger-faults-", ignore_cleanup_errors=True) as made:
        path = Path(made)
        path.chmod(0o711)
        yield path


@contextmanager
def _target(file: Path) -> Any:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        number = listener.fileno()
        command = [sys.executable, "-m", "tests.faults.target", str(number), str(file)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[number], cwd=Path(__file__).parents[2])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.communicate()


async def _integration(client: Client) -> tuple[str, str]:
    made = await client.ask("POST", "/integrations/v1/create", {"name": "Numbers"}, status=201)
    body = {
        "name": "Item created",
        "description": "An item was created",
        "pollingCode": POLLING_CODE,
        "inputFields": [{"label": "Address", "type": "TEXT", "required": True}],
    }
    path = f"/integrations/v1/{made['integration']['id']}/triggers/create"
    trigger = await client.ask("POST", path, body, status=201)
    return made["integration"]["id"], trigger["trigger"]["slug"]


async def _trigger(client: Client, project: str, provider: str, trigger: str, params: dict[str, Any]) -> str:
    body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": params}
    made = await client.ask("POST", f"/projects/{project}/triggers", body, status=201)
    return str(made["project_trigger_id"])


async def _at_rest(client: Client) -> bool:
    """Return whether no delivery is under way.

    A killed process may have left a delivery under its lease, which must run out first.
    """
    try:
        pages = [
            await client.ask("GET", f"/v1/deliveries?limit=1&status={status}")
            for status in ("pending", "waiting", "retrying")
        ]
    except httpx2.HTTPError:
        return False
    return not any(page["data"] for page in pages)


async def _true(value: bool) -> bool:
    return value
