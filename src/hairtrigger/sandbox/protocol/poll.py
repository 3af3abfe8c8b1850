"""Defines the values that go into a poll of polling code, and those that come out of it."""

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
    """A request that polling code gave to `fetch`. Whether it may be sent has not been checked yet."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    redirect: Literal["follow", "error", "manual"]


@dataclass(frozen=True)
class HttpResponse:
    """The final answer to a request. Its body is decompressed, and `url` is the URL that answered, which differs from
    that of the request after redirects.
    """

    status: int
    status_text: str
    url: str = field(repr=False)
    redirected: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    cost: int = 0
    """The number of bytes as which the body counts if it has fewer.

    Compressed data and tiny pieces cost more to read than other bytes.
    """


class FetchFailed(Exception):
    """The request got no answer. `reason` is for the operator's log only.

    Polling code sees `TypeError: fetch failed`, followed by `told`, which is as much of the reason as the code may
    know. `cost` is the number of bytes that were read before the request failed.
    """

    def __init__(self, reason: str = "", cost: int = 0, told: str = "") -> None:
        super().__init__(reason)
        self.cost = cost
        self.told = told


class ResponseTooLarge(FetchFailed):
    """The answer to a request is larger than one response may be."""


Fetch = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class Program:
    """Polling code with the values that it reads. The code sees `last_poll_time`, an aware time, as ISO 8601 text in
    UTC.
    """

    code: str
    inputs: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    last_poll_time: datetime
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """Further values that must not be shown, which are inputs that are passwords."""
    seed: bytes | None = field(default=None, repr=False)
    """The 16 bytes from which all randomness of the program comes. None stands for new random bytes in every poll."""
    start: datetime | None = None
    """The time that the program's clock shows at the start, or None for the current time."""
    skip: tuple[str, ...] = ()
    """The ids of items that the caller has already. If the result is too large to be returned at once, these items are
    left out of it.
    """
    tenant: str = ""
    """The id of the organisation. All its programs run in one sandbox worker, which programs of other organisations
    share.
    """
    project: str = ""
    """The id of the project. The projects of an organisation share its places fairly."""


@dataclass(frozen=True)
class Entry:
    """A step of a recording: at the time `at`, the code went on with the answer to the fetch `fetch`.

    If `fetch` is None, it went on with the timers that were due. `at` is in milliseconds since 1970.
    """

    at: int
    fetch: str | None = None
    answer: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Recording:
    """A record of all that a poll was given, with which the same code does the same in each replay.

    It does not hold what depends on the machine. So a poll that ended at its CPU limit may get further in a replay.
    """

    program: Program
    entries: tuple[Entry, ...]
    heard: int
    """How many of the poll's console lines the service had kept when the poll ended or was given up. A replay keeps no
    more.
    """


@dataclass(frozen=True)
class Limits:
    """The limits of one poll. `cpu` limits the CPU time of its JavaScript, and `wall` the time from its start to its
    end.

    `total_bytes` limits all responses together. Bytes that cost the service much work to read count there as more than
    one.
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
    """The outcome of a poll whose code returned an array, with the lines that the code wrote to the console.

    `value` has the items as parsed JSON, not redacted. If the array was too large to be returned at once, `value` has
    the first items, and `rest` the ids of the others.
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
    """The poll failed, because the code did not return events within its limits, or because the sandbox broke down.

    `line` and `column` are the position of the error in the user's code. Both count from 1, and the column counts
    UTF-16 units, as editors do. They are None if they are not known. Secrets are redacted in all texts.
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
    """Return the text to put after a message, such as ` (line 2, column 5)`. It is empty if no line is known."""
    if line is None:
        return ""
    return f" (line {line})" if column is None else f" (line {line}, column {column})"
