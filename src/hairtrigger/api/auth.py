"""Who may call: one bearer credential, checked in one place."""

from dataclasses import dataclass

from fastapi.security import OAuth2PasswordBearer
from starlette.requests import Request

from hairtrigger.domain.errors import Unauthenticated
from hairtrigger.services.accounts import TRIGGER_API, Accounts, Caller

oauth2 = OAuth2PasswordBearer(tokenUrl="token", auto_error=False, scheme_name="OAuth2PasswordBearer")


def bearer_value(request: Request) -> str:
    """The credential of `Authorization: Bearer …`."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("Not authenticated")
    return value.strip()


@dataclass(frozen=True)
class Authenticator:
    """A dependency: the caller of a request, who must have one of `scopes`."""

    accounts: Accounts
    scopes: tuple[str, ...] = (TRIGGER_API,)

    async def __call__(self, request: Request) -> Caller:
        caller = await self.accounts.by_bearer(bearer_value(request))
        caller.require(*self.scopes)
        return caller
