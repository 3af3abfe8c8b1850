"""The composition root: everything is built here, once, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from starlette.routing import Router

from hairtrigger.api.app import service_app
from hairtrigger.api.integrations.app import integrations_app
from hairtrigger.api.projects.app import Services as ProjectServices
from hairtrigger.api.projects.app import projects_app
from hairtrigger.api.v1.app import Services as OwnServices
from hairtrigger.api.v1.app import v1_app
from hairtrigger.api.webhooks import WebhookEndpoint
from hairtrigger.domain.errors import Invalid, Issue, Unavailable
from hairtrigger.platform.clock import Clock, SystemClock
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.postgres import embedded
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import CATALOGUE
from hairtrigger.sandbox.code import PollError, SyntaxProblem
from hairtrigger.sandbox.host import Sandbox
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.calls import Calls
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.connections import Connections
from hairtrigger.services.dispatching import Dispatcher
from hairtrigger.services.dry_run import DryRuns
from hairtrigger.services.explaining import Explaining
from hairtrigger.services.firing import Firing
from hairtrigger.services.health import Diagnosis
from hairtrigger.services.history import History
from hairtrigger.services.ingest import Ingest
from hairtrigger.services.integrations import Integrations
from hairtrigger.services.pausing import Pausing
from hairtrigger.services.polling import Poller
from hairtrigger.services.projects import Projects
from hairtrigger.services.receivers import Receivers
from hairtrigger.services.recording import COMMITTERS, Recorder
from hairtrigger.services.refusing import Refusals
from hairtrigger.services.removing import Removing
from hairtrigger.services.replaying import Replaying
from hairtrigger.services.sampling import Sampling
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.ticking import Ticking
from hairtrigger.services.triggers import Triggers
from hairtrigger.services.user_triggers import UserTriggers
from hairtrigger.services.watching import Watching
from hairtrigger.settings import Settings
from hairtrigger.store import partitions
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.statements import Statements, open_statements
from hairtrigger.targets.making import target_maker

Loop = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True)
class Application:
    """The running service, for the command line and for tests."""

    asgi: Router
    settings: Settings
    store: Store
    accounts: Accounts
    projects: Projects
    triggers: Triggers
    refusals: Refusals


@dataclass(frozen=True)
class Resources:
    """What has to be opened, and closed again."""

    store: Store
    statements: Statements
    vault: Vault
    egress: Egress
    sandbox: Sandbox
    watches: Sequence[Loop]


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Application]:
    """Opens what the service needs, brings the schema up to date and starts its loops; at the end drains and closes."""
    clock = clock or SystemClock()
    async with _resources(settings, clock) as resources:
        application, dispatcher, loops = _built(settings, clock, resources)
        async with _background((*loops, *resources.watches)):
            yield application
            await dispatcher.drain(timedelta(seconds=settings.shutdown_seconds))
            with suppress(Unavailable):
                await application.refusals.flush()


@asynccontextmanager
async def _resources(settings: Settings, clock: Clock) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        compiled = asyncio.create_task(Sandbox.compiled())  # beside the database's start
        stack.callback(compiled.cancel)
        url, watches = await stack.enter_async_context(_database(settings))
        store = await stack.enter_async_context(open_store(url, connections=settings.database_connections - COMMITTERS))
        await store.migrate()
        async with store.transaction() as tx:
            await partitions.make_ahead(tx, clock.now().date())
        settings.vault_path.parent.mkdir(parents=True, exist_ok=True)
        policy = EgressPolicy(tuple(settings.egress_allow), settings.connect_to)
        workers = Sandbox.start(
            workers=settings.sandbox_workers,
            limits=settings.sandbox_limits,
            compiled=await compiled,
            unlocked=settings.sandbox_unlocked,
        )
        yield Resources(
            store,
            await stack.enter_async_context(open_statements(store)),
            Vault.open(settings.vault_path),
            await stack.enter_async_context(Egress(policy)),
            await stack.enter_async_context(workers),
            watches,
        )


def _built(settings: Settings, clock: Clock, resources: Resources) -> tuple[Application, Dispatcher, Sequence[Loop]]:
    store, vault, egress, sandbox = resources.store, resources.vault, resources.egress, resources.sandbox
    work = Wake()
    secrets = Secrets(vault)
    accounts = Accounts(store, clock, vault.derive("access tokens"))
    user_triggers = UserTriggers(sandbox, egress)
    catalogue = catalogue_of(CATALOGUE, user_triggers.provider, settings.provider_urls)
    calls = Calls(egress, clock, secrets)
    projects = Projects(store, clock, secrets)
    removing = Removing(store, clock, catalogue, calls, secrets, settings.url)
    least_interval = timedelta(seconds=settings.least_polling_seconds)
    triggers = Triggers(store, clock, catalogue, calls, secrets, removing, settings.url, least_interval)
    recorder = Recorder(
        resources.statements,
        clock,
        work,
        max_waiting=settings.max_waiting_requests,
        max_waiting_bytes=settings.max_waiting_bytes,
    )
    refusals = Refusals(store, clock)
    receivers = Receivers(store, secrets)
    ingest = Ingest(store, clock, catalogue, recorder, receivers, refusals, settings.live_app_secrets)
    poller = Poller(store, clock, catalogue, calls, work, settings.poll_deadline)
    grace = timedelta(seconds=settings.schedule_grace_seconds)
    firing = Firing(store, clock, catalogue, work, grace)
    diagnosis = Diagnosis(clock, catalogue, settings.poll_deadline, grace)
    watching = Watching(store, clock, diagnosis)
    target_of = target_maker(egress, clock, secrets)
    dispatcher = Dispatcher(store, clock, work, target_of, triggers, settings.concurrent_deliveries)
    pausing = Pausing(store, clock, work)
    replaying = Replaying(store, clock, work)
    ticking = Ticking(store, clock, poller, firing, removing, pausing, replaying, work, settings.concurrent_polls)
    asgi = service_app(
        webhooks=WebhookEndpoint(ingest, settings.url, settings.max_body_bytes),
        writable=store.writable,
        own=v1_app(
            OwnServices(
                store=store,
                vault=vault,
                clock=clock,
                accounts=accounts,
                projects=projects,
                connections=Connections(store, clock, catalogue, secrets),
                triggers=triggers,
                history=History(store, clock, work),
                pausing=pausing,
                replaying=replaying,
                poller=poller,
                firing=firing,
                watching=watching,
                explaining=Explaining(store, clock, diagnosis),
                dry_runs=DryRuns(store, clock, secrets, user_triggers, settings.concurrent_dry_runs),
            )
        ),
        integrations=integrations_app(
            Integrations(store, clock, vault, _syntax_of(sandbox)),
            accounts,
            requests_per_minute=settings.integration_requests_per_minute,
            block_browsers=settings.refuse_browsers,
        ),
        projects=projects_app(
            ProjectServices(
                accounts=accounts,
                store=store,
                catalogue=catalogue,
                triggers=triggers,
                sampling=Sampling(store, catalogue, calls),
                poller=poller,
                firing=firing,
                ingest=ingest,
            ),
            settings.url,
            settings.max_body_bytes,
        ),
    )
    application = Application(asgi, settings, store, accounts, projects, triggers, refusals)
    loops = (receivers.run, recorder.run, refusals.run, dispatcher.run, ticking.run, watching.run)
    return application, dispatcher, loops


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[tuple[str, Sequence[Loop]]]:
    """Its address, and what to watch it by."""
    if settings.database_url:
        yield settings.database_url.get_secret_value(), ()
        return
    async with embedded(settings.data_dir / "postgres") as server:
        yield server.url, (server.ended,)


@asynccontextmanager
async def _background(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Runs the loops beside the body. A loop that ends by an error ends the body with it: half a service is worse."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(loop()) for loop in loops]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


def _syntax_of(sandbox: Sandbox) -> Callable[[str], Awaitable[None]]:
    async def check(code: str) -> None:
        try:
            await sandbox.check(code)
        except PollError as error:
            raise Unavailable("The code could not be checked just now. Try again.") from error
        except SyntaxProblem as problem:
            raise Invalid(None, Issue(("pollingCode",), str(problem), "syntax")) from problem

    return check
