"""The services as `main.py` builds them, on a real store, with a manual clock and providers that a test defines."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic_core import from_json

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.disk import Thresholds
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import Limits, Refusal, Refuses
from hairtrigger.domain.target import LogTarget
from hairtrigger.kit.http import Http, Reply
from hairtrigger.kit.oauth import Client
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.sockets import Door
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.services.access_tokens import AccessTokens
from hairtrigger.services.catalogue import Owned, UserProviders, catalogue_of
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.polling.poll_leases import PollLeases
from hairtrigger.services.polling.poll_results import PollResults, PollStep, StoredPoll
from hairtrigger.services.polling.poller import Poller, Result
from hairtrigger.services.provider_calls import ProviderCalls
from hairtrigger.services.quotas import Quotas
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.connections import Connections
from hairtrigger.services.setup.projects import Projects
from hairtrigger.services.setup.subscriptions import Subscriptions
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.services.setup.webhook_removals import WebhookRemovals
from hairtrigger.services.tracing import Tracing
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.notices import Untold
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Poll
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import TriggerWithCursor
from hairtrigger.store.transaction import Transaction
from tests.store.build import an_organization
from tests.support.clock import ManualClock

DEADLINE = timedelta(seconds=10)


class Offline:
    """An HTTP client that refuses every call, for providers that are functions of a test."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = "manual",
        timeout: timedelta = timedelta(),  # noqa: ASYNC109
        max_bytes: int = 0,
    ) -> Reply:
        raise AssertionError(f"{method} {url}")


async def nothing_wrong(_: Tenant, __: str) -> None:
    """Return no reason why a target can't be called."""


def no_door(_: Tenant) -> Door:
    raise AssertionError("This world has no listeners.")


async def no_integrations(tx: Transaction, wanted: Collection[Owned]) -> dict[Owned, Provider]:
    return {}


@dataclass(frozen=True)
class World:
    """One organisation with one project, and the services that it uses."""

    store: Store
    clock: ManualClock
    secrets: Secrets
    calls: ProviderCalls
    caller: Caller
    project_id: str
    connections: Connections
    projects: Projects
    poller: Poller
    schedules: Schedules
    webhook_removals: WebhookRemovals
    subscriptions: Subscriptions
    triggers: Triggers
    counter: UseCounter
    quotas: Quotas
    disk: DiskWatch
    refusal: Refuses
    metrics: Metrics
    tracing: Tracing

    async def create(
        self,
        provider_id: str,
        trigger_id: str,
        params: Mapping[str, Any] | None = None,
        connection_id: UUID | None = None,
    ) -> UUID:
        made = await self.triggers.create(
            self.caller, self.project_id, provider_id, trigger_id, params or {}, connection_id
        )
        return made.id

    async def enabled(self, provider_id: str, trigger_id: str, params: Mapping[str, Any] | None = None) -> UUID:
        id_ = await self.create(provider_id, trigger_id, params)
        await self.triggers.enable(self.caller, id_)
        return id_

    async def poll_due(self) -> list[Result]:
        return [await self.poller.run(claimed) for claimed in (await self.poller.claim(100)).mine]

    def poller_on(self, store: Store) -> Poller:
        """Return the poller of a worker that uses this store."""
        leases = replace(self.poller.leases, store=store)
        return replace(self.poller, store=store, leases=leases, settle=settling_alone(store))

    async def trigger(self, id_: UUID) -> TriggerWithCursor:
        return await self.triggers.get(self.caller, id_)

    async def clockwork(self, id_: UUID) -> Poll:
        async with self.store.transaction() as tx:
            found = await polls.get(tx, id_)
        assert found
        return found

    async def events(self, id_: UUID) -> list[Event]:
        """Return the trigger's events in the order in which they came."""
        async with self.store.transaction() as tx:
            return (await events.page(tx, self.caller.org_id, limit=10_000, project_trigger_id=id_))[::-1]

    async def keys(self, id_: UUID) -> list[str]:
        return [event.key for event in await self.events(id_)]

    async def bodies(self, id_: UUID) -> list[Any]:
        return [from_json(event.body) for event in await self.events(id_)]

    async def noticed(self) -> list[Untold]:
        """Take the notices of all organisations that have not been told yet."""
        now = self.clock.now()
        async with self.store.transaction() as tx:
            return await notices.take(tx, silent=[], now=now, hour_ago=now, minute_ago=now, limit=100)

    async def outcomes(self, id_: UUID, kind: Kind) -> list[Outcome]:
        """Return the trigger's outcomes of one kind, oldest first if the clock has moved between them."""
        async with self.store.transaction() as tx:
            found = await outcomes.of_trigger(tx, id_, limit=1000)
        return [one for one in found[::-1] if one.kind is kind]

    async def codes(self, id_: UUID, kind: Kind) -> list[Code]:
        return [one.code for one in await self.outcomes(id_, kind)]

    async def set_config(self, id_: UUID, config: Mapping[str, Any]) -> None:
        """Store a configuration without a check, as an earlier version may have done."""
        found = await self.trigger(id_)
        async with self.store.transaction() as tx:
            assert await triggers.save(tx, replace(found, config=dict(config), generation=found.generation + 1))


async def a_world(
    store: Store,
    clock: ManualClock,
    vault: Vault,
    *providers: Provider,
    user_providers: UserProviders = no_integrations,
    http: Http | None = None,
    parsers: Parsers | None = None,
    limits: Limits | None = None,
    tracing: Tracing | None = None,
    oauth_clients: Mapping[str, Client] | None = None,
    door_of: Callable[[Tenant], Door] = no_door,
) -> World:
    limits = limits or Limits()
    metrics = Metrics([provider.id for provider in providers])
    tracing = tracing or Tracing(clock)
    counter = UseCounter()
    quotas = Quotas(store, clock, counter, limits)
    disk = DiskWatch(clock, (), Thresholds())

    def refusal(org_id: UUID) -> Refusal | None:
        return disk.refusal() or quotas.refusal(org_id)

    secrets = Secrets(vault)
    catalogue = catalogue_of(providers, user_providers)
    clients = OAuthClients(
        store=store,
        clock=clock,
        catalogue=catalogue,
        secrets=secrets,
        operators=dict(oauth_clients or {}),
        limits=limits,
    )
    tokens = AccessTokens(
        store=store,
        clock=clock,
        catalogue=catalogue,
        secrets=secrets,
        clients=clients,
        http_of=lambda _: http or Offline(),
    )
    calls = ProviderCalls(
        http_of=lambda _: http or Offline(),
        door_of=door_of,
        clock=clock,
        secrets=secrets,
        tokens=tokens,
        parsers=parsers or Parsers(),
    )  # parsers start no process until they parse
    work = Wake()
    webhook_removals = WebhookRemovals(
        store=store, clock=clock, catalogue=catalogue, calls=calls, secrets=secrets, public_url="https://hooks.test"
    )
    subscriptions = Subscriptions(
        store=store, clock=clock, catalogue=catalogue, calls=calls, secrets=secrets, public_url="https://hooks.test"
    )
    async with store.transaction() as tx:
        org_id = await an_organization(tx, clock.now())
    caller = Caller(org_id, uuid4(), frozenset(SCOPES))
    projects = Projects(store=store, clock=clock, secrets=secrets, check=nothing_wrong, limits=limits)
    project, _ = await projects.create(caller, "Project", LogTarget(), max_inflight=5)
    return World(
        store=store,
        clock=clock,
        secrets=secrets,
        calls=calls,
        caller=caller,
        project_id=project.id,
        connections=Connections(
            store=store, clock=clock, catalogue=catalogue, secrets=secrets, calls=calls, limits=limits
        ),
        projects=projects,
        poller=Poller(
            store=store,
            clock=clock,
            catalogue=catalogue,
            calls=calls,
            leases=PollLeases(
                store=store,
                clock=clock,
                catalogue=catalogue,
                deadline=DEADLINE,
                places=4,
                refusal=refusal,
                counter=counter,
                metrics=metrics,
            ),
            settle=settling_alone(store, counter),
            work=work,
            deadline=DEADLINE,
            metrics=metrics,
            tracing=tracing,
        ),
        schedules=Schedules(
            store=store,
            clock=clock,
            catalogue=catalogue,
            work=work,
            grace=timedelta(minutes=1),
            refusal=refusal,
            counter=counter,
            metrics=metrics,
            tracing=tracing,
        ),
        webhook_removals=webhook_removals,
        subscriptions=subscriptions,
        triggers=Triggers(
            store=store,
            clock=clock,
            catalogue=catalogue,
            calls=calls,
            secrets=secrets,
            webhook_removals=webhook_removals,
            subscriptions=subscriptions,
            public_url="https://hooks.test",
            least_interval=timedelta(seconds=1),
            poll_deadline=DEADLINE,
            limits=limits,
        ),
        counter=counter,
        quotas=quotas,
        disk=disk,
        refusal=refusal,
        metrics=metrics,
        tracing=tracing,
    )


def settling_alone(store: Store, counter: UseCounter | None = None) -> Callable[[PollStep], Awaitable[StoredPoll]]:
    """Return a function that stores each result at once, in its own group."""

    async def settle(step: PollStep) -> StoredPoll:
        [stored] = await PollResults(store, counter or UseCounter()).settle([step])
        return stored

    return settle


async def _nothing(_: int) -> None:
    pass


async def _not_at_all() -> None:
    pass


@dataclass(frozen=True)
class Meddled(Store):
    """The database as one process sees it; a test can interfere with its transactions, which are counted from 1.

    A test can also interfere before each transaction and before each single statement with `before_use`.
    """

    before_begin: Callable[[int], Awaitable[None]] = _nothing
    before_commit: Callable[[int], Awaitable[None]] = _nothing
    before_use: Callable[[], Awaitable[None]] = _not_at_all
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), init=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        number = next(self._numbers)
        await self.before_begin(number)
        async with super().transaction() as tx:
            yield tx
            await self.before_commit(number)

    @asynccontextmanager
    async def translated_errors(self) -> AsyncIterator[None]:
        await self.before_use()
        async with super().translated_errors():
            yield


class Killed(BaseException):
    """The process ends here, and does nothing that it would have done afterwards."""


def dying(store: Store, *, at: int) -> Meddled:
    """Return a store whose process dies before the commit of this transaction."""

    async def die(number: int) -> None:
        if number == at:
            raise Killed

    return Meddled(store.engine, store.connect, before_commit=die)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def at(clock: ManualClock, after: float) -> datetime:
    return clock.now() + seconds(after)
