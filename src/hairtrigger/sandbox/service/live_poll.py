"""Follows a poll on the side of the service, which performs the poll's fetches and checks its frames."""

import asyncio
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from hairtrigger.sandbox.protocol import failures
from hairtrigger.sandbox.protocol.frames import Frame, Kind, Malformed
from hairtrigger.sandbox.protocol.poll import (
    HEAD_BYTES,
    MOST_ENTRIES,
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
from hairtrigger.sandbox.service.positions import UNKNOWN, Position, thrown_at, unparsable_at
from hairtrigger.sandbox.service.redaction import Redaction
from hairtrigger.sandbox.service.slices import in_slices

_log = structlog.get_logger(__name__)

_NAME_CHARS = 100
_MESSAGE_CHARS = 2048
_SEED_BYTES = 16
_LATEST = 2**53  # milliseconds since 1970
_MOST_COMPARED = 100_000  # comparisons of one poll's texts with its secrets: below 0.3 seconds of CPU time


@dataclass(frozen=True)
class Mode:
    """The mode in which a poll runs: it is recorded, or replayed from the `entries` of a recording, or neither.

    A replay fetches nothing, waits for nothing, and keeps no more than `heard` console lines.
    """

    recorded: bool = False
    entries: Sequence[Entry] | None = None
    heard: int | None = None

    @property
    def most(self) -> int:
        """Return the greatest number of entries that the poll may add to its recording."""
        return MOST_ENTRIES if self.recorded else 0


@dataclass(frozen=True)
class Returned:
    """The end of a poll whose code returned a value. `body` is the value as JSON, and `rest` holds the ids of the items
    that were left out of it.
    """

    usage: Usage
    body: bytes
    rest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The end of a poll without a usable result, because its code threw, was ended, or returned a refused value.

    Secrets are not redacted yet in `name` and `message`.
    """

    kind: PollErrorKind
    name: str = ""
    message: str = ""
    position: Position = UNKNOWN
    usage: Usage | None = None


Ended = Returned | Failed
LOST = Failed(PollErrorKind.WORKER_LOST)
MOVED = Failed(PollErrorKind.WORKER_LOST, "moved")  # the poll has not begun, and runs elsewhere


class LivePoll:
    """One poll, from its start to its end. `number` identifies the poll in the frames to and from its sandbox
    worker.
    """

    def __init__(
        self,
        number: int,
        program: Program,
        fetch: Fetch,
        limits: Limits,
        send: Callable[[Frame], Awaitable[None]],
        mode: Mode,
    ) -> None:
        self._number = number
        self.tenant = program.tenant
        self._program = fixed(program)
        self._redaction = Redaction((*program.secrets.values(), *program.hidden), _MOST_COMPARED)
        self._fetch = fetch
        self._limits = limits
        self._send = send
        self._started = time.monotonic()
        self.heard = False  # its sandbox worker has sent a frame about it
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._console: list[str] = []
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(limits.concurrent_fetches)
        self._fetches = 0
        self._asked: set[str] = set()  # the numbers of the fetches that the guest has asked for
        self._response_bytes = 0
        self._replayed = mode.entries
        self._hears = mode.heard
        self._entries: list[Entry] | None = [] if mode.recorded else None
        self._answers: dict[str, tuple[str, bytes]] = {}  # by fetch, until they are recorded

    def opening(self, kind: Literal[Kind.RUN, Kind.CHECK]) -> Iterator[Frame]:
        """Yield the frames that begin the poll, with the whole recording if it is a replay."""
        assert self._program.seed is not None
        assert self._program.start is not None
        course = {
            "seed": self._program.seed.hex(),
            "start": round(self._program.start.timestamp() * 1000),
            "recorded": self._entries is not None,
            "replayed": self._replayed is not None,
            "line": self._line,
            "tenant": self._program.tenant,
        }
        yield Frame(kind, self._number, course, self._job() if kind is Kind.RUN else _json(self._program.code))
        if self._replayed is not None:
            for entry in self._replayed:
                head = {"at": entry.at, "fetch": entry.fetch, "answer": entry.answer}
                yield Frame(Kind.REPLAY, self._number, head, entry.body)
            yield Frame(Kind.REPLAY, self._number)

    @property
    def _line(self) -> int:
        """Return the length, in UTF-16 units, to which the sandbox worker cuts a console line or an error message.

        If the poll has secrets, the length is greater than what is shown, so that a secret at the cut is still
        recognised.
        """
        return max(self._limits.console_line_chars, _MESSAGE_CHARS) + self._redaction.longest

    def _job(self) -> bytes:
        """Return the job that the guest's entry `start` reads, as JSON."""
        last_poll_time = self._program.last_poll_time.astimezone(UTC).isoformat(timespec="milliseconds")
        job = {
            "code": self._program.code,
            "inputs": dict(self._program.inputs),
            "secrets": dict(self._program.secrets),
            "lastPollTime": last_poll_time.replace("+00:00", "Z"),
            "skip": self._program.skip,
            "limits": {
                "lines": self._limits.console_lines + 1,  # the last one shows that there were more
                "line": self._line,
                "results": self._limits.result_count,
                "bytes": self._limits.result_bytes,
                "request": self._limits.request_bytes,
            },
        }
        return _json(job)

    async def ended(self) -> Ended:
        """Perform the poll's fetches until it ends, and return its end."""
        async with self._group:
            end = await self._end
            for task in self._tasks.values():
                task.cancel()
        return end

    def gave_up(self, kind: PollErrorKind) -> Failed:
        """End the poll with this kind of failure, without waiting for the sandbox worker, and return the failure.

        The guest still runs then. `WorkerProcess.poll` stops it afterwards.
        """
        end = Failed(kind)
        self._settle(end)
        return end

    async def outcome(self, end: Ended) -> Outcome:
        """Return the outcome of the poll that ended with `end`, or raise `PollError` if the poll failed. Secrets are
        redacted in the console and in the error, but not in the value that the code returned.

        The work is done in slices, so that other tasks can run even if the result is large.
        """
        console = [await self._redacted(line, self._limits.console_line_chars) for line in self._console]
        if len(self._console) > self._limits.console_lines:
            console[-1] = failures.console_dropped(self._limits)
        wrong = end if isinstance(end, Failed) else None
        value: Any = None
        if isinstance(end, Returned):
            value, wrong = await self._read(end)
        if wrong:
            raise await self._error(wrong, tuple(console))
        assert isinstance(end, Returned)
        return Outcome(value, tuple(console), end.usage, end.rest, self._recording())

    def receive(self, frame: Frame) -> None:
        """Handle a frame of the sandbox worker about this poll, or do nothing if the poll has ended.

        Raises `Malformed` for a frame that a sandbox worker may not send, or another error that one of the frame's
        values causes.
        """
        self.heard = True
        if self._end.done():  # or the service gave the poll up: its further fetches are not begun
            return
        match frame:
            case Frame(Kind.LOG, head=str(line)):
                self._log(line)
            case Frame(Kind.ENTERED, head={"at": int(at), "fetch": str() | None as fetch}):
                self._record(at, fetch)
            case Frame(Kind.FETCH, head={"fetch": str(fetch), "request": str(request), "has_body": bool(has_body)}):
                self._begin_fetch(fetch, request, frame.body if has_body else None)
            case Frame(Kind.ABORT, head={"fetch": str(fetch)}):
                if task := self._tasks.pop(fetch, None):
                    task.cancel()
            case Frame(Kind.DONE, head=dict() as head):
                self._settle(Returned(self._usage(head), frame.body, self._rest(head.get("rest", ""))))
            case Frame(Kind.FAILED, head=dict() as head):
                self._settle(self._failed(head))
            case _:
                raise Malformed(f"{frame.kind.name} with what it may not have")

    def break_off(self, reason: str) -> None:
        """End the poll with a fault of the sandbox, because the sandbox worker sent a frame that it may not send."""
        if not self._end.done():
            _log.error("a poll of the sandbox was broken off", reason=reason)
            self._settle(Failed(PollErrorKind.SANDBOX_FAULT))

    def move(self) -> None:
        """End the poll as `MOVED` if no frame about it has come, so that it begins again in another sandbox worker.

        Such a poll has asked for no fetch yet.
        """
        if not self.heard:
            self._settle(MOVED)

    def lost(self) -> None:
        """End the poll as `LOST`, because its sandbox worker is gone."""
        self._settle(LOST)

    def _rest(self, text: Any) -> tuple[str, ...]:
        if not isinstance(text, str) or len(text) > self._limits.result_bytes:
            raise Malformed("ids that the worker may not let through")
        ids = json.loads(text) if text else []
        if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids):
            raise Malformed("ids that are none")
        return tuple(ids)

    # The end.

    def _settle(self, end: Ended) -> None:
        if not self._end.done():
            self._end.set_result(end)

    async def _read(self, end: Returned) -> tuple[Any, Failed | None]:
        try:
            value = json.loads(end.body)
        except RecursionError:
            return None, Failed(PollErrorKind.RESULT_TOO_DEEP, usage=end.usage)
        except ValueError as error:
            _log.error("the result of a poll is no JSON", reason=f"{error!r:.200}")
            return None, Failed(PollErrorKind.SANDBOX_FAULT, usage=end.usage)
        await asyncio.sleep(0)
        wrong = self._wrong(value)
        return value, Failed(wrong, usage=end.usage) if wrong else None

    def _wrong(self, value: Any) -> PollErrorKind | None:
        if not isinstance(value, list):
            return PollErrorKind.NOT_AN_ARRAY
        if len(value) > self._limits.result_count:
            return PollErrorKind.TOO_MANY_RESULTS
        return PollErrorKind.RESULT_TOO_DEEP if _depth(value) > self._limits.result_levels else None

    def _failed(self, head: dict[str, Any]) -> Failed:
        kind, name, message, stack = (str(head[key]) for key in ("kind", "name", "message", "stack"))
        usage = self._usage(head)
        if kind == "syntax_error":
            where = unparsable_at(stack, self._program.code)
            return Failed(PollErrorKind.JS_ERROR, name, message, where, usage)
        if kind == PollErrorKind.JS_ERROR:
            where = thrown_at(stack, self._program.code)
            return Failed(failures.kind_of(name, message, self._limits), name, message or name, where, usage)
        return Failed(PollErrorKind(kind), name, message, usage=usage)

    async def _error(self, end: Failed, console: tuple[str, ...]) -> PollError:
        kind, name, message = end.kind, end.name, end.message
        if kind is PollErrorKind.SANDBOX_FAULT and message:
            _log.error("a guest of the sandbox broke", reason=await self._redacted(message, _MESSAGE_CHARS))
        if kind not in failures.THROWN or not message:
            name = name if kind is PollErrorKind.NOT_AN_ARRAY and name else failures.title(kind)
            message = failures.explanation(kind, self._limits)
        return PollError(
            kind,
            await self._redacted(name, _NAME_CHARS),
            await self._redacted(message, _MESSAGE_CHARS),
            end.position.line,
            console,
            column=end.position.column,
            usage=end.usage,
            recording=self._recording(),
        )

    async def _redacted(self, text: str, length: int) -> str:
        return await in_slices(self._redaction.shown(text, length))

    def _usage(self, head: dict[str, Any]) -> Usage:
        cpu, memory = float(head["cpu"]), int(head.get("memory", 0))
        if not 0 <= cpu < math.inf or memory < 0:
            raise Malformed("no usage")
        return Usage(
            cpu=timedelta(seconds=cpu),
            wall=timedelta(seconds=time.monotonic() - self._started),
            fetches=self._fetches,
            response_bytes=self._response_bytes,
            memory_bytes=memory,
        )

    def _log(self, line: str) -> None:
        """Keep a console line. One line beyond the limit is kept, too, which `outcome` replaces by a note."""
        if len(self._console) != self._hears and len(self._console) <= self._limits.console_lines:
            self._console.append(line)

    # The recording.

    def _record(self, at: int, fetch: str | None) -> None:
        if self._entries is None or len(self._entries) >= MOST_ENTRIES or not 0 <= at <= _LATEST:
            raise Malformed("an entry of no recording")
        answer, body = ("", b"") if fetch is None else self._answers.pop(fetch)
        self._entries.append(Entry(at, fetch, answer, body))

    def _recording(self) -> Recording | None:
        if self._entries is None:
            return None
        return Recording(self._program, tuple(self._entries), len(self._console))

    # Fetches.

    def _begin_fetch(self, fetch: str, request: str, body: bytes | None) -> None:
        self._fetches += 1
        if self._fetches > self._limits.fetches or fetch in self._asked:
            raise Malformed("a fetch that the worker may not let through")
        if len(request) + len(body or b"") > self._limits.request_bytes + HEAD_BYTES:
            raise Malformed("a request that the worker may not let through")
        self._asked.add(fetch)
        if self._replayed is None:
            self._tasks[fetch] = self._group.create_task(self._perform(fetch, request, body))

    async def _perform(self, fetch: str, request: str, body: bytes | None) -> None:
        try:
            async with self._turn:
                answer, content = await self._fetched(_request(request, body))
        except ResponseTooLarge as failed:
            self._response_bytes += failed.cost
            answer, content = self._refused(PollErrorKind.RESPONSE_TOO_LARGE)
        except FetchFailed as failed:
            self._response_bytes += failed.cost
            reason = await self._redacted(str(failed), _MESSAGE_CHARS)
            _log.info("a fetch of polling code failed", reason=reason)
            answer, content = {"error": f"fetch failed: {failed.told}" if failed.told else "fetch failed"}, b""
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


def fixed(program: Program) -> Program:
    """Return the program with a seed and a start. Each of them is made anew if the program has none.

    A second run of the returned program gets the same random numbers and times.
    """
    if program.seed is not None and program.start is not None:
        return program
    return replace(
        program, seed=program.seed or secrets.token_bytes(_SEED_BYTES), start=program.start or datetime.now(UTC)
    )


def _request(text: str, body: bytes | None) -> HttpRequest:
    """Return the request that polling code gave to `fetch`. Raises `FetchFailed` if the JSON is no request.

    The service checks it although the prelude has checked it, because code can break the prelude's classes.
    """
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
    """Return how many levels of arrays and objects a value has. This uses no recursion, because the value may be nested
    too deep for that.
    """
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth
