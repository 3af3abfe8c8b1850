"""Defines how bytes from outside are parsed, in a locked process that may be ended."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@dataclass(frozen=True)
class Parser(Generic[T]):
    """A function that turns bytes into records, and the shape of the records.

    `read` is called as `read(data, **hints)` in a process of its own, so it must be a function of a module and not a
    closure. It yields JSON values, which the service's process checks against `shape`, and may raise `ProviderFailed`.
    """

    read: Callable[..., Iterable[Any]]
    shape: TypeAdapter[T]


class Parse(Protocol):
    """A function that parses bytes with a parser in the parsing process, and yields the records.

    Raises `ProviderFailed` for bytes that can't be read, and `ParseKilled` for bytes that cost too much to read. The
    event loop can run other tasks between two records.
    """

    def __call__(self, parser: Parser[T], data: bytes, **hints: str) -> AsyncIterator[T]: ...
