"""Runs a sandbox worker, a process with one socket to the service and no environment variables, which uses no files.

It is one blocking loop, in which polls take turns, and a poll that waits for a fetch or a timer holds up no other poll.
The guest's memory and its hooks are the first barrier; the walls of `lockdown` around the process are the second.

A hook trusts no value that it gets, even if the prelude promises the value, because code may have got around the
prelude. A value of the wrong kind, or a flood of values of the right kind, ends the poll and nothing else.
"""

import gc
import hashlib
import json
import math
import select
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from itertools import chain, islice
from time import monotonic, process_time
from typing import Any

from hairtrigger.sandbox.lockdown import complete, enclose
from hairtrigger.sandbox.protocol import failures
from hairtrigger.sandbox.protocol.frames import Frame, Incoming, Kind
from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS, HEAD_BYTES, MOST_ENTRIES, Limits, PollErrorKind
from hairtrigger.sandbox.protocol.progress import ProgressMemory
from hairtrigger.sandbox.protocol.walls import UNLOCKED
from hairtrigger.sandbox.worker.environment import Hook, native_hooks
from hairtrigger.sandbox.worker.guest import Guest, Machine, Stopped
from hairtrigger.sandbox.worker.line import Line
from hairtrigger.sandbox.worker.natives import random_length

_LEAST_CPU = timedelta(milliseconds=1)
_LATEST = 2**53  # milliseconds: JavaScript's numbers are not exact beyond this
_SLEEP_SECONDS = 60  # at most, however late the next timer is due
_NAME_CHARS = 200  # of the name of an error; the service cuts it further
_STACK_CHARS = 16 * 1024
_SAID_BY_CODE = ("js_error", "syntax_error", "not_an_array", "too_many_results", "result_too_large")
_MOST_WAITING = 64 * 1024 * 1024  # bytes of frames; beyond it the service has to wait
_TIMER = Kind.PONG  # in the line, a frame that never comes from the service stands for a timer
_ENDLESS = {"code": "for (;;);", "inputs": {}, "secrets": {}, "lastPollTime": "", "limits": {}}


class Ended(Exception):
    """The poll has reported its end. Its guest is not entered again."""


@dataclass(frozen=True)
class Course:
    """The settings of one poll, which say where its random numbers and its time come from, and whether it is recorded
    or replayed.
    """

    seed: bytes = bytes(16)
    start: int = 0  # in milliseconds since 1970
    recorded: bool = False
    replayed: bool = False  # the poll waits for nothing: the service sends each entry of its recording
    line: int = 4096  # characters of a console line and of an error's message
    tenant: str = ""  # tenants share the processor


class Poll:
    """A poll with the hooks that its guest calls.

    The clock of the poll stands still while code runs. It shows the time for which the code was due: the start of the
    poll, the time at which the answer to a fetch came, or the due time of a timer, however late the timer runs.
    """

    def __init__(
        self, number: int, machine: Machine, limits: Limits, send: Callable[[Frame], None], course: Course | None = None
    ) -> None:
        self._number = number
        self._limits = limits
        self._send = send
        self._course = course or Course()
        self._began = monotonic()
        self._drawn = 0  # how often random bytes were asked for
        self._fetched = 0
        self._last_fetch = 0  # its number; the prelude counts the fetches
        self._logged = 0  # lines
        self._gone_on = 0  # how often the poll went on; a recording has an entry for each time
        self._waiting: set[str] = set()  # fetches without an answer
        self._due: int | None = None  # when the next timer is due
        self.end: Frame | None = None
        hooks: dict[str, Hook] = native_hooks() | {
            "abort": self._abort,
            "done": self._done,
            "fail": self._fail,
            "fetchFromHost": self._fetch,
            "log": self._log,
            "random": self._random,
            "wake": self._wake,
        }
        # These come from the same seed as the numbers of crypto, but do not reveal them.
        numbers = int.from_bytes(hashlib.shake_256(b"Math.random" + self._course.seed).digest(8)) or 1
        self._guest = Guest(machine, hooks, limits.cpu.total_seconds(), numbers)
        self._guest.clock = self._course.start

    @property
    def wake_at(self) -> float | None:
        """Return when the next timer must run, on the monotonic clock, or None if no timer is set or the poll is a
        replay.
        """
        if self._due is None or self._course.replayed:
            return None
        return self._began + (self._due - self._course.start) / 1000

    def enter(self, entry: str, *arguments: str | bytes) -> None:
        try:
            self._guest.enter(entry, *arguments)
        except Ended:
            pass
        except Stopped as stopped:
            self._failed(stopped.kind, stopped.name, stopped.message)
        except MemoryError:  # the process has no memory: that is no poll's fault, and no poll can go on
            raise
        except Exception:  # noqa: BLE001 whatever it is, this guest caused it, and only this guest ends
            self._failed(PollErrorKind.JS_ERROR, "Error", "The code broke what the sandbox needs.")
        if self.end is None and not self._waiting and self._due is None:
            self._failed(PollErrorKind.NEVER_SETTLES)
        self._tell_end()

    def respond(self, fetch: str, answer: str, body: bytes) -> None:
        if fetch in self._waiting:
            self._respond(self._course.start + int((monotonic() - self._began) * 1000), fetch, answer, body)

    def run_timers(self) -> None:
        assert self._due is not None
        self._run_timers(self._due)

    def replay(self, head: Any, body: bytes) -> None:
        match head:
            case {"at": int(at), "fetch": None} if self._due is not None:
                self._run_timers(at)
            case {"at": int(at), "fetch": str(fetch), "answer": str(answer)} if fetch in self._waiting:
                self._respond(at, fetch, answer, body)
            case None:
                self._give_up(PollErrorKind.WALL_LIMIT)
            case _:
                self._give_up(PollErrorKind.SANDBOX_FAULT, "The recording is not one of this code.")

    def _respond(self, at: int, fetch: str, answer: str, body: bytes) -> None:
        self._waiting.remove(fetch)
        self._at(at, fetch)
        self.enter("respond", fetch, answer, body)

    def _run_timers(self, at: int) -> None:
        self._due = None
        self._at(at, None)
        self.enter("runTimers")

    def _at(self, at: int, fetch: str | None) -> None:
        self._guest.clock = max(self._guest.clock, at)
        self._gone_on += 1
        if self._course.recorded and self._gone_on <= MOST_ENTRIES:
            self._send(Frame(Kind.ENTERED, self._number, {"at": self._guest.clock, "fetch": fetch}))

    def _give_up(self, kind: PollErrorKind, message: str = "") -> None:
        self._failed(kind, message=message)
        self._tell_end()

    def _tell_end(self) -> None:
        if self.end is not None:
            self.end.head.update(cpu=self._guest.cpu, memory=self._guest.memory)
            self._send(self.end)
            self.close()

    def close(self) -> None:
        self._guest.close()

    def _failed(self, kind: PollErrorKind | str, name: str = "", message: str = "", stack: str = "") -> None:
        self.end = Frame(Kind.FAILED, self._number, {"kind": kind, "name": name, "message": message, "stack": stack})

    # The hooks. An error that a hook raises ends the guest.

    def _done(self, result: str, rest: str = "") -> None:
        """Take the result of the poll, and end the poll. `result` is the value as JSON, and `rest` the ids of the items
        that did not fit into it, as a list in JSON.

        Raises `Ended` in any case.
        """
        body = result.encode()
        if len(body) > self._limits.result_bytes or len(rest.encode()) > self._limits.result_bytes:
            self._failed(PollErrorKind.RESULT_TOO_LARGE)
        else:
            self._judge(body, {"rest": rest} if rest else {})
        raise Ended

    def _judge(self, body: bytes, head: dict[str, Any]) -> None:
        """Accept the result if the service can parse it in little time, and let the poll fail if not. Halves of
        surrogate pairs in the result are replaced.
        """
        marks = body.count(b",") + body.count(b"[") + body.count(b"{")  # at least the number of values but one
        if marks < self._limits.result_values and rb"\ud" not in body:
            self.end = Frame(Kind.DONE, self._number, head, body)
            return
        try:
            value = json.loads(body)
            clean = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")  # no half of a surrogate pair
        except RecursionError:
            self._failed(PollErrorKind.RESULT_TOO_DEEP)
            return
        if _has_more_than(self._limits.result_values, value):
            self._failed(PollErrorKind.TOO_MANY_VALUES)
        else:
            self.end = Frame(Kind.DONE, self._number, head, clean)

    def _fail(self, kind: str, name: str, message: str, stack: str) -> None:
        if message == "null" and self._guest.is_full:  # the engine throws null when it has no memory for an error
            kind = PollErrorKind.MEMORY_LIMIT
        elif kind not in _SAID_BY_CODE:
            raise ValueError(kind)
        self._failed(kind, _text(name)[:_NAME_CHARS], _text(message)[: self._course.line], _text(stack)[:_STACK_CHARS])
        raise Ended

    def _fetch(self, fetch: str, request: str, body: str | bytes | None = None) -> str | None:
        """Begin a fetch and return None, or return the message with which it is refused. Raises `Stopped` if the code
        goes on after many refusals.

        `fetch` is the fetch's number, and `request` the request as JSON without its body.
        """
        self._fetched += 1
        if self._fetched > 2 * self._limits.fetches:  # the code goes on although its fetches were refused
            raise Stopped(PollErrorKind.TOO_MANY_FETCHES)
        self._last_fetch = _next_number(fetch, after=self._last_fetch)
        content = body.encode() if isinstance(body, str) else body or b""
        size = len(request.encode())
        if size + len(content) > self._limits.request_bytes:
            return failures.refusal(PollErrorKind.REQUEST_TOO_LARGE, self._limits)
        if size > HEAD_BYTES:
            return failures.HEAD_TOO_LARGE
        if self._fetched > self._limits.fetches:
            return failures.refusal(PollErrorKind.TOO_MANY_FETCHES, self._limits)
        self._waiting.add(fetch)
        head = {"fetch": fetch, "request": request, "has_body": body is not None}
        self._send(Frame(Kind.FETCH, self._number, head, content))
        return None

    def _abort(self, fetch: str) -> None:
        if fetch in self._waiting:
            self._waiting.remove(fetch)
            self._send(Frame(Kind.ABORT, self._number, {"fetch": fetch}))

    def _log(self, line: str) -> None:
        self._logged += 1
        if self._logged <= self._limits.console_lines + 1:  # the last one shows that there were more
            self._send(Frame(Kind.LOG, self._number, line[: self._course.line]))

    def _wake(self, milliseconds: str) -> None:
        if not milliseconds:
            self._due = None
            return
        after = float(milliseconds)
        if not 0 <= after <= _LATEST:
            raise ValueError(milliseconds)
        self._due = self._guest.clock + math.ceil(after)

    def _random(self, length: str) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self._course.seed + self._drawn.to_bytes(8)).digest(random_length(length))


class Worker:
    def __init__(self, connection: socket.socket, progress: ProgressMemory) -> None:
        self._connection = connection
        self._incoming = Incoming(connection)
        self._progress = progress
        self._polls: dict[int, Poll] = {}
        self._timers: dict[int, float] = {}  # when the next timer of each poll must run, on the monotonic clock
        self._line = Line()
        self._tenants: dict[int, str] = {}  # of the polls whose first frame has come, until their end

    def serve(self) -> None:
        hello = self._incoming.take()
        if hello is None:
            return
        self._limits = _limits(hello.head["limits"])
        if not hello.body:  # this process only compiles the guest, and runs no polls
            self._send(Frame(Kind.READY, body=Machine(b"", self._limits.memory_bytes).serialized()))
        elif self._locked_in(hello.body, unlocked=hello.head["unlocked"]):
            self._serve_polls()

    def _locked_in(self, compiled: bytes, *, unlocked: bool) -> bool:
        """Lock this process in, and load the guest before the last walls are raised. Tell the service the result, and
        return whether polls may run here.
        """
        walls = enclose([self._connection.fileno()])
        self._machine = Machine(compiled, self._limits.memory_bytes)
        self._warm_up()
        walls = complete(walls)
        self._end_code()
        if walls.missing and not unlocked:
            self._send(Frame(Kind.REFUSED, head=f"This machine lacks {walls.missing}. {UNLOCKED} goes on without."))
            return False
        self._send(Frame(Kind.READY, head=asdict(walls)))
        return True

    def _warm_up(self) -> None:
        """Load everything that the first poll would load, while that is still allowed."""
        Poll(0, self._machine, self._limits, lambda _: None).enter("check", '"return []"')
        gc.collect()
        gc.freeze()  # the objects that exist by now stay, so collections need not look at them

    def _end_code(self) -> None:
        """Run endless code, to be sure that the guest watchdog can end it.

        If it can't, this process dies here or never becomes ready.
        """
        limits = replace(self._limits, cpu=_LEAST_CPU)
        Poll(0, self._machine, limits, lambda _: None).enter("start", json.dumps(_ENDLESS))

    def _serve_polls(self) -> None:
        while self._receive():
            self._let_timers_in()
            if self._line:
                tenant, frame = self._line.next()
                started = process_time()
                with self._progress.entering(frame.poll):
                    self._hand_over(frame)
                self._line.charge(tenant, process_time() - started)
                self._entered(frame.poll)

    def _receive(self) -> bool:
        """Take the frames that have come, and wait for a frame or a timer if there is nothing to do.

        Return True, or False if the service has closed the socket.
        """
        while self._line.bytes < _MOST_WAITING and (self._incoming.waits or self._readable()):
            frame = self._incoming.take()
            if frame is None:
                return False
            self._sort(frame)
        return True

    def _readable(self) -> bool:
        wait = 0 if self._line else self._until_next_timer()
        readable, _, _ = select.select([self._connection], [], [], wait)
        return bool(readable)

    def _sort(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.PING:
                self._send(Frame(Kind.PONG))
            case Kind.CANCEL:
                self._cancel(frame.poll)
            case Kind.RUN | Kind.CHECK:
                tenant = self._tenants[frame.poll] = str(frame.head.get("tenant", ""))
                self._line.add(tenant, frame)
            case _ if frame.poll in self._tenants:
                self._line.add(self._tenants[frame.poll], frame)

    def _cancel(self, number: int) -> None:
        if number in self._tenants:
            self._line.drop(self._tenants.pop(number), number)
        if poll := self._polls.pop(number, None):
            poll.close()
        self._timers.pop(number, None)
        self._send(Frame(Kind.GONE, number))

    def _hand_over(self, frame: Frame) -> None:
        poll = self._polls.get(frame.poll)
        match frame.kind:
            case Kind.RUN:
                self._begin(frame, "start")
            case Kind.CHECK:
                self._begin(frame, "check")
            case Kind.RESPONSE if poll:
                poll.respond(frame.head["fetch"], frame.head["answer"], frame.body)
            case Kind.REPLAY if poll:
                poll.replay(frame.head, frame.body)
            case kind if kind is _TIMER and poll and poll.wake_at is not None and poll.wake_at <= monotonic():
                poll.run_timers()

    def _begin(self, frame: Frame, entry: str) -> None:
        """Start a poll. Raises `WasmtimeError` if there is no memory for one more.

        No poll is to blame for that, so the error ends this process, and all its polls run elsewhere.
        """
        course = Course(**frame.head | {"seed": bytes.fromhex(frame.head["seed"])})
        poll = Poll(frame.poll, self._machine, self._limits, self._send, course)
        self._polls[frame.poll] = poll
        poll.enter(entry, frame.body.decode())

    def _let_timers_in(self) -> None:
        """Put a frame into the line for each poll whose timer is due."""
        if not self._timers:
            return
        now = monotonic()
        for number in [number for number, at in self._timers.items() if at <= now]:
            del self._timers[number]
            self._line.add(self._tenants[number], Frame(_TIMER, number))

    def _until_next_timer(self) -> float | None:
        if not self._timers:
            return None
        return min(max(0.0, min(self._timers.values()) - monotonic()), _SLEEP_SECONDS)

    def _entered(self, number: int) -> None:
        """Remember the next timer of a poll that has run, or forget the poll if it has ended."""
        poll = self._polls.get(number)
        if poll and poll.end is not None:
            del self._polls[number]
            self._tenants.pop(number, None)
            poll = None
        if poll and poll.wake_at is not None:
            self._timers[number] = poll.wake_at
        else:
            self._timers.pop(number, None)

    def _send(self, frame: Frame) -> None:
        self._connection.sendall(frame.packed())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _next_number(text: str, *, after: int) -> int:
    """Return the number of a fetch from its text. Raises `ValueError` if the text is no whole number above `after`."""
    number = int(text)
    if text != str(number) or not after < number <= _LATEST:
        raise ValueError(text)
    return number


def _has_more_than(most: int, value: Any) -> bool:
    """Return whether a value holds more than `most` values, itself included."""
    level, seen = [value], 0
    while level and seen <= most:
        seen += len(level)
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, list | dict))
        level = list(islice(chain.from_iterable(inside), most + 1))
    return seen > most


def _limits(head: dict[str, Any]) -> Limits:
    """Return the limits in the head of a frame, where times are numbers of seconds."""
    times = {field.name for field in fields(Limits) if isinstance(getattr(DEFAULT_LIMITS, field.name), timedelta)}
    values: dict[str, Any] = {name: timedelta(seconds=head[name]) for name in times}
    return Limits(**head | values)


def main(descriptor: int, progress: int) -> None:
    with socket.socket(fileno=descriptor) as connection:
        Worker(connection, ProgressMemory(progress)).serve()
