"""A target that answered 2xx has run: whatever follows the status, the event is delivered and never sent again."""

import asyncio
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import AgentTarget, Outgoing, Sent, Target, WorkflowTarget
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.egress import Egress
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.targets.agent import Agent
from hairtrigger.targets.answers import KEPT
from hairtrigger.targets.workflow import Workflow
from tests.support.servers import Answer, Seen, answering, response, saying, serving

pytestmark = pytest.mark.anyio

SECRET = new_signing_secret()
KINDS = ["workflow", "agent"]
COMPLETION = b'{"choices": [{"message": {"role": "assistant", "content": "Hello."}}]}'
SAID = {"role": "assistant", "content": "Hello."}


def a_target(kind: str, url: str, egress: Egress, timeout_seconds: int = 60) -> Target:
    if kind == "workflow":
        config = WorkflowTarget(url=url, timeout_seconds=timeout_seconds)
        return Workflow(config, egress, SystemClock(), [SECRET])
    return Agent(AgentTarget(base_url=url, model="m-1", timeout_seconds=timeout_seconds), egress, SystemClock())


async def sent(kind: str, answer: Answer, egress: Egress, outgoing: Outgoing, timeout_seconds: int = 60) -> Sent:
    async with serving(answer) as server:
        return await a_target(kind, server.url, egress, timeout_seconds).send(outgoing)


def framed(*lines: str, body: bytes = b"", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *lines, "", ""]).encode() + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return framed("Transfer-Encoding: chunked", body=b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end)


ENDED_EARLY = "the answer ended before it was complete"
NOT_HTTP = "the rest of the answer is not valid HTTP"
NOT_COMPRESSED = "the answer is not compressed as it says, or in a way that can't be read here"

# Whether the whole completion can be read from the answer, what is odd about the answer, and its bytes.
REMAINDERS: dict[str, tuple[bool, str, bytes]] = {
    "length too large": (True, ENDED_EARLY, framed("Content-Length: 999", body=COMPLETION)),
    "no body at all": (False, ENDED_EARLY, framed("Content-Length: 999")),
    "no last chunk": (True, ENDED_EARLY, chunked(COMPLETION, end=b"")),
    "half a chunk": (True, ENDED_EARLY, framed("Transfer-Encoding: chunked", body=b"fff\r\n" + COMPLETION)),
    "bad chunk size": (True, NOT_HTTP, chunked(COMPLETION, end=b"nonsense\r\n")),
    "negative chunk size": (True, NOT_HTTP, chunked(COMPLETION, end=b"-5\r\n")),
    "chunk longer than it says": (True, NOT_HTTP, chunked(COMPLETION, end=b"1\r\nxyz\r\n")),
    "endless chunk extension": (True, NOT_HTTP, chunked(COMPLETION, end=b"1;" + b"x" * 200_000)),
    "bad trailers": (True, NOT_HTTP, chunked(COMPLETION, end=b"0\r\nB a d\r\n\r\n")),
    "endless trailers": (True, NOT_HTTP, chunked(COMPLETION, end=b"0\r\n" + b"X-A: 1\r\n" * 30_000)),
    "bad header": (False, NOT_HTTP, framed("B a d: 1", body=COMPLETION)),
    "folded bad header": (False, NOT_HTTP, framed("X A: 1", " 2", body=COMPLETION)),
    "nul in a header": (False, NOT_HTTP, framed("X-A: \0", body=COMPLETION)),
    "two lengths": (False, NOT_HTTP, framed("Content-Length: 1", "Content-Length: 2", body=COMPLETION)),
    "length that is no number": (False, NOT_HTTP, framed("Content-Length: many", body=COMPLETION)),
    "huge length": (False, NOT_HTTP, framed(f"Content-Length: {10**30}", body=COMPLETION)),
    "other transfer coding": (False, NOT_HTTP, framed("Transfer-Encoding: gzip, chunked", body=COMPLETION)),
    "endless head": (False, NOT_HTTP, framed(*["X-A: 1"] * 30_000)),
    "very many headers": (False, NOT_HTTP, framed(*["X-A: 1"] * 2000, "Content-Length: 0")),
    "ends in its head": (False, ENDED_EARLY, b"HTTP/1.1 200 OK\r\nContent-Le"),
    "ends after its status line": (False, ENDED_EARLY, b"HTTP/1.1 200 OK\r\n"),
    "ends in its reason": (False, ENDED_EARLY, b"HTTP/1.1 200 O"),
    "ends after its status": (False, ENDED_EARLY, b"HTTP/1.1 200"),
    "status line without a reason": (False, ENDED_EARLY, b"HTTP/1.1 200\r\n"),
    "hints before half a head": (False, ENDED_EARLY, b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX-"),
    "not gzip": (True, NOT_COMPRESSED, response(200, COMPLETION, ("Content-Encoding", "gzip"))),
    "not deflate": (True, NOT_COMPRESSED, response(200, COMPLETION, ("Content-Encoding", "deflate"))),
    "called brotli": (True, NOT_COMPRESSED, response(200, COMPLETION, ("Content-Encoding", "br"))),
    "called by an unknown name": (True, NOT_COMPRESSED, response(200, COMPLETION, ("Content-Encoding", "utf-8"))),
    "ten codings": (True, NOT_COMPRESSED, response(200, COMPLETION, ("Content-Encoding", ", ".join(["gzip"] * 10)))),
    "garbage after gzip": (
        True,
        NOT_COMPRESSED,
        response(200, gzip.compress(COMPLETION) + b"garbage", ("Content-Encoding", "gzip")),
    ),
    "half a gzip": (True, ENDED_EARLY, response(200, gzip.compress(COMPLETION)[:-8], ("Content-Encoding", "gzip"))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("readable", "oddity", "raw"), REMAINDERS.values(), ids=REMAINDERS)
async def test_an_odd_rest_is_told_and_is_no_failure(
    kind: str, readable: bool, oddity: str, raw: bytes, egress: Egress, outgoing: Outgoing
) -> None:
    result = await sent(kind, saying(raw), egress, outgoing)

    assert (result.status, result.response_status, result.failure) == ("delivered", 200, None)
    assert oddity in result.detail
    if readable:
        assert result.response.startswith(COMPLETION)
    if kind == "agent":
        assert (result.conversation is not None) == readable
        assert not result.conversation or result.conversation[-1] == SAID


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ["HTTP/1.1 200 OK", "HTTP/1.1 500 Oops"])
async def test_what_was_odd_in_a_readable_answer_is_told(
    kind: str, status: str, egress: Egress, outgoing: Outgoing
) -> None:
    raw = framed("X-A: 1", " 2", "Content-Length: 70", "Content-Length: 70", body=COMPLETION, status=status)

    result = await sent(kind, saying(raw), egress, outgoing)

    assert result.status == ("delivered" if "200" in status else "failed")
    assert result.detail.endswith(
        " The server continued a header in a second line and gave its length more than once; "
        "the answer was read all the same."
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_switching_protocols_unasked_is_an_answer_like_others(
    kind: str, egress: Egress, outgoing: Outgoing
) -> None:
    raw = framed("Upgrade: h2c", "Connection: Upgrade", status="HTTP/1.1 101 Switching Protocols")

    result = await sent(kind, saying(raw), egress, outgoing)

    assert (result.status, result.response_status, result.failure) == ("failed", 101, Failure.STATUS)
    assert result.detail == "The target answered 101 Switching Protocols."


@pytest.mark.parametrize("kind", KINDS)
async def test_a_length_that_is_too_small_gives_the_beginning(kind: str, egress: Egress, outgoing: Outgoing) -> None:
    raw = framed("Content-Length: 57", body=COMPLETION)

    result = await sent(kind, saying(raw), egress, outgoing)

    assert (result.status, result.response) == ("delivered", COMPLETION[:57])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_is_reset_in_the_body_is_no_failure(
    kind: str, egress: Egress, outgoing: Outgoing
) -> None:
    begun = asyncio.Event()

    async def resets(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(framed("Content-Length: 999", body=COMPLETION))
        await writer.drain()
        begun.set()
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    result = await sent(kind, resets, egress, outgoing)

    # The system may throw away unread bytes of a connection that is reset. In that case there was no answer.
    assert begun.is_set()
    assert result.status == "delivered" or result.response_status is None
    if result.status == "delivered":
        assert ENDED_EARLY in result.detail


def stalling(raw: bytes) -> Answer:
    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await asyncio.Event().wait()

    return answer


async def hurried(call: Awaitable[Sent], egress: Egress) -> Sent:
    """Return the result of a call whose time is over as soon as the status is known."""
    task = asyncio.ensure_future(call)
    while not task.done():
        egress.hurry()
        await asyncio.sleep(0)
    return await task


STALLS = {
    "body": framed("Content-Length: 999", body=COMPLETION),
    "body without a length": framed(body=COMPLETION),
    "chunks": chunked(COMPLETION, end=b""),
    "gzip": framed("Content-Length: 999", "Content-Encoding: gzip", body=gzip.compress(COMPLETION)[:-8]),
    "head": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n",
    "status": b"HTTP/1.1 205",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", STALLS.values(), ids=STALLS)
async def test_a_rest_that_never_comes_is_no_failure(kind: str, raw: bytes, egress: Egress, outgoing: Outgoing) -> None:
    result = await hurried(sent(kind, stalling(raw), egress, outgoing), egress)

    assert result.status == "delivered"
    assert "the rest of the answer did not come in time" in result.detail
    assert (COMPLETION in raw) <= (result.response == COMPLETION)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 20", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 Early Hints"])
async def test_without_a_status_a_timeout_is_a_failure(
    kind: str, raw: bytes, egress: Egress, outgoing: Outgoing
) -> None:
    result = await sent(kind, stalling(raw), egress, outgoing, timeout_seconds=1)

    assert (result.status, result.failure) == ("failed", Failure.TIMEOUT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
async def test_an_endless_body_is_no_failure(kind: str, coding: str | None, egress: Egress, outgoing: Outgoing) -> None:
    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        writer.write(framed(*[f"Content-Encoding: {coding}"] if coding else []))
        while True:
            plain = b"x" * 10_000
            writer.write(packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH) if coding else plain)
            await writer.drain()
            await asyncio.sleep(0)

    result = await sent(kind, endless, egress, outgoing)

    assert (result.status, result.response_status, result.response) == ("delivered", 200, b"x" * KEPT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", [b"", b"x"])
async def test_endless_members_of_gzip_are_no_failure(
    kind: str, member: bytes, egress: Egress, outgoing: Outgoing
) -> None:
    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(framed("Content-Encoding: gzip"))
        while True:
            writer.write(gzip.compress(member) * 100)
            await writer.drain()
            await asyncio.sleep(0)

    result = await sent(kind, endless, egress, outgoing)

    assert (result.status, result.response_status) == ("delivered", 200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 205, 206, 226, 299])
async def test_every_2xx_without_a_body_is_delivered(
    kind: str, status: int, egress: Egress, outgoing: Outgoing
) -> None:
    result = await sent(kind, answering(status), egress, outgoing)

    assert (result.status, result.response_status, result.response) == ("delivered", status, b"")


UNKNOWN = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP without a status": b"HTTP/1.1 \r\n\r\n",
    "two digits": b"HTTP/1.1 20",
    "four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status that goes on": b"HTTP/1.1 200OK\r\n\r\n",
    "hints alone": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "endless hints": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + response(200, COMPLETION),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_not_known_to_be_2xx_is_a_failure(
    kind: str, raw: bytes, egress: Egress, outgoing: Outgoing
) -> None:
    result = await sent(kind, saying(raw), egress, outgoing)

    assert (result.status, result.response_status, result.failure) == ("failed", None, Failure.UNREADABLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "expected"), [("302 Found", "failed"), ("410 Gone", "gone"), ("503 Busy", "failed")]
)
async def test_another_status_counts_whatever_follows_it(
    kind: str, status: str, expected: str, egress: Egress, outgoing: Outgoing
) -> None:
    cut = framed("Content-Length: 999", "Retry-After: 7", body=b"because", status=f"HTTP/1.1 {status}")

    result = await sent(kind, saying(cut), egress, outgoing)

    assert (result.status, result.response_status, result.failure) == (expected, int(status[:3]), Failure.STATUS)
    assert (result.response, result.retry_after and result.retry_after.seconds) == (b"because", 7)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hurry_ends_the_wait_for_the_rest_and_only_that(kind: str, outgoing: Outgoing, egress: Egress) -> None:
    arrived, silent = asyncio.Event(), asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.path.startswith("/silent"):
            silent.set()
        else:
            writer.write(framed("Content-Length: 999", body=COMPLETION))
            await writer.drain()
            arrived.set()
        await asyncio.Event().wait()

    async with serving(answer) as server:
        begun = asyncio.create_task(a_target(kind, f"{server.url}/begun", egress).send(outgoing))
        waiting = asyncio.create_task(a_target(kind, f"{server.url}/silent", egress).send(outgoing))
        await asyncio.gather(arrived.wait(), silent.wait())

        assert (await hurried(begun, egress)).status == "delivered"
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


# Any bytes

SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "role", "content", "tool_calls", "index", "function"])
            | st.text(),
            inner,
        )
    ),
)
ANY_JSON = SHAPES.map(lambda value: json.dumps(value).encode())
ANY_STREAM = st.lists(ANY_JSON | st.binary(max_size=20)).map(
    lambda parts: b"".join(b"data: " + part + b"\n\n" for part in parts)
)
ANY_BODY = (
    st.binary(max_size=200) | ANY_JSON | ANY_STREAM | SHAPES.map(lambda value: json.dumps(value).encode("utf-16"))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=ANY_BODY, coding=st.sampled_from([None, "gzip", "deflate", "br", "gzip, gzip"]), cut=st.integers(0, 3))
async def test_no_bytes_make_a_failure_of_a_2xx(
    body: bytes, coding: str | None, cut: int, egress: Egress, outgoing: Outgoing
) -> None:
    headers = [("Content-Encoding", coding)] if coding else []
    raw = response(200, body, *headers)
    for kind in KINDS:
        result = await sent(kind, saying(raw[: len(raw) - cut]), egress, outgoing)

        assert (result.status, result.response_status) == ("delivered", 200)
        assert_message(result)


def assert_message(result: Sent) -> None:
    """Check that the last message of a conversation, if there is one, says something."""
    if result.conversation is not None:
        last: dict[str, Any] = result.conversation[-1]
        assert isinstance(last["role"], str)
        assert last["content"] is not None or last.keys() & {"tool_calls", "function_call"}
