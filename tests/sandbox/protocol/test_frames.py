"""The frames between the service and a sandbox worker, when one side sends anything it likes."""

import asyncio
import json
import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hairtrigger.sandbox.protocol.frames import HEADER, LARGEST, Frame, Header, Incoming, Kind, Malformed
from hairtrigger.sandbox.protocol.poll import Outcome, PollError, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.beats import Beats
from tests.sandbox.programs import Internet, answer, program
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

# This sandbox worker says that it is ready, and then answers every poll with the bytes that the poll's code names:
# `hex[,hang]`. In the hex, `number` stands for the number of the poll. Nothing of ours is imported.
_LIAR = """
import json, os, socket, struct, sys, time
connection = socket.socket(fileno=int(sys.argv[1]))
def exactly(length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            os._exit(0)
        data += more
    return data
def receive():
    kind, poll, head, body = struct.unpack(">BIII", exactly(13))
    return kind, poll, exactly(head), exactly(body)
receive()
walls = b'{"platform": "liar", "namespaces": [], "holes": []}'
connection.sendall(struct.pack(">BIII", 6, 0, len(walls), 0) + walls)
while True:
    kind, poll, head, body = receive()
    if kind != 2:
        continue
    sent, _, then = json.loads(body)["code"].partition(",")
    try:
        connection.sendall(bytes.fromhex(sent.replace("number", struct.pack(">I", poll).hex())))
    except OSError:
        pass
    if then != "hang":
        os._exit(0)
"""
NUMBER = "number"
GOOD = {"cpu": 0.001}


def frame(kind: int, head: Any = None, body: bytes = b"", number: str = NUMBER) -> str:
    content = head if isinstance(head, bytes) else json.dumps(head).encode()
    lengths = struct.pack(">II", len(content), len(body))
    return f"{kind:02x}{number}{lengths.hex()}{content.hex()}{body.hex()}"


def done(value: Any = (1,), **head: Any) -> str:
    return frame(Kind.DONE, GOOD | head, json.dumps(value).encode())


def fetch(number: int = 1, **head: Any) -> str:
    request = json.dumps({"method": "GET", "url": "https://a.example/", "headers": [], "redirect": "follow"})
    return frame(Kind.FETCH, {"fetch": str(number), "request": request, "has_body": False} | head)


SILENT = ("nothing", "half a header", "half a frame")


@pytest.fixture
async def liars(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Start sandbox workers that lie. With no beats, they are killed for their frames only, and not for silence."""
    monkeypatch.setattr("hairtrigger.sandbox.service.spawn.PROGRAM", _LIAR)
    async with Sandbox.start(workers=1, compiled=b"anything") as sandbox:
        yield sandbox


async def told(sandbox: Sandbox, sent: str) -> Outcome | PollError:
    try:
        return await sandbox.run(program(sent), Internet(answer([])).fetch)
    except PollError as error:
        return error


async def test_a_worker_that_speaks_as_it_should_is_believed(liars: Sandbox) -> None:
    outcome = await told(liars, frame(Kind.LOG, "hello") + fetch() + done([1, 2]) + ",hang")

    assert isinstance(outcome, Outcome)
    assert (outcome.value, outcome.console) == ([1, 2], ("hello",))


# The bytes are not frames, or belong to no poll: nothing more from this sandbox worker can be trusted.
OF_WORKERS = {
    "nothing": "",
    "half a header": "0a00",
    "half a frame": done()[:-2],
    "an unknown kind": frame(99),
    "a PONG nobody asked for": frame(Kind.PONG, number="00000000") * 2,
    "another poll's number": frame(Kind.DONE, GOOD, b"[]", number="00ffffff"),
    "no poll's number": frame(Kind.DONE, GOOD, b"[]", number="00000000"),
    "an answer to no CANCEL": frame(Kind.GONE),
    "a frame too large": f"0a{NUMBER}{LARGEST:08x}{0:08x}",
    "a frame far too large": f"0a{NUMBER}ffffffffffffffff",
}
# The frame of a poll is one that no honest sandbox worker sends.
OF_POLLS = {
    "a frame only the service sends": frame(Kind.RUN),
    "another READY": frame(Kind.READY, {}),
    "a deep head": frame(Kind.LOG, b"[" * 100_000),
    "a head that is no JSON": frame(Kind.DONE, b"{"),
    "a head that is no UTF-8": frame(Kind.LOG, b'"\xff\xfe\xfa"'),
    "a head of the wrong kind": frame(Kind.DONE, [1], b"[]"),
    "no head": frame(Kind.DONE, b"", b"[]"),
    "no CPU time": frame(Kind.DONE, {}, b"[]"),
    "CPU time that is no number": frame(Kind.DONE, {"cpu": "x"}, b"[]"),
    "CPU time of NaN": frame(Kind.DONE, {"cpu": math.nan}, b"[]"),
    "endless CPU time": frame(Kind.DONE, {"cpu": math.inf}, b"[]"),
    "huge CPU time": frame(Kind.DONE, {"cpu": 1e300}, b"[]"),
    "negative CPU time": frame(Kind.DONE, {"cpu": -1}, b"[]"),
    "a number of too many digits": frame(Kind.DONE, b'{"cpu": ' + b"9" * 5000 + b"}", b"[]"),
    "memory that is no number": done(memory="x"),
    "endless memory": done(memory=math.inf),
    "a result that is no JSON": frame(Kind.DONE, GOOD, b"["),
    "a result that is no UTF-8": frame(Kind.DONE, GOOD, b'["\xff\xfe\xfa"]'),
    "an unknown failure": frame(Kind.FAILED, GOOD | {"kind": "x", "name": "", "message": "", "stack": ""}),
    "a failure without a kind": frame(Kind.FAILED, GOOD),
    "a broken guest": frame(Kind.FAILED, GOOD | {"kind": "sandbox_fault", "name": "", "message": "", "stack": ""}),
    "a fetch without a request": frame(Kind.FETCH, {"fetch": "1"}),
    "a fetch of nothing": frame(Kind.FETCH, None),
    "more fetches than there may be": "".join(fetch(n) for n in range(60)),
    "an ABORT of nothing": frame(Kind.ABORT, 5),
    "a fetch twice": fetch(1) + fetch(1),
    "a fetch whose name is no text": frame(Kind.FETCH, {"fetch": 1, "request": "{}", "has_body": False}),
    "a request that is too large": fetch(request="x" * 3_000_000),
    "a body that may be or not": fetch(has_body=None),
    "a line that is no text": frame(Kind.LOG, ["x"]),
    "an entry of no recording": frame(Kind.ENTERED, {"at": 1, "fetch": None}),
    "negative memory": done(memory=-1),
    "CPU time as a text": done(cpu="NaN"),
    "a failure that says numbers": frame(Kind.FAILED, GOOD | {"kind": 5, "name": 1, "message": 2, "stack": 3}),
    "a console without end": frame(Kind.LOG, "x") * 5_000,
}


@pytest.mark.parametrize("lie", OF_WORKERS)
async def test_a_worker_that_does_not_speak_in_frames_is_replaced_and_the_poll_reported(
    liars: Sandbox, beats: Beats, lie: str
) -> None:
    (worker,) = liars.workers

    async with beats.going_on() if lie in SILENT else nullcontext():
        error = await told(liars, OF_WORKERS[lie] + ",hang")

    assert isinstance(error, PollError)
    assert error.kind is PollErrorKind.WORKER_LOST
    assert worker not in liars.workers
    assert isinstance(await told(liars, done()), Outcome)


@pytest.mark.parametrize("lie", OF_POLLS)
async def test_nonsense_about_a_poll_ends_that_poll_alone(liars: Sandbox, lie: str) -> None:
    workers = liars.workers

    error = await told(liars, OF_POLLS[lie] + ",hang")

    assert isinstance(error, PollError)
    assert error.kind is PollErrorKind.SANDBOX_FAULT
    assert isinstance(await told(liars, done() + ",hang"), Outcome)
    assert liars.workers == workers


async def test_a_poll_that_goes_on_for_ever_after_its_end_costs_the_worker(liars: Sandbox) -> None:
    (worker,) = liars.workers

    error = await told(liars, frame(Kind.LOG, "x") * 30_000 + ",hang")

    assert isinstance(error, PollError)
    assert error.kind is PollErrorKind.SANDBOX_FAULT
    assert len(error.console) == 101
    await until_true(lambda: worker not in liars.workers)


async def test_what_comes_after_the_end_of_a_poll_replaces_the_worker(liars: Sandbox) -> None:
    (worker,) = liars.workers

    assert isinstance(await told(liars, done() + done() + ",hang"), Outcome)
    await until_true(lambda: worker not in liars.workers)

    assert isinstance(await told(liars, done()), Outcome)


frames = st.builds(
    lambda kind, head, body, number: frame(kind, head, body, number or NUMBER),
    st.integers(0, 20),
    st.one_of(
        st.binary(max_size=30),
        st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5),
        st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.floats() | st.integers() | st.text(),
                "memory": st.floats() | st.integers(),
                "kind": st.sampled_from([*PollErrorKind, "syntax_error", "?"]),
                "name": st.text() | st.integers(),
                "message": st.text(),
                "stack": st.text(),
                "fetch": st.text() | st.integers() | st.none(),
                "request": st.text() | st.just('{"method":"GET","url":"x","headers":[[1]],"redirect":"follow"}'),
                "has_body": st.booleans(),
                "at": st.floats() | st.integers(),
            },
        ),
    ),
    st.binary(max_size=30) | st.just(b"[1]"),
    st.sampled_from([None, None, None, "00000000", "00000009"]),
)
lies = st.lists(frames, min_size=1, max_size=8).map("".join) | st.binary(max_size=60).map(bytes.hex)


@settings(max_examples=40)
@given(sent=lies, then=st.sampled_from(["", ",hang"]))
def test_whatever_a_worker_sends_ends_in_an_outcome_or_an_error(sent: str, then: str) -> None:
    async def believed() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hairtrigger.sandbox.service.spawn.PROGRAM", _LIAR)
            patch.setattr("hairtrigger.sandbox.service.worker_process._SILENT_SECONDS", 0.05)
            patch.setattr("hairtrigger.sandbox.service.worker_process._BEAT_SECONDS", 0.05)
            patch.setattr("hairtrigger.sandbox.service.worker_process._SLICES", 0)
            async with Sandbox.start(workers=1, compiled=b"anything") as sandbox:
                assert isinstance(await told(sandbox, sent + then), Outcome | PollError)
                while not isinstance(await told(sandbox, done()), Outcome):
                    pass  # on a slow machine it may be killed while it starts: another one takes its place

    asyncio.run(believed())


# The frames themselves.


@given(
    kind=st.sampled_from(Kind),
    poll=st.integers(0, 2**32 - 1),
    head=st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), st.lists),
    body=st.binary(),
)
def test_a_frame_arrives_as_it_was_sent(kind: Kind, poll: int, head: Any, body: bytes) -> None:
    sent = Frame(kind, poll, head, body)
    packed = sent.packed()

    assert Header.parsed(packed[: HEADER.size]).frame(packed[HEADER.size :]) == sent


@given(st.binary(max_size=HEADER.size + 4), st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_malformed(header: bytes, payload: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(Header.parsed(header).frame(payload), Frame)


@given(st.binary(max_size=200))
def test_a_worker_reads_any_bytes_as_a_frame_or_malformed_or_the_end(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(sent)
        ours.close()
        incoming = Incoming(theirs)
        with suppress(Malformed):
            while incoming.take() is not None:
                pass
