"""Errors as answers of the three APIs: `{"detail"}`, `{"message"}` and problem+json.

Services raise an error class for each meaning. The one table below gives each class its status, and each API has a
dialect that writes the body.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from hairtrigger.domain.errors import (
    Conflict,
    Forbidden,
    HairtriggerError,
    Invalid,
    InvalidConfig,
    Issue,
    Malformed,
    NotFound,
    NotReady,
    PollFailed,
    ProviderFailed,
    RateLimited,
    Rejected,
    TooLarge,
    Unauthenticated,
    Unavailable,
    WrongMethod,
)
from hairtrigger.domain.quotas import QuotaFull, QuotaSpent

_STATUS: Mapping[type[HairtriggerError], int] = {
    Malformed: 400,
    NotReady: 400,
    Unauthenticated: 401,
    Rejected: 401,
    Forbidden: 403,
    NotFound: 404,
    WrongMethod: 405,
    Conflict: 409,
    TooLarge: 413,
    Invalid: 422,
    RateLimited: 429,
    ProviderFailed: 502,
    PollFailed: 502,
    Unavailable: 503,
}

_CONFIG = "trigger_config_params"  # what both APIs call a trigger's configuration


def status_of(error: HairtriggerError) -> int:
    """Return the HTTP status of the nearest class of the error that is in the table, or 500."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def headers_of(error: HairtriggerError) -> dict[str, str]:
    """Return the headers that an answer with this error has, such as `Retry-After`."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, WrongMethod):
        return {"Allow": ", ".join(error.allowed)}
    wait = getattr(error, "retry_after", None)
    return {"Retry-After": str(max(1, round(wait.total_seconds())))} if wait else {}


class InvalidRequest(Invalid):
    """The request does not fit its schema. The path of each issue begins with a part of the request: body, path, query
    or header.
    """


# A dialect turns status, text and error into a media type and a body. `error` is None for the framework's own refusals.
Dialect = Callable[[int, str, HairtriggerError | None], tuple[str, Any]]


def detail(status: int, text: str, error: HairtriggerError | None) -> tuple[str, Any]:
    """Return the media type and the body of an error in Stack AI's API.

    The body is `{"detail": text}`, or for 422 FastAPI's list of `{loc, msg, type}`.
    """
    if status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return "application/json", {"detail": text}
    issues = _issues(error) or (Issue((), text),)
    where = () if isinstance(error, InvalidRequest) else ("body",)
    return "application/json", {
        "detail": [{"loc": [*where, *issue.path], "msg": issue.message, "type": issue.code} for issue in issues]
    }


def message(status: int, text: str, error: HairtriggerError | None) -> tuple[str, Any]:  # noqa: ARG001
    """Return the media type and the body of an error in Odeus's API.

    The body is `{"message": text}`, or has a list of issues as `message` if all faults are in the request's body.
    """
    issues = _in_body(error)
    if not issues:
        return "application/json", {"message": text}
    return "application/json", {
        "message": [{"code": issue.code, "path": list(issue.path), "message": issue.message} for issue in issues]
    }


def problem(status: int, text: str, error: HairtriggerError | None) -> tuple[str, Any]:
    """Return the media type and the body of an error in our own API, which follow RFC 9457.

    The body also has the issues as `errors`, if there are any, and the quota as `quota`, if one is full or used up.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": text}
    if issues := _issues(error):
        body["errors"] = [{"path": list(issue.path), "message": issue.message, "code": issue.code} for issue in issues]
    if isinstance(error, QuotaFull | QuotaSpent):
        body["quota"] = {"name": error.use.quota, "limit": error.use.limit, "used": error.use.used}
    return "application/problem+json", body


def _in_body(error: HairtriggerError | None) -> tuple[Issue, ...]:
    """Return the issues of the request's body, with paths inside the body, or none if another part of the request is
    wrong.
    """
    match error:
        case InvalidRequest(issues=issues):
            inside = tuple(Issue(i.path[1:], i.message, i.code) for i in issues if i.path[:1] == ("body",))
            return inside if len(inside) == len(issues) else ()
        case Invalid():
            return tuple(Issue(_camel(i.path), i.message, i.code) for i in _issues(error))
        case _:
            return ()


def _issues(error: HairtriggerError | None) -> tuple[Issue, ...]:
    """Return the issues of an `Invalid`, with paths as a caller of Stack AI's or our own API knows them.

    Other errors have none.
    """
    match error:
        case InvalidConfig(issues=issues):
            return tuple(Issue((_CONFIG, *i.path), i.message, i.code) for i in issues)
        case Invalid(issues=issues):
            return issues
        case _:
            return ()


def _camel(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the path with its first part, the name of a field, in camel case as Odeus spells it."""
    return tuple(to_camel(part) if place == 0 and isinstance(part, str) else part for place, part in enumerate(path))


def install(app: FastAPI, dialect: Dialect, *, invalid_body: int = 422) -> None:
    """Make an app answer errors in a dialect. `invalid_body` is the status of every `Invalid`, also of requests that do
    not fit their schema.
    """

    def answer(status: int, text: str, error: HairtriggerError | None, headers: Mapping[str, str]) -> Response:
        media_type, body = dialect(status, text, error)
        return JSONResponse(body, status_code=status, headers=dict(headers), media_type=media_type)

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, HairtriggerError)
        status = invalid_body if isinstance(error, Invalid) else status_of(error)
        return answer(status, error.message, error, headers_of(error))

    async def schema(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return await ours(request, _from_schema(error))

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods_at(app, request.scope))
        return answer(error.status_code, str(error.detail), None, headers)

    async def bug(_: Request, error: Exception) -> Response:  # noqa: ARG001
        return answer(500, "Internal Server Error", None, {})

    async def gone(_: Request, error: Exception) -> Response:  # noqa: ARG001
        return answer(400, "The body did not come.", None, {})

    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(HairtriggerError, ours)
    app.add_exception_handler(RequestValidationError, schema)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(Exception, bug)


def _methods_at(app: FastAPI, scope: Scope) -> list[str]:
    """Return the methods of all the app's routes at this path. The framework names those of the first route only."""
    found = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    return [*found, "HEAD"] if "GET" in found else found


def _from_schema(error: RequestValidationError) -> InvalidRequest:
    issues = [Issue(tuple(e["loc"]), _not_read(e) or e["msg"], e["type"]) for e in error.errors()]
    where = ".".join(map(str, issues[0].path)) if issues else "request"
    return InvalidRequest(f"{where}: {issues[0].message}" if issues else None, *issues)


def _not_read(error: Mapping[str, Any]) -> str:
    """Return a sentence that says what to change if the body was not read as JSON because of its Content-Type.

    The text is empty for other faults. `error` is one fault of FastAPI's, which hands on the bytes of such a body as
    they are.
    """
    if tuple(error["loc"]) != ("body",) or not isinstance(error.get("input"), bytes):
        return ""
    return "The body is not read as JSON, because of its Content-Type. Send `Content-Type: application/json`."
