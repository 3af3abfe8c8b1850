"""The credentials of a connection, and how the calls to its provider carry them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Protocol


@dataclass(frozen=True)
class Carried:
    """The headers and the query parameters that every call with a connection's credentials has."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)


class Auth(Protocol):
    """A way in which calls carry the credentials of a connection."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that a connection must have."""
        ...

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        """Return what each call carries. Raise `KeyError` if a secret is missing."""
        ...


@dataclass(frozen=True)
class NoAuth:
    """Sends no credentials. A provider whose address holds its credentials has this, too."""

    secrets: tuple[str, ...] = ()

    def carried(self, secrets: Mapping[str, str]) -> Carried:  # noqa: ARG002
        return Carried()


@dataclass(frozen=True)
class KeyHeader:
    """Sends a secret as the value of a header, after `prefix`, and the headers `also`."""

    header: str
    secret: str = "api_key"
    prefix: str = ""
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({**self.also, self.header: f"{self.prefix}{secrets[self.secret]}"})


@dataclass(frozen=True)
class Bearer:
    """Sends a secret as `Authorization: Bearer …`, and the headers `also`."""

    secret: str = "api_key"
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({**self.also, "authorization": f"Bearer {secrets[self.secret]}"})


@dataclass(frozen=True)
class HeaderTemplate:
    """Sends several secrets in one header, in which they take the place of their names in braces."""

    header: str
    template: str

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(name for _, name, _, _ in Formatter().parse(self.template) if name)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({self.header: self.template.format_map(secrets)})


@dataclass(frozen=True)
class KeyParameter:
    """Sends a secret as a query parameter of each call."""

    parameter: str
    secret: str = "api_key"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried(params={self.parameter: secrets[self.secret]})


@dataclass(frozen=True)
class UserAndPassword:
    """Sends two secrets by HTTP Basic (RFC 7617), and the headers `also`. A `password` of "" is sent empty.

    `user_suffix` follows the user's name, as some providers want it.
    """

    user: str
    password: str
    also: Mapping[str, str] = field(default_factory=dict)
    user_suffix: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.user, self.password)))

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        pair = f"{secrets[self.user]}{self.user_suffix}:{secrets[self.password] if self.password else ''}"
        return Carried({**self.also, "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})
