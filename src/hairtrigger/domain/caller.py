"""Defines the caller of an API request, and the scopes of its credentials."""

from dataclasses import dataclass
from uuid import UUID

from hairtrigger.domain.errors import Forbidden

INTEGRATION_API = "INTEGRATION_API"  # the Integrations API
ASSISTANT_API = "ASSISTANT_API"  # may list integrations
TRIGGER_API = "TRIGGER_API"  # the Triggers API and /v1
SCOPES = (INTEGRATION_API, ASSISTANT_API, TRIGGER_API)


@dataclass(frozen=True)
class Caller:
    """The organisation and the user that an API request speaks for, with the scopes of its credentials.

    `id` is the user's id. An API key speaks for the user who created it and has its own scopes; a user who logged in
    has every scope.
    """

    org_id: UUID
    id: UUID
    scopes: frozenset[str]
    operator: bool = False
    key_id: UUID | None = None  # of the API key that was used; None for a user that has logged in

    def require(self, *any_of: str) -> None:
        """Raise `Forbidden` if the caller has none of these scopes."""
        if not self.scopes.intersection(any_of):
            raise Forbidden(f"The API key needs the scope {' or '.join(any_of)}.")

    def require_login(self) -> None:
        if self.key_id is not None:
            raise Forbidden("No API key may do this. Log in, and send the access token that POST /token gives.")
