"""Authentication by one bearer credential, before any part of a body is read.

The Integrations API, the catalogue and the deprecated routes with a key in their path do not use `Authenticator`.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import Request
from starlette.responses import Response

from hairtrigger.api.bodies import BoundedRequest, Handler
from hairtrigger.api.errors import InvalidRequest
from hairtrigger.domain.caller import TRIGGER_API, Caller
from hairtrigger.domain.errors import Issue, Unauthenticated
from hairtrigger.services.accounts import Accounts


def password_flow(token_url: str) -> OAuth2PasswordBearer:
    """Return the security scheme for the OpenAPI document of an API. `token_url` is relative to the address
    of the API.
    """
    return OAuth2PasswordBearer(tokenUrl=token_url, auto_error=False, scheme_name="OAuth2PasswordBearer")


oauth2 = password_flow("token")


def bearer_value(request: Request) -> str:
    """Return the credential of `Authorization: Bearer …`. Raises `Unauthenticated` if there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("Not authenticated")
    return value.strip()


@dataclass(frozen=True)
class Authenticator:
    """Finds the caller of a request, and remembers it on the request.

    Raises `Unauthenticated` without a valid credential, and `Forbidden` if the caller has none of `scopes`.
    """

    accounts: Accounts
    scopes: tuple[str, ...] = (TRIGGER_API,)

    async def __call__(self, request: Request) -> Caller:
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            caller = request.state.caller = await self.accounts.by_bearer(bearer_value(request))
        caller.require(*self.scopes)
        return caller


class StrictRoute(APIRoute):
    """A route that refuses query parameters that it does not have, because a misspelt filter would return
    everything.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        known = {one.alias for one in get_flat_params(self.dependant) if isinstance(one.field_info, Query)}

        async def strict(request: Request) -> Response:
            if unknown := [name for name in request.query_params if name not in known]:
                there_are = f"There are: {', '.join(sorted(known))}." if known else "There are none."
                said = f"There is no parameter '{unknown[0]}' here. {there_are}"
                raise InvalidRequest(said, *(Issue(("query", name), said, "extra_forbidden") for name in unknown))
            return await handle(request)

        return strict


def authenticated_route(authenticate: Authenticator) -> type[APIRoute]:
    """Return a class of routes that authenticate the caller before they read a body, and refuse a body that is too
    large.
    """

    class AuthenticatedRoute(StrictRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def authenticated(request: Request) -> Response:
                await authenticate(request)
                return await handle(BoundedRequest(request))

            return authenticated

    return AuthenticatedRoute


async def _admitted(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Admitted = Annotated[Caller, Depends(_admitted)]
"""The caller of a request that its route class or its router has admitted."""
