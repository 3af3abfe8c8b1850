"""The refusals of the Triggers API, as its OpenAPI document lists them."""

from typing import Any

from hairtrigger.api.stackai.schemas import Detail, HTTPValidationError

_MEANING = {
    400: "The request can't be carried out as it is.",
    401: "Not authenticated.",
    403: "The credentials don't allow this.",
    404: "There is no such thing, or it belongs to another organisation.",
    409: "Somebody else changed it at the same moment.",
    413: "The body is too large.",
    422: "Validation error.",
    429: "Too many requests.",
    502: "The provider refused or could not be reached.",
    503: "Nothing can be stored right now. Try again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _MEANING[status], "model": HTTPValidationError if status == 422 else Detail}
        for status in statuses
    }
