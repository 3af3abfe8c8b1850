"""The composition root: everything is built here, once, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from hairtrigger.api.integrations.app import integrations_app
from hairtrigger.api.projects.app import Services as ProjectServices
from hairtrigger.api.projects.app import projects_app
from hairtrigger.api.v1.app import Services as OwnServices
from hairtrigger.api.v1.app import v1_app
from hairtrigger.api.webhooks import webhook_endpoint
from hairtrigger.domain.errors import Invalid, Issue, Unavailable
from hairtrigger.platform.batching import Batcher
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
from hairtrigger.services.firing import Firing
from hairtrigger.services.history import History
from hairtrigger.services.ingest import Ingest
from hairtrigger.services.integrations import Integrations
from hairtrigger.services.polling import Poller
from hairtrigger.services.projects import Projects
from hairtrigger.services.recording import Recorder
from hairtrigger.services.removing import Removing
from hairtrigger.services.sampling import Sampling
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.ticking import Ticking
from hairtrigger.services.triggers import Triggers
from hairtrigger.services.user_triggers import UserTriggers
from hairtrigger.settings import Settings
from hairtrigger.store import partitions, triggers
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.triggers import ProjectTrigger
from hairtrigger.targets.making import target_maker


@dataclass(frozen=True)
class Application:
    """The running service, for the command line and for tests."""

    asgi: Starlette
    settings: Settings
    store: Store
    accounts: Accounts
    projects: Projects
    triggers: Triggers


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Application]:
    """Opens what the service needs, brings the schema up to date and starts its loops; at the end drains and closes."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        compiled = asyncio.create_task(Sandbox.compiled())  # beside the database's start
        stack.callback(compiled.cancel)
        store = await stack.enter_async_context(_store(settings))
        await store.migrate()
        async with store.transaction() as tx:
            await partitions.make_ahead(tx, clock.now().date())
        settings.vault_path.parent.mkdir(parents=True, exist_ok=True)
        vault = Vault.open(settings.vault_path)
        policy = EgressPolicy(tuple(settings.egress_allow), settings.connect_to)
        egress = await stack.enter_async_context(Egress(policy))
        sandbox = await stack.enter_async_context(
            Sandbox.start(workers=settings.sandbox_workers, compiled=await compiled)
        )

        secrets = Secrets(vault)
        work = Wake()
        catalogue = catalogue_of(CATALOGUE, UserTriggers(sandbox, egress).provider, settings.provider_urls)
        accounts = Accounts(store, clock, vault.derive("access tokens"))
        calls = Calls(egress, clock, secrets)
        removing = Removing(store, clock, catalogue, calls, secrets, settings.url)
        project_triggers = Triggers(
            store,
            clock,
            catalogue,
            calls,
            secrets,
            removing,
            settings.url,
            timedelta(seconds=settings.least_polling_seconds),
        )
        recorder = Recorder(store, clock, work)
        look_up: Batcher[UUID, ProjectTrigger | None] = Batcher(_look_up(store))
        app_secrets = {
            provider: [secret.get_secret_value() for secret in live] for provider, live in settings.app_secrets.items()
        }
        ingest = Ingest(store, clock, catalogue, secrets, recorder, look_up, app_secrets)
        poller = Poller(store, clock, catalogue, calls, work, settings.poll_deadline)
        firing = Firing(store, clock, catalogue, work, timedelta(seconds=settings.schedule_grace_seconds))
        dispatcher = Dispatcher(
            store, clock, work, target_maker(egress, clock, secrets), project_triggers, settings.concurrent_deliveries
        )
        ticking = Ticking(store, clock, poller, firing, removing, work, settings.concurrent_polls)
        projects = Projects(store, clock, secrets)
        integrations = Integrations(store, clock, vault, _syntax_of(sandbox))
        asgi = Starlette(
            routes=[
                Route("/livez", _livez),
                Route("/readyz", _readyz(store)),
                Route(
                    "/v1/webhooks/{webhook_id}",
                    webhook_endpoint(ingest, settings.url, settings.max_body_bytes),
                    methods=["POST"],
                ),
                Mount(
                    "/v1",
                    v1_app(
                        OwnServices(
                            store=store,
                            vault=vault,
                            clock=clock,
                            accounts=accounts,
                            projects=projects,
                            connections=Connections(store, clock, catalogue, secrets),
                            triggers=project_triggers,
                            history=History(store, clock, work),
                            poller=poller,
                            firing=firing,
                        )
                    ),
                ),
                *(
                    Mount(
                        path,
                        integrations_app(
                            integrations,
                            accounts,
                            requests_per_minute=settings.integration_requests_per_minute,
                            block_browsers=settings.refuse_browsers,
                        ),
                    )
                    for path in ("/integrations/v1", "/api/public/integrations/v1")
                ),
                Mount(
                    "/",
                    projects_app(
                        ProjectServices(
                            accounts=accounts,
                            store=store,
                            catalogue=catalogue,
                            triggers=project_triggers,
                            sampling=Sampling(store, catalogue, calls),
                            poller=poller,
                            firing=firing,
                            ingest=ingest,
                        ),
                        settings.url,
                        settings.max_body_bytes,
                    ),
                ),
            ]
        )
        application = Application(asgi, settings, store, accounts, projects, project_triggers)
        loops = [look_up.run, recorder.run, dispatcher.run, ticking.run]
        async with _background(loops):
            yield application
            await dispatcher.drain(timedelta(seconds=settings.shutdown_seconds))


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        if settings.database_url:
            url = settings.database_url.get_secret_value()
        else:
            server = await stack.enter_async_context(embedded(settings.data_dir / "postgres"))
            url = server.url
        yield await stack.enter_async_context(open_store(url, connections=settings.database_connections))


@asynccontextmanager
async def _background(loops: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Runs the loops beside the body. A loop that ends by an error ends the body with it: half a service is worse."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(_awaited(loop)) for loop in loops]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


async def _awaited(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()


def _look_up(store: Store) -> Callable[[Sequence[UUID]], Awaitable[list[ProjectTrigger | None]]]:
    async def look_up(ids: Sequence[UUID]) -> list[ProjectTrigger | None]:
        async with store.transaction() as tx:
            found = await triggers.by_ids(tx, ids)
        return [found.get(id_) for id_ in ids]

    return look_up


def _syntax_of(sandbox: Sandbox) -> Callable[[str], Awaitable[None]]:
    async def check(code: str) -> None:
        try:
            await sandbox.check(code)
        except PollError as error:
            raise Unavailable("The code could not be checked just now. Try again.") from error
        except SyntaxProblem as problem:
            where = f" (line {problem.line}, column {problem.column})" if problem.line else ""
            raise Invalid(None, Issue(("pollingCode",), f"{problem.message}{where}", "syntax")) from problem

    return check


async def _livez(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _readyz(store: Store) -> Callable[[Request], Awaitable[Response]]:
    """Ready means: an event that comes now would be stored."""

    async def readyz(_: Request) -> Response:
        with suppress(Unavailable):
            if await store.writable():
                return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "the database can't be written"}, status_code=503)

    return readyz
