"""The route `POST /token`, OAuth2's password flow (RFC 6749, 4.3). An error has the fields of OAuth2 (5.2) and this
API's `detail`.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordRequestForm
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hairtrigger.api.bodies import BoundedRequest, Handler
from hairtrigger.api.errors import headers_of, status_of
from hairtrigger.api.stackai.responses import problems
from hairtrigger.api.stackai.schemas import Token, TokenError
from hairtrigger.domain.errors import HairtriggerError, Unauthenticated
from hairtrigger.platform.peers import Proxies
from hairtrigger.services.accounts import TOKEN_LIFE, Accounts

_MAX_FORM = 16 * 1024
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MEANING = {
    400: "The e-mail address or the password is wrong, or the form is.",
    413: "The body is too large.",
    429: "Too many passwords were wrong, or too many log in at once.",
    503: "The service can't look up anything right now. Try again.",
}


def router(accounts: Accounts, proxies: Proxies) -> APIRouter:
    routes = APIRouter(tags=["login"], route_class=_TokenRoute)
    refusals = problems(422)  # without it FastAPI describes a 422 by itself; see `_Api.openapi`
    refusals |= {status: {"description": text, "model": TokenError} for status, text in _MEANING.items()}

    @routes.post("/token", responses=refusals)
    async def log_in(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
        """Returns an access token for an e-mail address (`username`) and a password."""
        place = proxies.place(request.client.host if request.client else "")
        token = await accounts.log_in(form.username, form.password, place)
        return Token(access_token=token, expires_in=int(TOKEN_LIFE.total_seconds()))

    return routes


class _TokenRoute(APIRoute):
    """A route that gives every refusal the field `error`, because OAuth2's clients take an answer without it for a
    token.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                response = await handle(BoundedRequest(request, _MAX_FORM))
            except (RequestValidationError, HTTPException, HairtriggerError) as error:
                response = _refusal(error)
            response.headers.update(_NOT_KEPT)
            return response

        return answered


def _refusal(error: RequestValidationError | HTTPException | HairtriggerError) -> Response:
    match error:
        case RequestValidationError():
            return _error(400, *_of_form(error))
        case HTTPException():
            return _error(error.status_code, "invalid_request", str(error.detail))
        case Unauthenticated():
            return _error(400, "invalid_grant", error.message)
        case _ if (status := status_of(error)) in _MEANING and status != 400:
            return _error(status, "temporarily_unavailable", error.message, headers_of(error))
        case _:
            return _error(400, "invalid_request", error.message)


def _of_form(error: RequestValidationError) -> tuple[str, str]:
    wrong = {str(each["loc"][-1]): each for each in error.errors()}
    if grant := wrong.get("grant_type"):
        return "unsupported_grant_type", f"The grant_type is 'password', not '{str(grant.get('input'))[:100]}'."
    return "invalid_request", " ".join(f"{name}: {each['msg']}." for name, each in wrong.items())


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> Response:
    body = TokenError(error=code, error_description=text, detail=text)
    return JSONResponse(body.model_dump(), status, headers)
