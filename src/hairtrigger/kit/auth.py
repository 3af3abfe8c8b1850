"""Defines the ways in which calls to a provider carry the credentials of a connection."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Protocol


@dataclass(frozen=True)
class Carried:
    """The headers and the query parameters that carry the credentials of a connection in every call."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)


class Auth(Protocol):
    """A way in which calls carry the credentials of a connection."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the secrets that a connection must have."""
        ...

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        """Return the headers and query parameters that carry these secrets, which are given by name. Raise `KeyError`
        if one is missing.
        """
        ...


@dataclass(frozen=True)
class NoAuth:
    """Sends no credentials. This is also for a provider whose address holds its credentials."""

    secrets: tuple[str, ...] = ()

    def carried(self, secrets: Mapping[str, str]) -> Carried:  # noqa: ARG002
        return Carried()


@dataclass(frozen=True)
class KeyHeader:
    """Sends the secret named `secret` in the header `header`, after `prefix`. It also sends the fixed headers
    `also`.
    """

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
    """Sends the secret named `secret` as `Authorization: Bearer …`. It also sends the fixed headers `also`."""

    secret: str = "api_key"
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({**self.also, "authorization": f"Bearer {secrets[self.secret]}"})


@dataclass(frozen=True)
class HeaderTemplate:
    """Sends several secrets in the header `header`. Its value is `template`, in which each secret takes the place of
    its name in braces.
    """

    header: str
    template: str

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(name for _, name, _, _ in Formatter().parse(self.template) if name)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({self.header: self.template.format_map(secrets)})


@dataclass(frozen=True)
class KeyParameter:
    """Sends the secret named `secret` as the query parameter `parameter`."""

    parameter: str
    secret: str = "api_key"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,)

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried(params={self.parameter: secrets[self.secret]})


@dataclass(frozen=True)
class UserAndPassword:
    """Sends the two secrets named `user` and `password` by HTTP Basic (RFC 7617). If `password` is "", the password
    that is sent is empty. It also sends the fixed headers `also`.

    `user_suffix` is added to the user's name, as some providers want it.
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
