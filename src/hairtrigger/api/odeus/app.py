"""Odeus's Integrations API, with the paths, fields and answers of its published reference.

The paths in this folder have no prefix; `api/app.py` adds it.
"""

from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from limits import RateLimitItemPerMinute

from hairtrigger.api import errors
from hairtrigger.api.bodies import MAX_BODY
from hairtrigger.api.documents import prepare
from hairtrigger.api.odeus import actions, icons, integrations, triggers
from hairtrigger.api.odeus.admission import Admission, NoBrowsers, admitting
from hairtrigger.domain.caller import ASSISTANT_API, INTEGRATION_API
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.setup.integrations import Integrations

_bearer = HTTPBearer(scheme_name="ApiKey", description="An API key with the scope INTEGRATION_API.", auto_error=False)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document without the 422 that FastAPI adds by itself, because this API answers 400 instead."""
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)
        return document


def odeus_app(
    service: Integrations, accounts: Accounts, *, requests_per_minute: int = 500, block_browsers: bool = True
) -> FastAPI:
    """Return the API. `requests_per_minute` is the limit for all keys of one organisation together."""
    app = _Api(
        title="Integrations API",
        version="1.0.0",
        description="Define integrations: how to authenticate at a system, its triggers and its actions.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Security(_bearer)],
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        servers=[{"url": "/integrations/v1"}],
    )
    errors.install(app, errors.message, invalid_body=400)
    if block_browsers:
        app.add_middleware(NoBrowsers)
    admission = Admission(accounts, RateLimitItemPerMinute(requests_per_minute))
    to_list = admitting(admission, INTEGRATION_API, ASSISTANT_API, max_body=MAX_BODY)
    ordinary = admitting(admission, INTEGRATION_API, max_body=MAX_BODY)
    uploading = admitting(admission, INTEGRATION_API, max_body=icons.MAX_UPLOAD)
    app.include_router(integrations.listing(service, to_list))
    app.include_router(integrations.router(service, ordinary))
    app.include_router(icons.router(service, uploading))
    app.include_router(triggers.router(service, ordinary))
    app.include_router(actions.router(service, ordinary))
    prepare(app)
    return app
