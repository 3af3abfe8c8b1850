"""The headers that a target's configuration gives, with the credentials among them."""

import base64
from typing import assert_never

from hairtrigger.domain.target import AgentTarget, BasicAuth, BearerAuth, WorkflowTarget


def own_headers(config: WorkflowTarget | AgentTarget, api_key: str | None) -> dict[str, str]:
    """Return the headers that a configuration gives, with names in lower case. The configuration must hold the secrets
    themselves, not masks.

    `authorization` comes from `auth`, or else from the configured headers, or else from `api_key` as a bearer token.
    """
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    match config.auth:
        case BasicAuth(username=username, password=password):
            pair = f"{username}:{password.get_secret_value()}"
            return headers | {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case BearerAuth(token=token):
            return headers | {"authorization": f"Bearer {token.get_secret_value()}"}
        case None:
            return ({"authorization": f"Bearer {api_key}"} if api_key else {}) | headers
        case other:
            assert_never(other)
