"""The process that runs polling code: one socket to the service, an empty environment, no file opened or written.

One blocking loop: polls take turns, and a poll that waits for a fetch or a timer holds up no other. The walls are the
guest's memory and the hooks; what the process itself may ask of the system is limited in size only (`lockdown`).
"""

import select
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from wasmtime import WasmtimeError

from hairtrigger.sandbox.code import Limits, PollErrorKind
from hairtrigger.sandbox.environment import NATIVE, Hook
from hairtrigger.sandbox.frames import HEADER, Frame, Header, Kind
from hairtrigger.sandbox.guest import Guest, Machine, Stopped
from hairtrigger.sandbox.lockdown import lock_down


class Ended(Exception):
    """The poll told its end. Whatever else it has begun does not go on."""


class Poll:
    """A poll with the hooks that its guest calls."""

    def __init__(self, number: int, machine: Machine, limits: Limits, send: Callable[[Frame], None]) -> None:
        self._number = number
        self._limits = limits
        self._send = send
        self._fetched = 0
        self._waiting: set[str] = set()  # fetches
        self.wake_at: float | None = None
        self.end: Frame | None = None
        hooks: dict[str, Hook] = NATIVE | {
            "abort": self._abort,
            "done": self._done,
            "fail": self._fail,
            "fetchFromHost": self._fetch,
            "log": self._log,
            "wake": self._wake,
        }
        self._guest = Guest(machine, hooks, limits.cpu.total_seconds())

    def enter(self, entry: str, *arguments: str | bytes) -> None:
        try:
            self._guest.enter(entry, *arguments)
        except Ended:
            pass
        except Stopped as stopped:
            self._failed(stopped.kind, stopped.name, stopped.message)
        if self.end is None and not self._waiting and self.wake_at is None:
            self._failed(PollErrorKind.NEVER_SETTLES)
        if self.end is not None:
            self.end.head["cpu"] = self._guest.cpu
            self._send(self.end)
            self.close()

    def respond(self, fetch: str, answer: str, body: bytes) -> None:
        if fetch in self._waiting:
            self._waiting.remove(fetch)
            self.enter("respond", fetch, answer, body)

    def run_timers(self) -> None:
        self.wake_at = None
        self.enter("runTimers")

    def close(self) -> None:
        self._guest.close()

    def _failed(self, kind: PollErrorKind | str, name: str = "", message: str = "", stack: str = "") -> None:
        self.end = Frame(Kind.FAILED, self._number, {"kind": kind, "name": name, "message": message, "stack": stack})

    # The hooks. What they raise ends the guest.

    def _done(self, result: str) -> None:
        body = result.encode()
        if len(body) > self._limits.result_bytes:
            self._failed(PollErrorKind.RESULT_TOO_LARGE)
        else:
            self.end = Frame(Kind.DONE, self._number, {}, body)
        raise Ended

    def _fail(self, kind: str, name: str, message: str, stack: str) -> None:
        if (name, message) == ("InternalError", "out of memory"):
            self._failed(PollErrorKind.MEMORY_LIMIT)
        else:
            self._failed(kind, name, message, stack)
        raise Ended

    def _fetch(self, fetch: str, request: str, body: str | bytes | None = None) -> str | None:
        """Why the fetch is not made, if it is not."""
        content = body.encode() if isinstance(body, str) else body or b""
        if len(request.encode()) + len(content) > self._limits.request_bytes:
            return f"fetch failed: the request is larger than {self._limits.request_bytes} bytes"
        self._fetched += 1
        if self._fetched > self._limits.fetches:
            raise Stopped(PollErrorKind.TOO_MANY_FETCHES)
        self._waiting.add(fetch)
        head = {"fetch": fetch, "request": request, "has_body": body is not None}
        self._send(Frame(Kind.FETCH, self._number, head, content))
        return None

    def _abort(self, fetch: str) -> None:
        self._waiting.discard(fetch)
        self._send(Frame(Kind.ABORT, self._number, {"fetch": fetch}))

    def _log(self, line: str) -> None:
        self._send(Frame(Kind.LOG, self._number, line))

    def _wake(self, milliseconds: str) -> None:
        self.wake_at = monotonic() + float(milliseconds) / 1000 if milliseconds else None


class Worker:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._polls: dict[int, Poll] = {}

    def serve(self) -> None:
        hello = self._receive()
        if hello is None:
            return
        self._limits = Limits(**hello.head | {"cpu": timedelta(seconds=hello.head["cpu"])})
        self._machine = Machine(hello.body, self._limits.memory_bytes)
        self._send(Frame(Kind.READY, body=b"" if hello.body else self._machine.serialized()))
        lock_down()
        while True:
            readable, _, _ = select.select([self._connection], [], [], self._until_next_timer())
            self._run_timers()
            if not readable:
                continue
            frame = self._receive()
            if frame is None:
                return
            self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        poll = self._polls.get(frame.poll)
        match frame.kind:
            case Kind.RUN:
                self._begin(frame, "start")
            case Kind.CHECK:
                self._begin(frame, "check")
            case Kind.RESPONSE if poll:
                poll.respond(frame.head["fetch"], frame.head["answer"], frame.body)
            case Kind.CANCEL:
                if poll:
                    self._polls.pop(frame.poll).close()
                self._send(Frame(Kind.GONE, frame.poll))
        self._forget_ended()

    def _begin(self, frame: Frame, entry: str) -> None:
        try:
            poll = Poll(frame.poll, self._machine, self._limits, self._send)
        except WasmtimeError as error:  # no memory for one more
            head = {"kind": PollErrorKind.SANDBOX_FAULT, "name": "", "message": str(error), "stack": "", "cpu": 0}
            self._send(Frame(Kind.FAILED, frame.poll, head))
            return
        self._polls[frame.poll] = poll
        poll.enter(entry, frame.body.decode())

    def _run_timers(self) -> None:
        now = monotonic()
        for poll in list(self._polls.values()):
            if poll.wake_at is not None and poll.wake_at <= now:
                poll.run_timers()
        self._forget_ended()

    def _until_next_timer(self) -> float | None:
        due = [poll.wake_at for poll in self._polls.values() if poll.wake_at is not None]
        return max(0.0, min(due) - monotonic()) if due else None

    def _forget_ended(self) -> None:
        self._polls = {number: poll for number, poll in self._polls.items() if poll.end is None}

    def _send(self, frame: Frame) -> None:
        self._connection.sendall(frame.packed())

    def _receive(self) -> Frame | None:
        """The next frame, or None when the service is gone."""
        header = self._exactly(HEADER.size)
        if len(header) < HEADER.size:
            return None
        parsed = Header.parsed(header)
        payload = self._exactly(parsed.length)
        return parsed.frame(payload) if len(payload) == parsed.length else None

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length and (more := self._connection.recv(length - len(data))):
            data += more
        return bytes(data)


def main(descriptor: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then closes the socket
    with socket.socket(fileno=descriptor) as connection:
        Worker(connection).serve()
