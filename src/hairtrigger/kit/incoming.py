"""Defines a request as its sender made it, and a verified request with the configuration of its trigger."""

from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar, overload
from urllib.parse import parse_qsl

from hairtrigger.domain.errors import Malformed
from hairtrigger.domain.json_reader import TooManyParts, read_json
from hairtrigger.kit.bodies import Content, content_of, decompressed
from hairtrigger.kit.config import Config, Payload

C = TypeVar("C", bound=Config)
D = TypeVar("D")
P = TypeVar("P", bound=Payload)


class Headers(Mapping[str, str]):
    """Header fields by name, where upper and lower case count as the same. Values of a repeated field are joined with
    ", " (RFC 9110, 5.2).

    Values are text as servers pass it on: Latin-1, one character for each byte that arrived.
    """

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        repeated: dict[str, list[str]] = {}  # joined at the end: joining one by one takes quadratic time
        for name, value in fields:
            key = name.lower()
            if key in self._values:
                repeated.setdefault(key, [self._values[key]]).append(value)
            else:
                self._values[key] = value
        for key, several in repeated.items():
            self._values[key] = ", ".join(several)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: D) -> str | D: ...
    def get(self, name: str, default: D | None = None) -> str | D | None:
        return self._values.get(name.lower(), default)  # that of `Mapping` raises and catches an error

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def items(self) -> ItemsView[str, str]:
        return self._values.items()

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"


@dataclass(frozen=True)
class Request:
    """A request as its sender made it.

    `repr` shows only the method, the names of the headers and the time, because the rest may hold secrets. `url` is the
    public URL with its query, as the sender knows it; `received_at` is aware. `most` is the number of bytes that a body
    may have, also when it is decompressed. `documents` are what the sender publishes and a verifier needs, such as
    certificates, by their addresses.
    """

    method: str
    url: str = field(repr=False)
    headers: Headers
    body: bytes = field(repr=False)
    received_at: datetime
    most: int = 1_048_576
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @cached_property
    def value(self) -> Any:
        """Return the body, as it came, as a JSON value, where a form is an object. Return None if the body is neither
        JSON nor a form.

        Raises `Malformed` for a form that can't be read, and for JSON with too many parts. Verifiers read it before the
        sender is known, so a compressed body is not decompressed for it.
        """
        return content_of(self.body, self.headers.get("content-type", "")).value

    def parameters(self) -> list[tuple[str, str]]:
        """Return the names and values of the query's parameters, decoded, in the order of the query."""
        return parse_qsl(self.url.partition("#")[0].partition("?")[2], keep_blank_values=True)

    def query(self, name: str) -> list[str]:
        """Return all values of the query parameter `name`, decoded, in the order of the query."""
        return [value for key, value in self.parameters() if key == name]


@dataclass(frozen=True)
class Incoming(Generic[C]):
    """A webhook request that has proved to be authentic, with the configuration of the trigger that it came to."""

    request: Request
    config: C

    @cached_property
    def content(self) -> Content:
        """Return the content of the body, decompressed. Raises `Malformed` if the body can't be read."""
        request = self.request
        encoding = request.headers.get("content-encoding")
        body = decompressed(request.body, encoding, request.most) if encoding else request.body
        return content_of(body, request.headers.get("content-type", ""))

    def json(self) -> Any:
        """Return the JSON value of the body as it came. Raises `Malformed` if it is not JSON, or has too many parts."""
        try:
            return read_json(self.request.body)
        except TooManyParts as error:
            raise Malformed(f"The body is not read: {error}.") from error
        except ValueError as error:
            raise Malformed("The body is not JSON.") from error

    def parse(self, payload: type[P]) -> P:
        """Return the body, as it came, as a payload of this type. Raises `Malformed` if it has another shape."""
        return payload.of(self.request.body)
