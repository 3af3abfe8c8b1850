"""The headers of a target's configuration, with its credentials."""

import base64
from typing import assert_never

from hairtrigger.domain.target import AgentTarget, BasicAuth, BearerAuth, WorkflowTarget


def own_headers(config: WorkflowTarget | AgentTarget, api_key: str | None) -> dict[str, str]:
    """Return the headers of a configuration that holds its secrets. `api_key` counts only without another credential.

    The names are in lower case.
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
