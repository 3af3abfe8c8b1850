"""What goes into a poll of a user's JavaScript and what comes out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

MEBIBYTE = 1024 * 1024
MOST_ENTRIES = 100_000  # of a recording: each costs CPU time, so no poll within its limit has more
HEAD_BYTES = 128 * 1024  # of a request's URL and headers together, as JSON


@dataclass(frozen=True)
class HttpRequest:
    """What polling code asked `fetch` for. It is not checked against any policy yet."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    redirect: Literal["follow", "error", "manual"]


@dataclass(frozen=True)
class HttpResponse:
    """The final answer, its body decoded from any content coding. `url` is the one that gave it."""

    status: int
    status_text: str
    url: str = field(repr=False)
    redirected: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    cost: int = 0
    """It counts as so many bytes, if its body has fewer: what is compressed or comes in crumbs may be costly."""


class FetchFailed(Exception):
    """The request got no answer. Code sees `TypeError: fetch failed`; the reason is for the operator only.

    `cost` is the bytes that were read in vain.
    """

    def __init__(self, reason: str = "", cost: int = 0) -> None:
        super().__init__(reason)
        self.cost = cost


class ResponseTooLarge(FetchFailed):
    """The answer is larger than a poll may receive."""


Fetch = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class Program:
    """Polling code and what it reads. `last_poll_time` is aware; code sees it as an ISO 8601 string in UTC."""

    code: str
    inputs: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    last_poll_time: datetime
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """What else must not be shown: inputs that are passwords."""
    seed: bytes | None = field(default=None, repr=False)
    """16 bytes, from which all its randomness comes. None: new ones for every poll."""
    start: datetime | None = None
    """What its clock shows at the start. None: what ours shows."""
    tenant: str = ""
    """Programs of one share a worker process; programs of different ones seldom do."""


@dataclass(frozen=True)
class Entry:
    """The code went on at `at`, in milliseconds since 1970: for the answer to a fetch, or for the timers then due."""

    at: int
    fetch: str | None = None
    answer: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Recording:
    """All that a poll was given. The same code does the same with it, whenever it runs again.

    What depends on the machine is not in it: a poll that ended at its CPU limit may get further the next time.
    """

    program: Program
    entries: tuple[Entry, ...]
    heard: int
    """Lines of its console: one that was given up may have been about to say more."""


@dataclass(frozen=True)
class Limits:
    """What one poll may use. `cpu` counts its own JavaScript only, however long it waits or shares a processor.

    What the service has to do to read the answers is counted in `total_bytes`: bytes that are costly count as more.
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
    """At its peak, in the poll's own memory. 0 where it is not known."""


@dataclass(frozen=True)
class Outcome:
    """A poll that returned an array: its events as JSON, and what it wrote to the console."""

    value: list[Any]
    console: tuple[str, ...]
    usage: Usage
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

    `line` and `column` are the user's own, counted from 1, the column in UTF-16 units as editors count; None where
    they are not known. No secret is in any text.
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
    """` (line 2, column 5)`, as far as that is known: what follows a message."""
    if line is None:
        return ""
    return f" (line {line})" if column is None else f" (line {line}, column {column})"
