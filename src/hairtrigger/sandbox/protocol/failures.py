"""Recognises the failures of a poll of polling code, and explains each in a sentence for its user."""

from datetime import timedelta
from typing import Literal

from hairtrigger.sandbox.protocol.poll import HEAD_BYTES, Limits, PollErrorKind

FetchLimit = Literal[
    PollErrorKind.TOO_MANY_FETCHES,
    PollErrorKind.REQUEST_TOO_LARGE,
    PollErrorKind.RESPONSE_TOO_LARGE,
    PollErrorKind.RESPONSES_TOO_LARGE,
]

HEAD_TOO_LARGE = f"fetch failed: the URL and the headers are larger than {HEAD_BYTES} bytes"

# The names and messages of errors that JavaScript engines throw.
_OF_ENGINES = {
    ("InternalError", "out of memory"): PollErrorKind.MEMORY_LIMIT,
    ("InternalError", "out of memory in regexp execution"): PollErrorKind.MEMORY_LIMIT,
    ("RangeError", "Maximum call stack size exceeded"): PollErrorKind.STACK_LIMIT,
    ("InternalError", "stack overflow"): PollErrorKind.STACK_LIMIT,
}

THROWN = {  # errors that the engine or `fetch` throws in the code, so each has a name, a message and a line
    PollErrorKind.JS_ERROR,
    PollErrorKind.STACK_LIMIT,
    PollErrorKind.TOO_MANY_FETCHES,
    PollErrorKind.REQUEST_TOO_LARGE,
    PollErrorKind.RESPONSE_TOO_LARGE,
    PollErrorKind.RESPONSES_TOO_LARGE,
}


def kind_of(name: str, message: str, limits: Limits) -> PollErrorKind:
    """Return the kind of an error that polling code threw and did not catch, from the error's name and message.

    Code can forge the errors of all kinds, but that changes only what its own user is told.
    """
    if name == "TypeError" and message.startswith("fetch failed: "):
        return next((kind for kind, text in _refusals(limits).items() if text == message), PollErrorKind.JS_ERROR)
    return _OF_ENGINES.get((name, message), PollErrorKind.JS_ERROR)


def refusal(kind: FetchLimit, limits: Limits) -> str:
    """Return the message of the `TypeError` that a fetch throws in polling code if it goes beyond this limit."""
    return _refusals(limits)[kind]


def _refusals(limits: Limits) -> dict[PollErrorKind, str]:
    return {
        PollErrorKind.TOO_MANY_FETCHES: f"fetch failed: this poll made more than {limits.fetches} fetches",
        PollErrorKind.REQUEST_TOO_LARGE: f"fetch failed: the request is larger than {limits.request_bytes} bytes",
        PollErrorKind.RESPONSE_TOO_LARGE: f"fetch failed: the response is larger than {limits.response_bytes} bytes",
        PollErrorKind.RESPONSES_TOO_LARGE: (
            f"fetch failed: the responses of this poll are larger than {limits.total_bytes} bytes"
        ),
    }


def title(kind: PollErrorKind) -> str:
    """Return a name for a kind of failure in which the code threw no error with a name of its own, for example
    `CpuLimit`.
    """
    return "".join(word.capitalize() for word in kind.split("_"))


def explanation(kind: PollErrorKind, limits: Limits) -> str:
    match kind:
        case PollErrorKind.JS_ERROR:
            return "The code threw something that says nothing."
        case PollErrorKind.CPU_LIMIT:
            return f"The code used more than {_milliseconds(limits.cpu)} ms of CPU time."
        case PollErrorKind.WALL_LIMIT:
            return f"The code was not done after {limits.wall.total_seconds():g} seconds."
        case PollErrorKind.MEMORY_LIMIT:
            return f"The code used more than {limits.memory_bytes} bytes of memory."
        case PollErrorKind.STACK_LIMIT:
            return "The code calls functions too deeply inside each other."
        case PollErrorKind.TOO_MANY_FETCHES:
            return f"The code made more than {limits.fetches} fetches."
        case PollErrorKind.REQUEST_TOO_LARGE:
            return f"The code sent a request of more than {limits.request_bytes} bytes."
        case PollErrorKind.RESPONSE_TOO_LARGE:
            return f"The code received a response of more than {limits.response_bytes} bytes."
        case PollErrorKind.RESPONSES_TOO_LARGE:
            return f"The code received more than {limits.total_bytes} bytes in all."
        case PollErrorKind.RESULT_TOO_LARGE:
            return f"The code returned events of more than {limits.result_bytes} bytes."
        case PollErrorKind.TOO_MANY_RESULTS:
            return f"The code returned more than {limits.result_count} events."
        case PollErrorKind.TOO_MANY_VALUES:
            return f"The code returned events of more than {limits.result_values} values in all."
        case PollErrorKind.RESULT_TOO_DEEP:
            return f"The code returned events of more than {limits.result_levels} levels inside each other."
        case PollErrorKind.NOT_AN_ARRAY:
            return "The code must return an array of events."
        case PollErrorKind.NEVER_SETTLES:
            return "The code awaits something that can never happen."
        case PollErrorKind.SANDBOX_FAULT:
            return "The sandbox broke down while it ran the code. The code may not be the cause."
        case PollErrorKind.WORKER_LOST:
            return "The process that ran the code ended, and so did a second one in which the code ran alone."


def console_dropped(limits: Limits) -> str:
    """Return the note that replaces the last line of a poll's console if the poll wrote more lines than the console
    keeps.
    """
    return f"The console keeps {limits.console_lines} lines. What came after them was dropped."


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
