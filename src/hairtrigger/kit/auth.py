"""The credentials of a connection to a provider, and the headers that they become."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Auth(Protocol):
    """The credentials of a connection, and the headers that they become on a request."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the values a connection must have."""
        ...

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class NoAuth:
    secrets: tuple[str, ...] = ()

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class Bearer:
    """`Authorization: Bearer …`, from the connection's secret of this name. `also` goes along on every request."""

    secret: str = "api_key"
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def headers(self, secrets: Mapping[str, str]) -> Mapping[str, str]:
        return {**self.also, "authorization": f"Bearer {secrets[self.secret]}"}
