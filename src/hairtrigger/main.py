"""Builds every part of the service, once. No other module builds one (a composition root)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from uuid import UUID, uuid4

import structlog
from starlette.routing import Route, Router

from hairtrigger.api.app import service_app, worker_app
from hairtrigger.api.metrics import metrics_routes
from hairtrigger.api.odeus.app import odeus_app
from hairtrigger.api.pages import oauth_pages
from hairtrigger.api.stackai.app import Services as StackAiServices
from hairtrigger.api.stackai.app import stackai_app
from hairtrigger.api.v1.app import Services as OwnServices
from hairtrigger.api.v1.app import v1_app
from hairtrigger.api.webhooks import WebhookEndpoint
from hairtrigger.domain.errors import HairtriggerError, Invalid, Issue, Unavailable
from hairtrigger.domain.quotas import Refuses
from hairtrigger.domain.target import Target
from hairtrigger.installed_providers import installed
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform import life_locks
from hairtrigger.platform.batching import MEBIBYTE, Batcher
from hairtrigger.platform.clock import Clock, SystemClock
from hairtrigger.platform.disk import size, used_share
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.life_locks import LifeLock
from hairtrigger.platform.memory import resident_bytes
from hairtrigger.platform.otlp import Collector, collecting
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.peers import Proxies
from hairtrigger.platform.postgres import embedded
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.platform.sockets import Door, Sockets
from hairtrigger.platform.tickets import Tickets
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import TOLD, Wake
from hairtrigger.providers import CATALOGUE
from hairtrigger.sandbox.protocol.poll import PollError, SyntaxProblem
from hairtrigger.sandbox.service.guest_cache import GuestCache
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.services.access_tokens import AccessTokens
from hairtrigger.services.accounts import Accounts, Operators
from hairtrigger.services.alerts.alert_channels import AlertChannels
from hairtrigger.services.alerts.alert_sender import AlertSender
from hairtrigger.services.alerts.operational_watch import OperationalWatch
from hairtrigger.services.catalogue import Catalogue, catalogue_of
from hairtrigger.services.delivery.dispatcher import Dispatcher
from hairtrigger.services.delivery.history import History
from hairtrigger.services.delivery.hydration import Hydration
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.lost_deliveries import LostDeliveries
from hairtrigger.services.delivery.notifications import Notifications
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import Replays
from hairtrigger.services.delivery.samples import Samples
from hairtrigger.services.disk_watch import DiskWatch, Measure
from hairtrigger.services.explain.explainer import Explainer
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.services.ingest.receiver_cache import ReceiverCache
from hairtrigger.services.ingest.refusal_counter import RefusalCounter
from hairtrigger.services.ingest.sender_documents import SenderDocuments
from hairtrigger.services.listening.listener import Listener
from hairtrigger.services.listening.listeners import Listeners
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.polling.dry_run import DryRuns
from hairtrigger.services.polling.poll_leases import PollLeases
from hairtrigger.services.polling.poll_results import PollResults, PollStep, StoredPoll
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.polling.user_triggers import UserTriggers
from hairtrigger.services.provider_calls import ProviderCalls
from hairtrigger.services.quotas import Quotas
from hairtrigger.services.recorder import COMMITTERS, Recorder
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.authorizations import Authorizations
from hairtrigger.services.setup.connect_links import ConnectLinks
from hairtrigger.services.setup.connections import Connections
from hairtrigger.services.setup.external_users import ExternalUsers
from hairtrigger.services.setup.field_options import FieldOptions
from hairtrigger.services.setup.integrations import Integrations, Syntax
from hairtrigger.services.setup.projects import Projects
from hairtrigger.services.setup.samples import Sampler
from hairtrigger.services.setup.subscriptions import Subscriptions
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.services.setup.webhook_removals import WebhookRemovals
from hairtrigger.services.tracing import Tracing
from hairtrigger.services.upkeep.due_work import DueWork
from hairtrigger.services.upkeep.erasures import Erasures
from hairtrigger.services.upkeep.exposition import Exposition
from hairtrigger.services.upkeep.kept_bodies import KeptBodies
from hairtrigger.services.upkeep.presence import Presence
from hairtrigger.services.upkeep.retention import Retention
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.settings import Settings
from hairtrigger.store import partitions
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.setup.projects import Project
from hairtrigger.store.statements import Statements, open_statements
from hairtrigger.targets.making import target_maker

_CHECK = timedelta(seconds=3)  # the longest wait of a user who makes a project for the check of its target
_LAST_SPANS = timedelta(seconds=3)  # the longest time for sending the spans that wait at a stop
_LISTENING = timedelta(seconds=30)  # the lease of a listener lasts so long, and what a poll's lasts beyond its deadline
_LARGEST_LOG = 2048  # MiB: the size of the embedded database's write-ahead log on a disk that is large enough

log = structlog.get_logger()

Loop = Callable[[], Coroutine[None, None, None]]


async def _nothing(_: timedelta) -> None:
    pass


@dataclass(frozen=True)
class Application:
    """The running service, as the command line and tests use it."""

    asgi: Router
    settings: Settings
    store: Store
    accounts: Accounts
    projects: Projects
    triggers: Triggers
    flush: Callable[[], Awaitable[None]]
    """Store the outcomes that have only been counted so far."""
    leave: Callable[..., Awaitable[None]]
    """Answer no at /readyz, start nothing more, and finish what is under way or give it back for other processes.

    The argument, a `timedelta`, is the longest time that this may take. By default it is the time in the settings.
    """


@dataclass(frozen=True)
class Resources:
    """The resources that must be opened before the service runs, and closed after it."""

    store: Store
    statements: Statements
    direct: Store
    """The same database as `store`, without a pooler between, for work that needs a connection of its own."""
    vault: Vault
    egress: Egress
    sockets: Sockets
    sandbox: Sandbox
    parsers: Parsers
    lock: LifeLock | None
    watches: Sequence[Loop]
    collector: Collector | None


@dataclass(frozen=True)
class Parts:
    """The parts that the roles `api` and `worker` both use."""

    settings: Settings
    process: UUID
    clock: Clock
    store: Store
    vault: Vault
    egress: Egress
    work: Wake
    counter: UseCounter
    quotas: Quotas
    disk: DiskWatch
    refusal: Refuses
    secrets: Secrets
    accounts: Accounts
    user_triggers: UserTriggers
    catalogue: Catalogue
    clients: OAuthClients
    calls: ProviderCalls
    projects: Projects
    webhook_removals: WebhookRemovals
    subscriptions: Subscriptions
    triggers: Triggers
    erasures: Erasures
    poll_results: Batcher[PollStep, StoredPoll]
    poller: Poller
    schedules: Schedules
    pauses: Pauses
    replays: Replays
    target_of: Callable[[Project], Target]
    diagnosis: Diagnosis
    watchdog: StallWatchdog
    metrics: Metrics
    tracing: Tracing
    operational_watch: OperationalWatch
    alert_sender: AlertSender


@dataclass(frozen=True)
class RoleShare:
    """The part of a process that belongs to one role. It has the role's loops, and a function that drains them within
    the given time.
    """

    loops: Sequence[Loop] = ()
    drain: Callable[[timedelta], Awaitable[None]] = _nothing


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Application]:
    """Run the service while the block runs, and yield it. At the end, drain it.

    Before the block, the resources are opened, the schema is updated and the loops are started. A block that raises an
    error is not followed by the drain.
    """
    clock = clock or SystemClock()
    process = uuid4()
    async with _resources(settings, clock, process) as resources:
        application, loops, presence = _built(settings, clock, resources, process)
        async with presence.announced(), _background((*loops, *resources.watches)):
            yield application
            await application.leave()


@asynccontextmanager
async def _resources(settings: Settings, clock: Clock, process: UUID) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        compiled = asyncio.create_task(GuestCache(settings.cache_path).compiled())  # while the database starts
        stack.callback(compiled.cancel)
        url, direct_url, watches = await stack.enter_async_context(_database(settings))
        file = settings.data_dir / "processes" / f"{process}.lock"
        # The embedded database serves one process at a time, so no other process has to know whether this one is dead.
        lock = stack.enter_context(life_locks.held(file)) if settings.database_url else None
        without = settings.database_without
        async with open_store(direct_url, connections=1, patience=None, without=without) as migrating:
            await migrating.migrate()
            await migrating.check()
        connections = settings.database_connections - COMMITTERS
        store = await stack.enter_async_context(open_store(url, connections=connections, without=without))
        await store.check()
        with suppress(Unavailable):  # other transactions hold the tables; the retention loop tries again
            async with store.transaction() as tx:
                await partitions.make_ahead(tx, clock.now().date())
        workers = Sandbox.start(
            workers=1 if settings.role == "api" else settings.sandbox_workers,  # for checks and dry runs
            limits=settings.sandbox_limits,
            compiled=await compiled,
            unlocked=settings.sandbox_unlocked,
        )
        egress = await stack.enter_async_context(
            Egress(_policy(settings), user_agent=settings.agent, is_operator=Operators(store).include)
        )
        yield Resources(
            store,
            await stack.enter_async_context(open_statements(store)),
            await stack.enter_async_context(open_store(direct_url, connections=2)),
            _vault(settings),
            egress,
            await stack.enter_async_context(Sockets(egress.dialing, egress.turns)),
            await stack.enter_async_context(workers),
            await stack.enter_async_context(Parsers(settings.parsers, settings.parse_limits)),
            lock,
            watches,
            stack.enter_context(collecting(version("hairtrigger"), settings.role, on=settings.traces)),
        )


def _policy(settings: Settings) -> EgressPolicy:
    return EgressPolicy(tuple(settings.egress_allow), settings.connect_to, settings.proxy, settings.egress_authorities)


def _vault(settings: Settings) -> Vault:
    """Return the opened vault. The role `all` makes a missing key file.

    In another role, raises `HairtriggerError` if there is no key file, because all processes need the same file.
    """
    path = settings.vault_path
    if settings.role != "all" and not path.exists():
        raise HairtriggerError(
            f"There is no key file at {path}. All processes need the same: make one with `hairtrigger vault create`, "
            "give each a copy and name it in HAIRTRIGGER_VAULT_FILE."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return Vault.open(path)


def _built(
    settings: Settings, clock: Clock, resources: Resources, process: UUID
) -> tuple[Application, Sequence[Loop], Presence]:
    parts = _parts(settings, clock, resources, process)
    leaving = asyncio.Event()
    exposition = _exposition(parts, resources)
    token = settings.metrics_token
    metrics = metrics_routes(exposition.text, token.get_secret_value() if token else None)
    working = RoleShare() if settings.role == "api" else _working(parts, resources.direct)
    if settings.role == "worker":
        asgi = worker_app(
            writable=parts.store.writable, leaving=leaving.is_set, disk=lambda: parts.disk.use, metrics=metrics
        )
        serving = RoleShare()
    else:
        serving, asgi = _serving(parts, resources, leaving, metrics)

    async def leave(at_most: timedelta = settings.stop_within) -> None:
        leaving.set()
        await asyncio.gather(serving.drain(at_most), working.drain(at_most))
        await parts.calls.tokens.drain(at_most)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SPANS.total_seconds()):
                await parts.tracing.flush()

    async def flush() -> None:
        await serving.drain(timedelta())

    application = Application(asgi, settings, parts.store, parts.accounts, parts.projects, parts.triggers, flush, leave)
    presence = Presence(
        id=process,
        role=settings.role,
        store=parts.store,
        clock=clock,
        leases=parts.poller.leases,
        work=parts.work,
        alone=settings.database_url is None,
        lock=resources.lock,
    )
    common = (
        parts.poll_results.run,
        parts.quotas.run,
        parts.disk.run,
        parts.watchdog.run,
        exposition.run,
        parts.tracing.run,
        parts.operational_watch.run,
        parts.alert_sender.run,
        *_signals(settings, resources.direct, parts.work),
    )
    return application, (*serving.loops, *working.loops, *common, presence.run), presence


def _parts(settings: Settings, clock: Clock, resources: Resources, process: UUID) -> Parts:
    store, vault, egress = resources.store, resources.vault, resources.egress
    work = Wake() if settings.database_url else Wake(TOLD)  # no other process uses an embedded database
    counter = UseCounter()
    limits = settings.quotas
    quotas = Quotas(store, clock, counter, limits)
    disk = DiskWatch(clock, _disk_measures(settings, store), settings.disk_thresholds)
    refusal = _refusal(disk, quotas)
    secrets = Secrets(vault)
    fetch_deadline = timedelta(seconds=settings.sandbox_fetch_seconds)
    user_triggers = UserTriggers(resources.sandbox, egress, fetch_deadline, settings.url)
    providers = (*CATALOGUE, *_installed())
    catalogue = catalogue_of(providers, user_triggers.providers, settings.provider_urls)
    clients = OAuthClients(
        store=store, clock=clock, catalogue=catalogue, secrets=secrets, operators=settings.oauth, limits=limits
    )
    tokens = AccessTokens(
        store=store, clock=clock, catalogue=catalogue, secrets=secrets, clients=clients, http_of=egress.of
    )

    def door_of(tenant: Tenant) -> Door:
        return resources.sockets.of(tenant, egress.of(tenant).told_why)

    calls = ProviderCalls(
        http_of=egress.of,
        door_of=door_of,
        clock=clock,
        secrets=secrets,
        tokens=tokens,
        parsers=resources.parsers,
        documents=settings.documents,
    )
    webhook_removals = WebhookRemovals(
        store=store, clock=clock, catalogue=catalogue, calls=calls, secrets=secrets, public_url=settings.url
    )
    subscriptions = Subscriptions(
        store=store, clock=clock, catalogue=catalogue, calls=calls, secrets=secrets, public_url=settings.url
    )
    metrics = Metrics([provider.id for provider in providers], on=settings.metrics_token is not None)
    tracing = Tracing(
        clock,
        resources.collector.send if resources.collector else None,
        ratio=settings.trace_ratio,
        per_second=settings.traces_per_second,
        metrics=metrics,
    )
    least_interval = timedelta(seconds=settings.least_polling_seconds)
    grace = timedelta(seconds=settings.schedule_grace_seconds)
    diagnosis = Diagnosis(
        clock=clock,
        catalogue=catalogue,
        poll_deadline=settings.poll_deadline,
        schedule_grace=grace,
        refusal=refusal,
        holds=quotas.holds,
    )
    leases = PollLeases(
        store=store,
        clock=clock,
        catalogue=catalogue,
        deadline=settings.poll_deadline,
        places=settings.concurrent_polls_per_connection,
        beyond=settings.lease,
        holder=process,
        refusal=refusal,
        counter=counter,
        metrics=metrics,
    )
    poll_results: Batcher[PollStep, StoredPoll] = Batcher(
        PollResults(store, counter, settings.unconfirmed_events).settle, tenant=lambda step: step.claimed.trigger.org_id
    )
    triggers = Triggers(
        store=store,
        clock=clock,
        catalogue=catalogue,
        calls=calls,
        secrets=secrets,
        webhook_removals=webhook_removals,
        subscriptions=subscriptions,
        public_url=settings.url,
        least_interval=least_interval,
        poll_deadline=settings.poll_deadline,
        limits=limits,
        unconfirmed=settings.unconfirmed_events,
        kept=settings.retention[0],
    )
    return Parts(
        settings=settings,
        process=process,
        clock=clock,
        store=store,
        vault=vault,
        egress=egress,
        work=work,
        counter=counter,
        quotas=quotas,
        disk=disk,
        refusal=refusal,
        secrets=secrets,
        accounts=Accounts(store=store, clock=clock, token_key=vault.derive("access tokens"), limits=limits),
        user_triggers=user_triggers,
        catalogue=catalogue,
        clients=clients,
        calls=calls,
        projects=Projects(
            store=store,
            clock=clock,
            secrets=secrets,
            limits=limits,
            check=lambda tenant, url: egress.of(tenant).check(url, at_most=_CHECK),
        ),
        webhook_removals=webhook_removals,
        subscriptions=subscriptions,
        triggers=triggers,
        erasures=Erasures(store=store, clock=clock, triggers=triggers),
        poll_results=poll_results,
        poller=Poller(
            store=store,
            clock=clock,
            catalogue=catalogue,
            calls=calls,
            leases=leases,
            settle=poll_results.submit,
            work=work,
            deadline=settings.poll_deadline,
            metrics=metrics,
            tracing=tracing,
        ),
        schedules=Schedules(
            store=store,
            clock=clock,
            catalogue=catalogue,
            work=work,
            grace=grace,
            refusal=refusal,
            counter=counter,
            metrics=metrics,
            tracing=tracing,
        ),
        pauses=Pauses(store=store, clock=clock, work=work),
        replays=Replays(store=store, clock=clock, work=work, limits=limits, counter=counter),
        target_of=target_maker(egress, clock, secrets),
        diagnosis=diagnosis,
        watchdog=StallWatchdog(store=store, clock=clock, diagnosis=diagnosis),
        metrics=metrics,
        tracing=tracing,
        operational_watch=OperationalWatch(
            store=store, clock=clock, diagnosis=diagnosis, quotas=quotas, disk=disk, counter=counter, work=work
        ),
        alert_sender=AlertSender(
            store=store, clock=clock, secrets=secrets, http_of=egress.of, mail=settings.mail, public_url=settings.url
        ),
    )


def _installed() -> Sequence[Provider]:
    """Return the providers of installed packages. What is left out is logged."""
    found = installed(CATALOGUE)
    for fault in found.faults:
        log.warning("a provider was left out", reason=fault)
    return found.providers


def _exposition(parts: Parts, resources: Resources) -> Exposition:
    """Return the exposition of /metrics, and connect to it the numbers that both roles have. Each role connects its
    other numbers where it is built.
    """
    metrics, store, sandbox = parts.metrics, parts.store, resources.sandbox

    def connections() -> dict[tuple[str, ...], float]:
        found = store.connections
        return {(state,): found[state] for state in ("in_use", "idle")}

    metrics.connections.reads_all(connections)
    metrics.connections_limit.reads(lambda: store.connections["limit"])
    metrics.disk.reads(lambda: parts.disk.use.used)
    metrics.sandbox_workers.reads(lambda: len(sandbox.workers))
    metrics.sandbox_memory.reads(lambda: sum(map(resident_bytes, sandbox.workers)))
    metrics.sandbox_cpu.reads(lambda: sandbox.cpu_seconds)
    return Exposition(
        metrics=metrics,
        store=store,
        clock=parts.clock,
        version=version("hairtrigger"),
        role=parts.settings.role,
    )


def _serving(
    parts: Parts, resources: Resources, leaving: asyncio.Event, metrics: Sequence[Route]
) -> tuple[RoleShare, Router]:
    """Build the role `api`, which is the three APIs and the webhooks. Return its share of the process and its ASGI
    application.
    """
    settings, clock, store = parts.settings, parts.clock, parts.store
    recorder = Recorder(
        resources.statements,
        clock,
        parts.work,
        max_waiting=settings.max_waiting_requests,
        max_waiting_bytes=settings.max_waiting_bytes,
        counter=parts.counter,
        metrics=parts.metrics,
        tracing=parts.tracing,
    )
    parts.metrics.requests_waiting.reads(lambda: recorder.waiting)
    refusals = RefusalCounter(store, clock, lambda: parts.disk.full, parts.metrics)
    receivers = ReceiverCache(store, parts.secrets)
    documents = SenderDocuments(store, clock, parts.calls.http_of)
    ingest = Ingest(
        store=store,
        clock=clock,
        catalogue=parts.catalogue,
        recorder=recorder,
        receivers=receivers,
        refusals=refusals,
        documents=documents,
        app_secrets=settings.live_app_secrets,
        refusal=parts.refusal,
        metrics=parts.metrics,
        tracing=parts.tracing,
    )
    connections = Connections(
        store=store,
        clock=clock,
        catalogue=parts.catalogue,
        secrets=parts.secrets,
        calls=parts.calls,
        limits=settings.quotas,
    )
    authorizations = Authorizations(
        store=store,
        clock=clock,
        secrets=parts.secrets,
        clients=parts.clients,
        tokens=parts.calls.tokens,
        connections=connections,
        tickets=Tickets(parts.vault.derive("tickets"), "oauth state"),
        public_url=settings.url,
    )
    connect_links = ConnectLinks(
        store=store,
        clock=clock,
        secrets=parts.secrets,
        connections=connections,
        authorizations=authorizations,
        tickets=Tickets(parts.vault.derive("tickets"), "connect link"),
        public_url=settings.url,
    )
    asgi = service_app(
        webhooks=WebhookEndpoint(ingest, settings.url, settings.max_body_bytes, leaving.is_set),
        writable=store.writable,
        leaving=leaving.is_set,
        proxies=[str(network) for network in settings.trusted_proxies],
        disk=lambda: parts.disk.use,
        metrics=metrics,
        pages=oauth_pages(authorizations, connect_links),
        own=v1_app(
            OwnServices(
                store=store,
                vault=parts.vault,
                clock=clock,
                accounts=parts.accounts,
                projects=parts.projects,
                connections=connections,
                authorizations=authorizations,
                oauth_clients=parts.clients,
                connect_links=connect_links,
                external_users=ExternalUsers(store=store, clock=clock, triggers=parts.triggers),
                field_options=FieldOptions(store=store, catalogue=parts.catalogue, calls=parts.calls),
                triggers=parts.triggers,
                erasures=parts.erasures,
                history=History(store=store, clock=clock),
                interventions=Interventions(
                    store=store, clock=clock, work=parts.work, limits=settings.quotas, counter=parts.counter
                ),
                pauses=parts.pauses,
                replays=parts.replays,
                samples=Samples(store=store, clock=clock, target_of=parts.target_of),
                poller=parts.poller,
                schedules=parts.schedules,
                watchdog=parts.watchdog,
                tokens=receivers.tokens,
                alert_channels=AlertChannels(
                    store=store,
                    clock=clock,
                    secrets=parts.secrets,
                    sender=parts.alert_sender,
                    limits=settings.quotas,
                ),
                explainer=Explainer(store=store, clock=clock, diagnosis=parts.diagnosis),
                dry_runs=DryRuns(
                    store=store,
                    clock=clock,
                    secrets=parts.secrets,
                    user_triggers=parts.user_triggers,
                    at_a_time=settings.concurrent_dry_runs,
                ),
                quotas=parts.quotas,
                limits=settings.quotas,
                disk=parts.disk,
            )
        ),
        integrations=odeus_app(
            Integrations(
                store=store,
                clock=clock,
                vault=parts.vault,
                syntax=_syntax_of(resources.sandbox),
                limits=settings.quotas,
            ),
            parts.accounts,
            requests_per_minute=settings.integration_requests_per_minute,
            block_browsers=settings.refuse_browsers,
        ),
        projects=stackai_app(
            StackAiServices(
                accounts=parts.accounts,
                store=store,
                catalogue=parts.catalogue,
                triggers=parts.triggers,
                sampler=Sampler(store=store, catalogue=parts.catalogue, calls=parts.calls),
                poller=parts.poller,
                schedules=parts.schedules,
                ingest=ingest,
            ),
            settings.url,
            settings.max_body_bytes,
            Proxies(settings.trusted_proxies),
        ),
    )

    async def drain(_: timedelta) -> None:
        with suppress(Unavailable):
            await refusals.flush()

    return RoleShare((receivers.run, recorder.run, refusals.run, documents.run), drain), asgi


def _working(parts: Parts, direct: Store) -> RoleShare:
    """Build the role `worker`, which is polls, schedules, deliveries and upkeep. Return its share of the process."""
    settings, clock, store, work = parts.settings, parts.clock, parts.store, parts.work
    dispatcher = Dispatcher(
        store=store,
        direct=direct,
        clock=clock,
        work=work,
        target_of=parts.target_of,
        triggers=parts.triggers,
        slots=settings.concurrent_deliveries,
        lease=settings.lease,
        holder=parts.process,
        counter=parts.counter,
        holds=parts.quotas.holds,
        hurry=parts.egress.hurry,
        hydration=Hydration(
            store=store,
            clock=clock,
            catalogue=parts.catalogue,
            calls=parts.calls,
            deadline=settings.poll_deadline,
            counter=parts.counter,
        ),
        metrics=parts.metrics,
        tracing=parts.tracing,
    )
    due_work = DueWork(
        store=store,
        clock=clock,
        poller=parts.poller,
        schedules=parts.schedules,
        webhook_removals=parts.webhook_removals,
        subscriptions=parts.subscriptions,
        pauses=parts.pauses,
        replays=parts.replays,
        work=work,
        places=Shares.beyond(settings.concurrent_polls),
    )
    parts.metrics.deliveries_under_way.reads(lambda: dispatcher.under_way)
    listeners = Listeners(
        store=store,
        clock=clock,
        leases=replace(parts.poller.leases, kind="listen", deadline=_LISTENING),
        listener=Listener(
            clock=clock,
            calls=parts.calls,
            settle=parts.poll_results.submit,
            work=work,
            refusal=parts.refusal,
            metrics=parts.metrics,
        ),
        places=Shares.beyond(settings.concurrent_listeners),
    )
    parts.metrics.polls_under_way.reads(lambda: due_work.polls_under_way)
    parts.metrics.listeners.reads(lambda: listeners.under_way)

    async def drain(at_most: timedelta) -> None:
        await asyncio.gather(due_work.drain(at_most), listeners.drain(at_most), dispatcher.drain(at_most))

    events, ledger, keys = settings.retention
    retention = Retention(store=store, direct=direct, clock=clock, events=events, ledger=ledger, keys=keys)
    lost_deliveries = LostDeliveries(store=store, clock=clock, work=work)
    kept_bodies = KeptBodies(store=store, clock=clock)
    upkeep = (retention.run, lost_deliveries.run, parts.erasures.run, kept_bodies.run)
    loops = (dispatcher.run, due_work.run, listeners.run, parts.calls.tokens.run, *upkeep)
    return RoleShare(loops, drain)


def _signals(settings: Settings, direct: Store, work: Wake) -> Sequence[Loop]:
    """Return the loops for wake-ups from process to process. The role `api` sends wake-ups, and the other roles listen
    for them.

    There are no loops with the embedded database, because no other process uses it.
    """
    notifications = Notifications(direct, work)
    if settings.role == "api":
        return (notifications.tell,)
    return (notifications.listen,) if settings.database_url else ()


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[tuple[str, str, Sequence[Loop]]]:
    """Yield the URL of the database, its URL without a pooler, and the loops that watch it. The embedded database runs
    while the block does.
    """
    if settings.database_url:
        direct = settings.database_direct_url or settings.database_url
        yield settings.database_url.get_secret_value(), direct.get_secret_value(), ()
        return
    async with embedded(settings.data_dir / "postgres", settings=_log_sizes(settings)) as server:
        yield server.url, server.url, (server.ended,)


def _log_sizes(settings: Settings) -> dict[str, str]:
    """Return the settings of PostgreSQL that keep its write-ahead log from filling a small disk. There are none for a
    large disk.
    """
    share = size(settings.data_dir) // 20 // MEBIBYTE
    return {"max_wal_size": f"{max(64, share)}MB", "min_wal_size": "32MB"} if share < _LARGEST_LOG else {}


def _disk_measures(settings: Settings, store: Store) -> Sequence[Measure]:
    """Return the measures of the disk that can be taken, each a function that returns a used share. One is of the file
    system of the embedded database, one of the size that the operator allows the database.
    """

    async def directory() -> float:
        return used_share(settings.data_dir)

    async def database() -> float:
        return await store.size() / (settings.database_max_bytes or 1)

    return [*([] if settings.database_url else [directory]), *([database] if settings.database_max_bytes else [])]


def _refusal(disk: DiskWatch, quotas: Quotas) -> Refuses:
    return lambda org_id: disk.refusal() if disk.full else quotas.refusal(org_id)


@asynccontextmanager
async def _background(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run the loops while the block runs, and cancel them after it. If a loop fails, the block is cancelled, too, and
    the loop's error is raised in an `ExceptionGroup`.
    """
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(loop()) for loop in loops]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


def _syntax_of(sandbox: Sandbox) -> Syntax:
    async def check(org_id: UUID, code: str) -> None:
        try:
            await sandbox.check(code, str(org_id))
        except PollError as error:
            raise Unavailable("The code could not be checked just now. Try again.") from error
        except SyntaxProblem as problem:
            raise Invalid(None, Issue(("polling_code",), str(problem), "syntax")) from problem

    return check
