"""`POST /token`: OAuth2's password flow (RFC 6749, 4.3)."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from hairtrigger.api.bodies import BoundedRoute
from hairtrigger.api.projects.responses import problems
from hairtrigger.api.projects.schemas import Token
from hairtrigger.domain.errors import RateLimited
from hairtrigger.services.accounts import TOKEN_LIFE, Accounts

_ATTEMPTS = RateLimitItemPerMinute(10)  # for one e-mail address


class _Form(BoundedRoute):
    """A form is read before its sender is known, and slowly: a megabyte of "&" takes half a second."""

    limit = 16 * 1024


def router(accounts: Accounts) -> APIRouter:
    routes = APIRouter(tags=["login"], route_class=_Form)
    limiter = FixedWindowRateLimiter(MemoryStorage())

    @routes.post("/token", responses=problems(400, 401, 413, 422, 429, 503))
    async def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
        """Logs in with an e-mail address (`username`) and a password."""
        if not await limiter.hit(_ATTEMPTS, form.username.strip().lower()):
            raise RateLimited("Too many attempts to log in. Wait a minute.")
        token = await accounts.log_in(form.username, form.password)
        return Token(access_token=token, expires_in=int(TOKEN_LIFE.total_seconds()))

    return routes
