"""Our own API, with what the two public APIs need and do not publish.

That is: organisations, API keys, projects, connections, events and deliveries.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.routing import APIRoute

from hairtrigger.api import errors
from hairtrigger.api.auth import Authenticator, authenticated_route, password_flow
from hairtrigger.api.documents import prepare
from hairtrigger.api.v1 import (
    accounts,
    alerts,
    connections,
    explanations,
    history,
    oauth,
    pauses,
    polling_code,
    projects,
    providers,
    replays,
    triggers,
    usage,
)
from hairtrigger.api.v1.idempotency import idempotent_route
from hairtrigger.api.v1.responses import Problem, problems
from hairtrigger.domain.quotas import Limits
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.vault import Vault
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.alerts.alert_channels import AlertChannels
from hairtrigger.services.delivery.history import History
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import Replays
from hairtrigger.services.delivery.samples import Samples
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.services.explain.explainer import Explainer
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.services.ingest.told_tokens import ToldTokens
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.polling.dry_run import DryRuns
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.quotas import Quotas
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.setup.authorizations import Authorizations
from hairtrigger.services.setup.connect_links import ConnectLinks
from hairtrigger.services.setup.connections import Connections
from hairtrigger.services.setup.external_users import ExternalUsers
from hairtrigger.services.setup.field_options import FieldOptions
from hairtrigger.services.setup.projects import Projects
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.services.upkeep.erasures import Erasures
from hairtrigger.store.database import Store

_TOKEN = password_flow("../token")  # as seen from this API's prefix: /token has none


@dataclass(frozen=True)
class Services:
    """The parts of the service that the routes of this API use."""

    store: Store
    vault: Vault
    clock: Clock
    accounts: Accounts
    projects: Projects
    connections: Connections
    authorizations: Authorizations
    oauth_clients: OAuthClients
    connect_links: ConnectLinks
    external_users: ExternalUsers
    field_options: FieldOptions
    triggers: Triggers
    erasures: Erasures
    history: History
    interventions: Interventions
    pauses: Pauses
    replays: Replays
    samples: Samples
    poller: Poller
    schedules: Schedules
    watchdog: StallWatchdog
    tokens: ToldTokens
    alert_channels: AlertChannels
    explainer: Explainer
    dry_runs: DryRuns
    quotas: Quotas
    limits: Limits
    disk: DiskWatch


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document with the schemas of problems, which FastAPI adds only where the media type is JSON."""
        document = super().openapi()
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = problem.pop("$defs")
        document["components"]["schemas"].update(parts, Problem=problem)
        return document


def v1_app(services: Services) -> FastAPI:
    app = _Api(
        title="hairtrigger API",
        version="1.0.0",
        description="Projects, connections, API keys, events and deliveries.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        servers=[{"url": "/v1"}],
    )
    errors.install(app, errors.problem)
    authenticate = Authenticator(services.accounts)
    idempotent = idempotent_route(authenticate, services.store, services.vault, services.clock, services.limits)

    def routes(tag: str, route_class: type[APIRoute] = idempotent) -> APIRouter:
        return APIRouter(
            tags=[tag],
            route_class=route_class,
            dependencies=[Security(_TOKEN)],
            responses=problems(400, 401, 403, 404, 409, 413, 422, 429, 503),
        )

    for router in (
        accounts.router(routes("accounts"), services.accounts),
        projects.router(routes("projects"), services.projects, services.samples, services.triggers, services.erasures),
        connections.router(routes("connections"), services.connections),
        oauth.router(
            routes("connections"),
            services.authorizations,
            services.oauth_clients,
            services.connect_links,
            services.external_users,
        ),
        providers.router(routes("providers"), services.connections, services.field_options),
        triggers.router(
            routes("triggers"),
            services.triggers,
            services.poller,
            services.schedules,
            services.pauses,
            services.watchdog,
            services.tokens,
        ),
        explanations.router(routes("explaining"), services.watchdog, services.explainer),
        history.router(routes("history"), services.history, services.interventions),
        replays.router(routes("replays"), services.replays),
        pauses.router(routes("pauses"), services.pauses),
        alerts.router(routes("alerts"), services.alert_channels),
        usage.router(routes("usage"), services.quotas, services.disk),
        # Nothing of a dry run is kept, not even its answer for an Idempotency-Key.
        polling_code.router(routes("polling code", authenticated_route(authenticate)), services.dry_runs),
    ):
        app.include_router(router)
    prepare(app)
    return app
