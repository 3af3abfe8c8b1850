"""The refusals of our own routes, as RFC 9457 defines them."""

from typing import Any

from pydantic import BaseModel

_MEANING = {
    400: "Something has to be set up first.",
    401: "Not authenticated.",
    403: "The credentials don't allow this.",
    404: "There is no such thing, or it belongs to another organisation.",
    409: "This contradicts what is there, or a quota of the organisation is reached; `quota` says which.",
    413: "The body is too large.",
    422: "The request is not valid.",
    429: "Too many at a time, or a quota is used up for now; `quota` says which. Try again.",
    502: "The provider refused or could not be reached.",
    503: "Nothing can be stored right now. Try again.",
}


class ProblemIssue(BaseModel):
    path: list[str | int]
    message: str
    code: str


class ProblemQuota(BaseModel):
    name: str
    limit: int
    used: int


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemIssue] | None = None
    quota: ProblemQuota | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANING[status], "content": content} for status in statuses}
