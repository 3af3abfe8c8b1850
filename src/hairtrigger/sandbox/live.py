"""A poll as the service sees it: its fetches are performed here, and what it says is checked here."""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from hairtrigger.sandbox import failures
from hairtrigger.sandbox.code import (
    Entry,
    Fetch,
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Limits,
    Outcome,
    PollError,
    PollErrorKind,
    Program,
    Recording,
    ResponseTooLarge,
    Usage,
)
from hairtrigger.sandbox.frames import Frame, Kind, Malformed
from hairtrigger.sandbox.positions import UNKNOWN, Position, thrown_at, unparsable_at
from hairtrigger.sandbox.redaction import Redaction

_log = structlog.get_logger(__name__)

_NAME_CHARS = 100
_MESSAGE_CHARS = 2048
_SEED_BYTES = 16
_MOST_ENTRIES = 100_000


@dataclass(frozen=True)
class Tape:
    """Whether a poll is recorded, and what it is replayed from. Then nothing is fetched and nothing waited for."""

    recorded: bool = False
    entries: Sequence[Entry] | None = None
    heard: int | None = None

    @property
    def most(self) -> int:
        """More entries than these no poll can have: each costs CPU time."""
        return _MOST_ENTRIES if self.recorded else 0


class Live:
    """One poll from its start to its end. `number` is what its worker calls it."""

    def __init__(
        self,
        number: int,
        program: Program,
        fetch: Fetch,
        limits: Limits,
        send: Callable[[Frame], Awaitable[None]],
        tape: Tape,
    ) -> None:
        self._number = number
        self._program = _fixed(program)
        self._redacted = Redaction((*program.secrets.values(), *program.hidden))
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
        self._replayed = tape.entries
        self._hears = tape.heard
        self._entries: list[Entry] | None = [] if tape.recorded else None
        self._answers: dict[str, tuple[str, bytes]] = {}  # to fetches, for the recording

    @property
    def ended(self) -> bool:
        return self._end.done() and not self._end.cancelled()

    def opening(self, kind: Literal[Kind.RUN, Kind.CHECK]) -> Iterator[Frame]:
        """What the worker is told first."""
        assert self._program.seed is not None
        assert self._program.start is not None
        course = {
            "seed": self._program.seed.hex(),
            "start": round(self._program.start.timestamp() * 1000),
            "recorded": self._entries is not None,
            "replayed": self._replayed is not None,
        }
        yield Frame(kind, self._number, course, self._job() if kind is Kind.RUN else _json(self._program.code))
        if self._replayed is not None:
            for entry in self._replayed:
                head = {"at": entry.at, "fetch": entry.fetch, "answer": entry.answer}
                yield Frame(Kind.REPLAY, self._number, head, entry.body)
            yield Frame(Kind.REPLAY, self._number)

    def _job(self) -> bytes:
        """What the guest's `start` reads."""
        last_poll_time = self._program.last_poll_time.astimezone(UTC).isoformat(timespec="milliseconds")
        job = {
            "code": self._program.code,
            "inputs": dict(self._program.inputs),
            "secrets": dict(self._program.secrets),
            "lastPollTime": last_poll_time.replace("+00:00", "Z"),
            "limits": {
                "lines": self._limits.console_lines + 1,  # the last one tells that there were more
                "line": max(self._limits.console_line_chars, _MESSAGE_CHARS) + self._redacted.longest,
                "results": self._limits.result_count,
                "request": self._limits.request_bytes,
            },
        }
        return _json(job)

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
            case Kind.LOG:
                self._log(str(frame.head))
            case Kind.ENTERED if self._entries is not None:
                self._record(int(frame.head["at"]), frame.head["fetch"])
            case Kind.FETCH:
                self._begin_fetch(frame)
            case Kind.ABORT:
                if task := self._tasks.pop(str(frame.head["fetch"]), None):
                    task.cancel()
            case Kind.DONE:
                self._settle(self._done(frame))
            case Kind.FAILED:
                self._settle(self._failed(frame.head))

    def error(
        self,
        kind: PollErrorKind,
        name: str = "",
        message: str = "",
        position: Position = UNKNOWN,
        usage: Usage | None = None,
    ) -> PollError:
        if kind not in failures.THROWN or not message:
            name = name if kind is PollErrorKind.NOT_AN_ARRAY and name else failures.title(kind)
            message = failures.explanation(kind, self._limits)
        return PollError(
            kind,
            self._redacted(name, _NAME_CHARS),
            self._redacted(message, _MESSAGE_CHARS),
            position.line,
            tuple(self._console),
            column=position.column,
            usage=usage,
            recording=self._recording(),
        )

    def lost(self) -> None:
        """The worker is gone, and the poll with it."""
        self._settle(self.error(PollErrorKind.SANDBOX_FAULT))

    # The end.

    def _settle(self, end: Outcome | PollError) -> None:
        if not self._end.done():
            self._end.set_result(end)

    def _done(self, frame: Frame) -> Outcome | PollError:
        usage = self._usage(frame.head)
        try:
            value = json.loads(frame.body)
        except RecursionError:
            return self.error(PollErrorKind.RESULT_TOO_DEEP, usage=usage)
        except ValueError as error:
            raise Malformed(str(error)) from None
        if wrong := self._wrong(value):
            return self.error(wrong, usage=usage)
        if rb"\ud" in frame.body:  # half of a surrogate pair, which nothing can store
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return Outcome(value, tuple(self._console), usage, self._recording())

    def _wrong(self, value: Any) -> PollErrorKind | None:
        if not isinstance(value, list):
            return PollErrorKind.NOT_AN_ARRAY
        if len(value) > self._limits.result_count:
            return PollErrorKind.TOO_MANY_RESULTS
        return PollErrorKind.RESULT_TOO_DEEP if _depth(value) > self._limits.result_levels else None

    def _failed(self, head: Any) -> PollError:
        kind, name, message, stack = (str(head[key]) for key in ("kind", "name", "message", "stack"))
        usage = self._usage(head)
        if kind == "syntax_error":
            where = unparsable_at(stack, self._program.code)
            return self.error(PollErrorKind.JS_ERROR, name, message, where, usage)
        if kind == PollErrorKind.JS_ERROR:
            where = thrown_at(stack, self._program.code)
            return self.error(failures.kind_of(name, message, self._limits), name, message or name, where, usage)
        if kind == PollErrorKind.SANDBOX_FAULT:
            _log.error("a guest of the sandbox broke", reason=self._redacted(message, _MESSAGE_CHARS))
        return self.error(PollErrorKind(kind), name, message, usage=usage)

    def _usage(self, head: Any) -> Usage:
        return Usage(
            cpu=timedelta(seconds=float(head["cpu"])),
            wall=timedelta(seconds=time.monotonic() - self._started),
            fetches=self._fetches,
            response_bytes=self._response_bytes,
            memory_bytes=int(head.get("memory", 0)),
        )

    def _log(self, line: str) -> None:
        if len(self._console) == self._hears:
            return
        room = self._limits.console_lines - len(self._console)
        if room > 0:
            self._console.append(self._redacted(line, self._limits.console_line_chars))
        elif room == 0:
            self._console.append(failures.console_dropped(self._limits))

    # The recording.

    def _record(self, at: int, fetch: str | None) -> None:
        assert self._entries is not None
        answer, body = ("", b"") if fetch is None else self._answers.pop(fetch)
        self._entries.append(Entry(at, fetch, answer, body))

    def _recording(self) -> Recording | None:
        if self._entries is None:
            return None
        return Recording(self._program, tuple(self._entries), len(self._console))

    # Fetches.

    def _begin_fetch(self, frame: Frame) -> None:
        self._fetches += 1
        if self._fetches > self._limits.fetches:
            raise Malformed("more fetches than the worker may let through")
        if self._replayed is not None:
            return
        fetch = str(frame.head["fetch"])
        body = frame.body if frame.head["has_body"] else None
        task = self._group.create_task(self._perform(fetch, str(frame.head["request"]), body))
        self._tasks[fetch] = task

    async def _perform(self, fetch: str, request: str, body: bytes | None) -> None:
        try:
            async with self._turn:
                answer, content = await self._fetched(_request(request, body))
        except ResponseTooLarge as failed:
            self._response_bytes += failed.cost
            answer, content = self._refused(PollErrorKind.RESPONSE_TOO_LARGE)
        except FetchFailed as failed:
            self._response_bytes += failed.cost
            reason = self._redacted.whole(str(failed))
            _log.info("a fetch of polling code failed", reason=reason)
            answer, content = {"error": "fetch failed"}, b""
        self._tasks.pop(fetch, None)
        text = json.dumps(answer)
        if self._entries is not None:
            self._answers[fetch] = text, content
        await self._send(Frame(Kind.RESPONSE, self._number, {"fetch": fetch, "answer": text}, content))

    async def _fetched(self, request: HttpRequest) -> tuple[dict[str, Any], bytes]:
        if self._response_bytes > self._limits.total_bytes:
            return self._refused(PollErrorKind.RESPONSES_TOO_LARGE)
        return self._answer(await self._fetch(request))

    def _answer(self, response: HttpResponse) -> tuple[dict[str, Any], bytes]:
        self._response_bytes += max(len(response.body), response.cost)
        if len(response.body) > self._limits.response_bytes:
            return self._refused(PollErrorKind.RESPONSE_TOO_LARGE)
        if self._response_bytes > self._limits.total_bytes:
            return self._refused(PollErrorKind.RESPONSES_TOO_LARGE)
        answer = {
            "status": response.status,
            "statusText": response.status_text,
            "url": response.url,
            "redirected": response.redirected,
            "headers": response.headers,
        }
        return answer, response.body

    def _refused(self, kind: failures.FetchLimit) -> tuple[dict[str, Any], bytes]:
        return {"error": failures.refusal(kind, self._limits)}, b""


def _fixed(program: Program) -> Program:
    """With all that a replay of it will need."""
    if program.seed is not None and program.start is not None:
        return program
    return replace(
        program, seed=program.seed or secrets.token_bytes(_SEED_BYTES), start=program.start or datetime.now(UTC)
    )


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


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _depth(value: Any) -> int:
    """How many levels of arrays and objects there are, without recursion: it is as deep as its author likes."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth
