"""How a provider file reads what strangers wrote: in a process that may be ended, behind a wall."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@dataclass(frozen=True)
class Parser(Generic[T]):
    """What turns bytes into records.

    `read` is called as `read(data, **hints)` in a process of its own, so it is a function of a module, not a closure.
    It yields JSON, which is checked against `shape` on this side of the wall, and may raise `ProviderFailed`.
    """

    read: Callable[..., Iterable[Any]]
    shape: TypeAdapter[T]


class Parse(Protocol):
    """The way to the process that parses. Raises `ProviderFailed` for what cannot be read, and `ParseKilled` for what
    costs too much to be read. The event loop gets its turn between records.
    """

    def __call__(self, parser: Parser[T], data: bytes, **hints: str) -> AsyncIterator[T]: ...
