"""Stack AI's Triggers API, with the paths, fields and answers of its published reference."""

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from hairtrigger.api import errors
from hairtrigger.api.documents import prepare
from hairtrigger.api.stackai import catalogue, deprecated, login, triggers, webhooks
from hairtrigger.domain.webhook_address import WEBHOOK_PATH
from hairtrigger.platform.peers import Proxies
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.setup.samples import Sampler
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.store.database import Store


@dataclass(frozen=True)
class Services:
    """The parts of the service that the routes of this API use."""

    accounts: Accounts
    store: Store
    catalogue: Catalogue
    triggers: Triggers
    sampler: Sampler
    poller: Poller
    schedules: Schedules
    ingest: Ingest


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document with the webhook route, which another app serves, and without the 422 that /token never
        answers.
        """
        document = super().openapi()
        document["paths"]["/token"]["post"]["responses"].pop("422", None)
        document["paths"][WEBHOOK_PATH] = {"post": webhooks.OPERATION}
        return document


def stackai_app(services: Services, public_url: str, max_body_bytes: int, proxies: Proxies | None = None) -> FastAPI:
    """Return the API. /token tells clients apart by their addresses behind `proxies`, the proxies in front of the
    service.
    """
    app = _Api(
        title="Triggers API",
        version="1.0.0",
        description="Create, enable and watch the triggers of projects.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        servers=[{"url": "/"}],
    )
    errors.install(app, errors.detail)
    app.include_router(login.router(services.accounts, proxies or Proxies(())))
    app.include_router(triggers.router(services.accounts, services.triggers, services.schedules, services.sampler))
    app.include_router(catalogue.router(services.accounts, services.catalogue, services.store))
    app.include_router(
        deprecated.router(
            services.accounts, services.ingest, services.poller, services.schedules, public_url, max_body_bytes
        )
    )
    prepare(app)
    return app
