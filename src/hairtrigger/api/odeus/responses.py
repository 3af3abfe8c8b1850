"""The refusals of the Integrations API, as its OpenAPI document lists them."""

from http import HTTPStatus
from typing import Any

from hairtrigger.api.odeus.schemas import InvalidBody, Refusal

_MEANING = {
    400: "Invalid request body or invalid id.",
    401: "Invalid or missing API key.",
    403: "The API key lacks the scope, or the request comes from a browser.",
    404: "There is no such thing, or it belongs to another organisation.",
    409: "The integration already has one of this name.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "Rate limit exceeded. `Retry-After` says how many seconds to wait.",
    500: "Internal server error.",
    503: "Nothing can be stored right now. Try again.",
}
ALWAYS = (401, 403, 429, 500, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _MEANING[status], "model": InvalidBody if status == HTTPStatus.BAD_REQUEST else Refusal}
        for status in (*statuses, *ALWAYS)
    }
