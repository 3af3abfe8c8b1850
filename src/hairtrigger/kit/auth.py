"""The credentials of a connection, and the request headers that are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Auth(Protocol):
    """A way to make request headers from the credentials of a connection."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that a connection must have."""
        ...

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class NoAuth:
    secrets: tuple[str, ...] = ()

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class Bearer:
    """Sends the connection's secret with the name `secret` as `Authorization: Bearer …`, and the headers `also`.

    `headers` raises `KeyError` if the secret is missing.
    """

    secret: str = "api_key"
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {**self.also, "authorization": f"Bearer {secrets[self.secret]}"}
