"""A poll as the service sees it: its fetches are performed here, and what it says is checked here."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import structlog

from hairtrigger.sandbox.code import (
    Fetch,
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Limits,
    Outcome,
    PollError,
    PollErrorKind,
    Program,
    Redaction,
    Usage,
)
from hairtrigger.sandbox.frames import Frame, Kind, Malformed

_log = structlog.get_logger(__name__)

_DEEPEST = 200  # levels of a result: what every reader of JSON after us can follow
_LINES_BEFORE_CODE = 2  # of the function that the engine makes of it
_NAME_CHARS = 100
_RUN_LINE = re.compile(r"\(<input>:(\d{1,6}):\d+\)")
_SYNTAX_LINE = re.compile(r"at <input>:(\d{1,6}):\d+")


class Live:
    """One poll from its start to its end. `number` is what its worker calls it."""

    def __init__(
        self, number: int, program: Program, fetch: Fetch, limits: Limits, send: Callable[[Frame], None]
    ) -> None:
        self._number = number
        self._program = program
        self._redacted = Redaction(program.secrets)
        self._fetch = fetch
        self._limits = limits
        self._send = send
        self._started = time.monotonic()
        self._end: asyncio.Future[Outcome | PollError] = asyncio.get_running_loop().create_future()
        self._console: list[str] = []
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(limits.concurrent_fetches)
        self._fetches = 0
        self._response_bytes = 0

    @property
    def ended(self) -> bool:
        return self._end.done() and not self._end.cancelled()

    def job(self) -> bytes:
        """What the guest's `start` reads."""
        last_poll_time = self._program.last_poll_time.astimezone(UTC).isoformat(timespec="milliseconds")
        job = {
            "code": self._program.code,
            "inputs": dict(self._program.inputs),
            "secrets": dict(self._program.secrets),
            "lastPollTime": last_poll_time.replace("+00:00", "Z"),
            "limits": {
                "lines": self._limits.console_lines,
                "line": self._limits.console_line_chars + self._redacted.longest,
                "results": self._limits.result_count,
            },
        }
        return json.dumps(job).encode()

    async def outcome(self) -> Outcome:
        async with self._group:
            end = await self._end
            for task in self._tasks.values():
                task.cancel()
        if isinstance(end, PollError):
            raise end
        return end

    def receive(self, frame: Frame) -> None:
        if self._end.done():  # or given up: what it still asks for is not begun
            return
        match frame.kind:
            case Kind.LOG if len(self._console) < self._limits.console_lines:
                self._console.append(self._redacted(str(frame.head), self._limits.console_line_chars))
            case Kind.FETCH:
                self._begin_fetch(frame)
            case Kind.ABORT:
                if task := self._tasks.pop(str(frame.head["fetch"]), None):
                    task.cancel()
            case Kind.DONE:
                self._settle(self._done(frame))
            case Kind.FAILED:
                self._settle(self._failed(frame.head))

    def error(self, kind: PollErrorKind, name: str = "", message: str = "", line: int | None = None) -> PollError:
        console = tuple(self._console)
        if kind not in (PollErrorKind.JS_ERROR, PollErrorKind.NOT_AN_ARRAY) or not message:
            name = name or "".join(word.capitalize() for word in kind.split("_"))
            message = _message(kind, self._limits)
        return PollError(
            kind,
            self._redacted(name, _NAME_CHARS),
            self._redacted(message, self._limits.console_line_chars),
            line,
            console,
        )

    def lost(self) -> None:
        """The worker is gone, and the poll with it."""
        self._settle(self.error(PollErrorKind.SANDBOX_FAULT))

    # The end.

    def _settle(self, end: Outcome | PollError) -> None:
        if not self._end.done():
            self._end.set_result(end)

    def _done(self, frame: Frame) -> Outcome | PollError:
        try:
            value = json.loads(frame.body)
        except RecursionError:
            return self.error(PollErrorKind.RESULT_TOO_LARGE)
        except ValueError as error:
            raise Malformed(str(error)) from None
        if not isinstance(value, list):
            return self.error(PollErrorKind.NOT_AN_ARRAY)
        if len(value) > self._limits.result_count or _depth(value) > _DEEPEST:
            return self.error(PollErrorKind.RESULT_TOO_LARGE)
        if rb"\ud" in frame.body:  # half of a surrogate pair, which nothing can store
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        usage = Usage(
            cpu=timedelta(seconds=float(frame.head["cpu"])),
            wall=timedelta(seconds=time.monotonic() - self._started),
            fetches=self._fetches,
            response_bytes=self._response_bytes,
        )
        return Outcome(value, tuple(self._console), usage)

    def _failed(self, head: Any) -> PollError:
        kind, name, message, stack = (str(head[key]) for key in ("kind", "name", "message", "stack"))
        if kind == "syntax_error":
            return self.error(PollErrorKind.JS_ERROR, name, message, self._line(_SYNTAX_LINE, stack))
        if kind == PollErrorKind.JS_ERROR:
            return self.error(PollErrorKind.JS_ERROR, name, message or name, self._line(_RUN_LINE, stack))
        if kind == PollErrorKind.SANDBOX_FAULT:
            _log.error("a guest of the sandbox broke", reason=self._redacted(message, self._limits.console_line_chars))
        return self.error(PollErrorKind(kind), name, message)

    def _line(self, pattern: re.Pattern[str], stack: str) -> int | None:
        """The first line of the user's in a stack. An error at the end of the code is on its last line."""
        match = pattern.search(stack)
        line = int(match[1]) - _LINES_BEFORE_CODE if match else 0
        return min(line, self._program.code.count("\n") + 1) if line > 0 else None

    # Fetches.

    def _begin_fetch(self, frame: Frame) -> None:
        self._fetches += 1
        if self._fetches > self._limits.fetches:
            raise Malformed("more fetches than the worker may let through")
        fetch = str(frame.head["fetch"])
        body = frame.body if frame.head["has_body"] else None
        task = self._group.create_task(self._perform(fetch, str(frame.head["request"]), body))
        self._tasks[fetch] = task

    async def _perform(self, fetch: str, request: str, body: bytes | None) -> None:
        try:
            async with self._turn:
                response = await self._fetch(_request(request, body))
            answer, content = self._answer(response)
        except FetchFailed as failed:
            reason = self._redacted(str(failed), self._limits.console_line_chars)
            _log.info("a fetch of polling code failed", reason=reason)
            answer, content = {"error": "fetch failed"}, b""
        self._tasks.pop(fetch, None)
        self._send(Frame(Kind.RESPONSE, self._number, {"fetch": fetch, "answer": json.dumps(answer)}, content))

    def _answer(self, response: HttpResponse) -> tuple[dict[str, Any], bytes]:
        self._response_bytes += len(response.body)
        for size, most, what in (
            (len(response.body), self._limits.response_bytes, "the response is"),
            (self._response_bytes, self._limits.total_bytes, "the responses of this poll are"),
        ):
            if size > most:
                return {"error": f"fetch failed: {what} larger than {most} bytes"}, b""
        answer = {
            "status": response.status,
            "statusText": response.status_text,
            "url": response.url,
            "redirected": response.redirected,
            "headers": response.headers,
        }
        return answer, response.body


def _request(text: str, body: bytes | None) -> HttpRequest:
    """The request as code made it. Its classes check it, but code can break those."""
    try:
        match json.loads(text):
            case {
                "method": str(method),
                "url": str(url),
                "headers": list(headers),
                "redirect": "follow" | "error" | "manual" as redirect,
            }:
                pairs = tuple((str(name), str(value)) for name, value in headers)
                return HttpRequest(method, url, pairs, body, redirect)
    except (ValueError, TypeError, RecursionError):
        pass
    raise FetchFailed("What polling code asked for is not a request.")


def _message(kind: PollErrorKind, limits: Limits) -> str:
    match kind:
        case PollErrorKind.JS_ERROR:
            return "The code threw something that says nothing."
        case PollErrorKind.CPU_LIMIT:
            return f"The code used more than {_milliseconds(limits.cpu)} ms of CPU time."
        case PollErrorKind.WALL_LIMIT:
            return f"The code was not done after {limits.wall.total_seconds():g} seconds."
        case PollErrorKind.MEMORY_LIMIT:
            return f"The code used more than {limits.memory_bytes} bytes of memory."
        case PollErrorKind.TOO_MANY_FETCHES:
            return f"The code made more than {limits.fetches} fetches."
        case PollErrorKind.RESULT_TOO_LARGE:
            return f"The code returned more than {limits.result_count} events or {limits.result_bytes} bytes."
        case PollErrorKind.NOT_AN_ARRAY:
            return "The code must return an array of events."
        case PollErrorKind.NEVER_SETTLES:
            return "The code awaits something that can never happen."
        case PollErrorKind.SANDBOX_FAULT:
            return "The sandbox broke down while it ran the code. The code may not be the cause."


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


def _depth(value: Any) -> int:
    """How many levels of arrays and objects there are, without recursion: it is as deep as its author likes."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth
