"""What goes into a poll of a user's JavaScript and what comes out."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class HttpRequest:
    """What polling code asked `fetch` for. It is not checked against any policy yet."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    redirect: Literal["follow", "error", "manual"]


@dataclass(frozen=True)
class HttpResponse:
    """The final answer, its body decoded from any content coding. `url` is the one that gave it."""

    status: int
    status_text: str
    url: str
    redirected: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes


class FetchFailed(Exception):
    """The request got no answer. Code sees `TypeError: fetch failed`; the reason is for the operator only."""


Fetch = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class Program:
    """Polling code and what it reads. `last_poll_time` is aware; code sees it as an ISO 8601 string in UTC."""

    code: str
    inputs: Mapping[str, Any]
    secrets: Mapping[str, str]
    last_poll_time: datetime


@dataclass(frozen=True)
class Limits:
    """What one poll may use. `cpu` counts its own JavaScript only, however long it waits or shares a processor."""

    cpu: timedelta = timedelta(milliseconds=250)
    wall: timedelta = timedelta(seconds=30)
    memory_bytes: int = 48 * MEBIBYTE
    fetches: int = 50
    concurrent_fetches: int = 6
    response_bytes: int = 2 * MEBIBYTE
    total_bytes: int = 10 * MEBIBYTE
    request_bytes: int = MEBIBYTE
    console_lines: int = 100
    console_line_chars: int = 2048
    result_bytes: int = MEBIBYTE
    result_count: int = 1000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Usage:
    cpu: timedelta
    wall: timedelta
    fetches: int
    response_bytes: int


@dataclass(frozen=True)
class Outcome:
    """A poll that returned an array: its events as JSON, and what it wrote to the console."""

    value: list[Any]
    console: tuple[str, ...]
    usage: Usage


class PollErrorKind(StrEnum):
    JS_ERROR = "js_error"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    TOO_MANY_FETCHES = "too_many_fetches"
    RESULT_TOO_LARGE = "result_too_large"
    NOT_AN_ARRAY = "not_an_array"
    NEVER_SETTLES = "never_settles"
    SANDBOX_FAULT = "sandbox_fault"


class PollError(Exception):
    """Polling code did not return events. `line` is the user's own, counted from 1; no secret is in any text."""

    def __init__(
        self, kind: PollErrorKind, name: str, message: str, line: int | None = None, console: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{name}: {message}")
        self.kind = kind
        self.name = name
        self.message = message
        self.line = line
        self.console = console


class SyntaxProblem(Exception):
    """The code cannot be compiled. `column` is None where the engine gives none that is right."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class Redaction:
    """Puts `***` where a secret's value stands in a text."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        values = sorted(filter(None, set(secrets.values())), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, values)) or r"(?!)")
        self.longest = len(values[0]) if values else 0

    def __call__(self, text: str, length: int) -> str:
        """The first `length` characters of `text`. A secret that the cut would halve is whole in
        `text[: length + longest]` and vanishes as a whole."""
        parts: list[str] = []
        end = 0
        for match in self._pattern.finditer(text, 0, length + self.longest):
            if match.start() >= length:
                break
            parts += text[end : match.start()], "***"
            end = match.end()
        return "".join(parts) + text[end:length]
