"""The webhook route in the OpenAPI document. `api/webhooks.py` serves this route, without FastAPI."""

from collections.abc import Mapping
from typing import Any

_REFUSALS = {
    "400": "The body is not what the provider sends.",
    "401": "The signature or the secret is missing or wrong.",
    "404": "There is no such webhook.",
    "413": "The body is too large.",
    "422": "The trigger's configuration is no longer valid.",
    "429": "The organisation has used up a quota. Send it again after `Retry-After`.",
    "503": "Nothing can be stored right now. Send it again.",
}


def _refusal(status: str, meaning: str) -> Mapping[str, Any]:
    schema = "HTTPValidationError" if status == "422" else "Detail"
    return {
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


OPERATION: Mapping[str, Any] = {
    "tags": ["webhooks"],
    "summary": "Webhook Handler",
    "description": "Takes what providers send. An answer of 200 means that it is stored, or why it is not an event.",
    "operationId": "webhook_handler",
    "parameters": [
        {
            "name": "webhook_id",
            "in": "path",
            "required": True,
            "description": "The provider of an app (`slack`, `github`), or the id of a project trigger.",
            "schema": {"type": "string", "title": "Webhook Id"},
            "example": "slack",
        }
    ],
    "requestBody": {"description": "Whatever the provider sends.", "content": {"*/*": {"schema": {}}}},
    "responses": {
        "200": {
            "description": "Successful Response",
            "content": {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}},
        },
        **{status: _refusal(status, meaning) for status, meaning in _REFUSALS.items()},
    },
}
