"""The values that go into a poll of polling code, and those that come out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

MEBIBYTE = 1024 * 1024
MOST_ENTRIES = 100_000  # of a recording: each entry costs CPU time, so no poll within its CPU limit has more
HEAD_BYTES = 128 * 1024  # of a request's URL and headers together, as JSON


@dataclass(frozen=True)
class HttpRequest:
    """A request that polling code gave to `fetch`. It is not checked against any policy yet."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    redirect: Literal["follow", "error", "manual"]


@dataclass(frozen=True)
class HttpResponse:
    """The final answer to a request. Its body is decoded from all content codings; `url` is the URL that answered."""

    status: int
    status_text: str
    url: str = field(repr=False)
    redirected: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    cost: int = 0
    """The bytes that the answer counts as, if its body has fewer: compressed data and tiny pieces cost more to read."""


class FetchFailed(Exception):
    """The request got no answer. Code sees `TypeError: fetch failed`; the reason is for the operator only.

    `cost` is the number of bytes that were read before the request failed. `told` is what code may know of the reason.
    """

    def __init__(self, reason: str = "", cost: int = 0, told: str = "") -> None:
        super().__init__(reason)
        self.cost = cost
        self.told = told


class ResponseTooLarge(FetchFailed):
    """The answer is larger than a poll may receive."""


Fetch = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class Program:
    """Polling code and the values it reads. `last_poll_time` is aware; code sees it as an ISO 8601 string in UTC."""

    code: str
    inputs: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    last_poll_time: datetime
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """Further values that must not be shown: inputs that are passwords."""
    seed: bytes | None = field(default=None, repr=False)
    """The 16 bytes from which all randomness of the program comes, or None for new ones in every poll."""
    start: datetime | None = None
    """The time that the program's clock shows at the start, or None for the current time."""
    skip: tuple[str, ...] = ()
    """The ids of items that are left out of the result if it is too large to be returned at once."""
    tenant: str = ""
    """Programs of one tenant share a sandbox worker; other programs on it may belong to other tenants."""
    project: str = ""
    """The projects of a tenant share what the tenant has."""


@dataclass(frozen=True)
class Entry:
    """A time at which the code went on: with the answer to a fetch, or else with the timers that were due.

    `at` is in milliseconds since 1970.
    """

    at: int
    fetch: str | None = None
    answer: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Recording:
    """All that a poll was given. Whenever it is replayed, the same code does the same.

    A recording does not hold what depends on the machine: a poll that ended at its CPU limit may get further the next
    time.
    """

    program: Program
    entries: tuple[Entry, ...]
    heard: int
    """The number of the poll's console lines.

    A replay keeps no more, because the poll may have been given up before it wrote more.
    """


@dataclass(frozen=True)
class Limits:
    """The limits of one poll. `cpu` counts only the poll's own JavaScript, however long the poll waits.

    The work of the service to read the answers is counted in `total_bytes`: costly bytes count as more than one.
    """

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
    result_levels: int = 200
    result_values: int = 50_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Usage:
    cpu: timedelta
    wall: timedelta
    fetches: int
    response_bytes: int
    memory_bytes: int = 0
    """The peak of the poll's own memory, or 0 if it is not known."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a poll that returned an array: its events as JSON, and the lines that it wrote to the console.

    If the array was too large to be returned at once, `value` has its first items, and `rest` the ids of the others.
    """

    value: list[Any]
    console: tuple[str, ...]
    usage: Usage
    rest: tuple[str, ...] = ()
    recording: Recording | None = field(default=None, compare=False, repr=False)


class PollErrorKind(StrEnum):
    JS_ERROR = "js_error"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    STACK_LIMIT = "stack_limit"
    TOO_MANY_FETCHES = "too_many_fetches"
    REQUEST_TOO_LARGE = "request_too_large"
    RESPONSE_TOO_LARGE = "response_too_large"
    RESPONSES_TOO_LARGE = "responses_too_large"
    RESULT_TOO_LARGE = "result_too_large"
    TOO_MANY_RESULTS = "too_many_results"
    TOO_MANY_VALUES = "too_many_values"
    RESULT_TOO_DEEP = "result_too_deep"
    NOT_AN_ARRAY = "not_an_array"
    NEVER_SETTLES = "never_settles"
    SANDBOX_FAULT = "sandbox_fault"
    WORKER_LOST = "worker_lost"


class PollError(Exception):
    """Polling code did not return events.

    `line` and `column` are positions in the user's own code. They count from 1, and the column in UTF-16 units, as in
    editors; they are None if they are not known. No text holds a secret.
    """

    def __init__(
        self,
        kind: PollErrorKind,
        name: str,
        message: str,
        line: int | None = None,
        console: tuple[str, ...] = (),
        *,
        column: int | None = None,
        usage: Usage | None = None,
        recording: Recording | None = None,
    ) -> None:
        super().__init__(f"{name}: {message}")
        self.kind = kind
        self.name = name
        self.message = message
        self.line = line
        self.column = column
        self.console = console
        self.usage = usage
        self.recording = recording


class SyntaxProblem(Exception):
    """The code cannot be compiled. `line` and `column` are as in `PollError`."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(f"{message}{place(line, column)}")
        self.message = message
        self.line = line
        self.column = column


def place(line: int | None, column: int | None) -> str:
    """Return the position to put after a message, such as ` (line 2, column 5)`, as far as it is known."""
    if line is None:
        return ""
    return f" (line {line})" if column is None else f" (line {line}, column {column})"
