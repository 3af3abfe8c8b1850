import asyncio
import gc
import gzip
import os
import socket
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import structlog.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.platform.egress import Egress, EgressFailed, EgressPolicy, Reason, Reply
from hairtrigger.platform.shares import Tenant
from tests.support.clock import pass_time
from tests.support.servers import Answer, Seen, answering, response, saying, serving

pytestmark = pytest.mark.anyio

LOOPBACK = EgressPolicy(
    allow=(ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("0.0.0.0/32"), ip_network("::/128"))
)
KIB = 1024
MIB = 1024 * 1024


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with Egress(LOOPBACK) as egress:
        yield egress


async def failure(egress: Egress, url: str, method: str = "GET", **options: object) -> Reason:
    with pytest.raises(EgressFailed) as failed:
        await egress.send(method, url, **options)  # type: ignore[arg-type]
    return failed.value.reason


# Addresses that may be called

SPELLINGS = [
    *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "LOCALHOST"),
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_loopback_is_reached(host: str) -> None:
    async with (
        serving(answering()) as v4,
        serving(answering(), host="::1", port=v4.port) as v6,
        Egress(EgressPolicy()) as egress,
    ):
        assert await failure(egress, f"http://{host}:{v4.port}/") == Reason.BLOCKED_ADDRESS
        assert v4.connections == v6.connections == 0


@pytest.mark.parametrize("host", SPELLINGS)
async def test_every_spelling_of_loopback_is_reached_where_an_operator_allows_it(host: str, egress: Egress) -> None:
    """Prove that the servers of the test above would notice a connection."""
    async with serving(answering()) as v4, serving(answering(), host="::1", port=v4.port) as v6:
        reply = await egress.send("GET", f"http://{host}:{v4.port}/")

        assert reply.status == 200
        assert v4.connections + v6.connections == 1


@pytest.mark.parametrize(
    "host",
    [
        *("[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
        *(
            "[::127.0.0.1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "169.254.169.254",
            "168.63.129.16",
            "10.0.0.1",
            "100.64.0.1",
        ),
    ],
)
async def test_private_addresses_are_refused_without_a_try(host: str) -> None:
    async with Egress(EgressPolicy()) as egress:
        assert await failure(egress, f"http://{host}/") == Reason.BLOCKED_ADDRESS


async def test_a_name_that_changes_its_mind_is_checked_at_every_connection() -> None:
    answers = iter([["127.0.0.2"], ["127.0.0.1"]])
    policy = EgressPolicy(allow=(ip_network("127.0.0.2/32"),))
    async with (
        serving(answering(200, b"", ("Connection", "close"))) as private,
        serving(answering(200, b"public", ("Connection", "close")), host="127.0.0.2", port=private.port) as public,
        Egress(policy, resolve=lambda _host, _port: next(answers)) as egress,
    ):
        url = f"http://rebinding.test:{private.port}/"
        assert (await egress.send("GET", url)).body == b"public"
        assert await failure(egress, url) == Reason.BLOCKED_ADDRESS
        assert (public.connections, private.connections) == (1, 0)


async def test_of_several_addresses_only_permitted_ones_are_tried() -> None:
    policy = EgressPolicy(allow=(ip_network("127.0.0.2/32"), ip_network("127.0.0.3/32")))
    closed_first = ["127.0.0.1", "127.0.0.3", "127.0.0.2"]
    async with (
        serving(answering()) as private,
        serving(answering(), host="127.0.0.2", port=private.port) as public,
        Egress(policy, resolve=lambda _host, _port: closed_first) as egress,
    ):
        assert (await egress.send("GET", f"http://many.test:{private.port}/")).status == 200
        assert (public.connections, private.connections) == (1, 0)


async def test_a_host_may_be_connected_to_elsewhere_and_the_address_there_is_what_is_checked() -> None:
    async with serving(answering(200, b"double")) as server:
        elsewhere = {("api.example.com", 80): ("127.0.0.1", server.port)}
        async with Egress(EgressPolicy(LOOPBACK.allow, elsewhere)) as egress:
            assert (await egress.send("GET", "http://api.example.com/")).body == b"double"
            assert server.seen[0].header("host") == "api.example.com"
        async with Egress(EgressPolicy(connect_to=elsewhere)) as egress:
            assert await failure(egress, "http://api.example.com/") == Reason.BLOCKED_ADDRESS


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    policy = EgressPolicy(allow=(ip_network("127.0.0.2/32"),))
    async with serving(answering()) as private, Egress(policy) as egress:
        redirect = answering(302, b"", ("Location", f"{private.url}/latest/meta-data"))
        async with serving(redirect, host="127.0.0.2") as public:
            assert await failure(egress, public.url, redirects="follow") == Reason.BLOCKED_ADDRESS
            assert private.connections == 0


async def test_proxies_of_the_environment_are_ignored(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering(200, b"proxy")) as proxy, serving(answering(200, b"target")) as target:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)

        assert (await egress.send("GET", target.url)).body == b"target"
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com:8080/", "ws://example.com:8080/", "gopher://example.com:8080/", "://example.com:8080/"),
        *("", "/", "//x", "http://", "http:///x", "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/"),
        *(
            "unix:///run/docker.sock",
            "http+unix://%2Frun%2Fdocker.sock/",
            "javascript:1",
            "http://user:pass@example.com/",
        ),
        *("http://example.com:22/", "http://example.com:25/", "http://example.com:0/", "http://example.com:65536/"),
        *(
            "http://a\\@b/",
            "http://exa%6dple.com/",
            "http://[::1%25lo]/",
            "http://exa mple.com/",
            "http://[::1/",
            "ws://x/",
        ),
        *(
            "http://exam\nple.com/",
            "http://example.com/\x00",
            "http://\udc80/",
            "http://１２７.0.0.1/",
            "http://0177.0.0.1/",
        ),
    ],
)
async def test_urls_that_can_not_be_called_are_refused(url: str, egress: Egress) -> None:
    assert await failure(egress, url) == Reason.BAD_URL


@pytest.fixture(scope="module")
def unresolved() -> Egress:
    return Egress(EgressPolicy(), resolve=lambda _host, _port: ["127.0.0.1"])


@given(url=st.text() | st.text().map("http://127.0.0.1:1/{}".format) | st.text().map("http://{}/".format))
def test_any_text_as_a_url_fails_in_our_own_words(url: str, unresolved: Egress) -> None:
    with pytest.raises(EgressFailed):
        asyncio.run(unresolved.send("GET", url))


async def test_an_unknown_name_a_closed_port_and_a_blocked_address_are_told_alike(egress: Egress) -> None:
    async with serving(answering()) as server:
        closed = server.url
    messages = set()
    for url, reason in {
        "http://nowhere.invalid/": Reason.DNS,
        "http://a..b/": Reason.DNS,
        closed: Reason.CONNECT,
        "http://10.0.0.1/": Reason.BLOCKED_ADDRESS,
    }.items():
        with pytest.raises(EgressFailed) as failed:
            await egress.send("GET", url)
        assert failed.value.reason == reason
        messages.add(str(failed.value))

    assert messages == {"The address could not be reached."}


# Requests


async def test_a_request_arrives_as_given(egress: Egress) -> None:
    async with serving(answering(201, b"made", ("X-Id", "7"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))) as server:
        reply = await egress.send(
            "POST", f"{server.url}/a%20b/ü?q=1&q=2#part", headers=[("X-A", "1"), ("X-A", "é")], body=b"\x00\xff"
        )
        (seen,) = server.seen

    assert (seen.method, seen.path, seen.body) == ("POST", "/a%20b/%C3%BC?q=1&q=2", b"\x00\xff")
    assert [value for name, value in seen.headers if name == "x-a"] == ["1", "é"]
    assert seen.header("host") == f"127.0.0.1:{server.port}"
    assert seen.header("content-length") == "2"
    assert (reply.status, reply.reason, reply.body) == (201, "Whatever", b"made")
    assert reply.header("X-ID") == "7"
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert "a=1" not in repr(reply)
    assert reply.url == f"{server.url}/a%20b/%C3%BC?q=1&q=2"
    assert not reply.redirected


async def test_the_host_of_an_ipv6_address_keeps_its_brackets(egress: Egress) -> None:
    async with serving(answering(), host="::1") as server:
        await egress.send("GET", server.url)

        assert server.seen[0].header("host") == f"[::1]:{server.port}"


async def test_cookies_are_not_kept(egress: Egress) -> None:
    async with serving(answering(200, b"", ("Set-Cookie", "session=1"))) as server:
        await egress.send("GET", server.url)
        await egress.send("GET", server.url)

        assert server.seen[1].header("cookie") is None


async def test_a_caller_does_not_decide_how_a_request_is_framed(egress: Egress) -> None:
    framing = {
        "Host": "internal",
        "Content-Length": "0",
        "Transfer-Encoding": "chunked",
        "Connection": "upgrade",
        "Upgrade": "websocket",
        "Accept-Encoding": "br",
        "Expect": "100-continue",
    }
    async with serving(answering()) as server:
        await egress.send("POST", server.url, headers=framing, body=b"abc")
        (seen,) = server.seen

    assert seen.body == b"abc"
    assert seen.header("host") == f"127.0.0.1:{server.port}"
    assert seen.header("accept-encoding") == "gzip"
    assert {seen.header(name) for name in ("transfer-encoding", "connection", "upgrade", "expect")} == {None}


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "1\r\nX-B: 2"}, {"X-A": "1\n2"}, {"X-A": "\x00"}, {"X-A\r\n": "1"}, {"X A": "1"}, {"": "1"}, {"X-A": "€"}],
)
async def test_headers_that_would_break_a_request_are_refused(headers: dict[str, str], egress: Egress) -> None:
    async with serving(answering()) as server:
        assert await failure(egress, server.url, headers=headers) == Reason.BAD_REQUEST
        assert server.seen == []


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "track", "GET /", "GET\r\n", ""])
async def test_methods_that_are_no_requests_are_refused(method: str, egress: Egress) -> None:
    with pytest.raises(EgressFailed) as failed:
        await egress.send(method, "http://127.0.0.1/")

    assert failed.value.reason == Reason.BAD_REQUEST


# Answers


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_have_none(status: int, egress: Egress) -> None:
    async with serving(answering(status, b"", ("Content-Encoding", "gzip"))) as server:
        assert (await egress.send("GET", server.url)).body == b""


async def test_the_answer_to_head_has_no_body_whatever_it_announces(egress: Egress) -> None:
    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n")

    async with serving(answer) as server:
        assert (await egress.send("HEAD", server.url)).body == b""


async def test_a_compressed_answer_is_decompressed(egress: Egress) -> None:
    members = gzip.compress(b"one ") + gzip.compress(b"two")
    async with serving(answering(200, members, ("Content-Encoding", "gzip"))) as server:
        assert (await egress.send("GET", server.url)).body == b"one two"


def bare(data: bytes) -> bytes:
    """Deflate without zlib's frame, as some servers do."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
        ("", bytes),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("gzip, identity,, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ],
)
@pytest.mark.parametrize("data", [b"", b"x", b"abc" * 30_000, bytes(100 * KIB), os.urandom(70 * KIB)])
async def test_every_coding_that_is_known_is_undone(
    coding: str, coded: Callable[[bytes], bytes], data: bytes, egress: Egress
) -> None:
    async with serving(answering(200, coded(data), ("Content-Encoding", coding))) as server:
        reply = await egress.send("GET", server.url)

        assert (reply.body, reply.flaw) == (data, None)
        assert server.connections == 1


async def test_codings_in_several_headers_are_undone_one_after_another(egress: Egress) -> None:
    headers = [("Content-Encoding", "deflate"), ("Content-Encoding", "gzip")]
    async with serving(answering(200, gzip.compress(zlib.compress(b"x")), *headers)) as server:
        assert (await egress.send("GET", server.url)).body == b"x"


@pytest.mark.parametrize("coding", ["br", "zstd", "aws-chunked", "gzip, br", "gzip, gzip, gzip, gzip"])
async def test_a_coding_that_is_not_undone_is_left_to_the_caller(coding: str, egress: Egress) -> None:
    async with serving(answering(200, b"as it is", ("Content-Encoding", coding))) as server:
        reply = await egress.send("GET", server.url)

    assert (reply.body, reply.flaw) == (b"as it is", Reason.ENCODED)


async def turns_while(call: Awaitable[Reply]) -> tuple[EgressFailed | Reply, int]:
    """Return the result of a call, and how many turns of the loop other tasks had meanwhile."""
    task, turns = asyncio.ensure_future(call), 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    error = task.exception()
    assert error is None or isinstance(error, EgressFailed)
    return error or task.result(), turns


EMPTY = gzip.compress(b"", mtime=0)


def empty_blocks(count: int) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH) * count + packer.flush()


# A body, its coding, and the least number of steps to decode it. At most 16 steps fit between two turns of the loop.
COSTLY: dict[str, tuple[bytes, str, int]] = {
    "empty members": (EMPTY * (MIB // len(EMPTY)), "gzip", 2 * MIB // 300),
    "tiny members": (gzip.compress(b"x", mtime=0) * 40_000, "gzip", 2 * MIB // 300),
    "empty blocks": (empty_blocks(2 * MIB // 5), "gzip", 2 * MIB // KIB - 1),
    "zeros": (gzip.compress(bytes(2 * MIB)), "gzip", 2 * MIB // (16 * KIB)),
    "noise": (gzip.compress(os.urandom(MIB)), "gzip", MIB // KIB),
    "a stack": (gzip.compress(EMPTY * (4 * MIB // len(EMPTY))), "gzip, gzip", 2 * MIB // 300),
}


@pytest.mark.parametrize(("body", "coding", "steps"), COSTLY.values(), ids=COSTLY)
async def test_decompression_lets_others_have_their_turn_and_counts_what_it_costs(
    body: bytes, coding: str, steps: int, egress: Egress
) -> None:
    async with serving(answering(200, body, ("Content-Encoding", coding))) as server:
        ended, turns = await turns_while(egress.send("GET", server.url))

    assert turns >= steps // 16
    assert ended.cost >= MIB


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (EMPTY * 10_000, "gzip"),
        (gzip.compress(EMPTY * 10_000), "gzip, gzip"),
        (gzip.compress(empty_blocks(MIB)), "gzip, gzip"),
        (gzip.compress(bytes(3 * MIB)), "gzip"),
    ],
    ids=["members", "members in members", "empty blocks", "zeros"],
)
async def test_little_that_takes_long_to_read_counts_as_much(body: bytes, coding: str, egress: Egress) -> None:
    assert len(body) < 256 * KIB
    async with serving(answering(200, body, ("Content-Encoding", coding))) as server:
        assert await failure(egress, server.url) == Reason.TOO_LARGE


async def test_crumbs_and_headers_let_others_have_their_turn(egress: Egress) -> None:
    crumbs = b"1\r\nx\r\n" * 30_000
    headers = b"a:b\r\n" * 900
    raw = b"HTTP/1.1 200 OK\r\n" + headers + b"Transfer-Encoding: chunked\r\n\r\n" + crumbs + b"0\r\n\r\n"
    async with serving(saying(raw)) as server:
        ended, turns = await turns_while(egress.send("GET", server.url))

    assert isinstance(ended, Reply)
    assert ended.body == b"x" * 30_000
    assert ended.cost > 1_900_000
    assert turns >= len(raw) // (32 * KIB)


async def test_what_redirects_cost_is_counted_too(egress: Egress) -> None:
    answers = {"/": answering(302, b"x" * 1000, ("Location", "/next")), "/next": answering(200, b"y" * 10)}
    async with serving(by_path(answers)) as server:
        reply = await egress.send("GET", f"{server.url}/", redirects="follow")

    assert (reply.body, reply.cost) == (b"y" * 10, 1010)


async def test_what_was_read_before_a_failure_is_counted(egress: Egress) -> None:
    refused = {"/": answering(302, b"x" * 1000, ("Location", "ftp://example.com/"))}
    cut = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1000)
    for answer in (by_path(refused), cut):
        async with serving(answer) as server:
            with pytest.raises(EgressFailed) as failed:
                await egress.send("GET", f"{server.url}/", redirects="follow")

        assert failed.value.cost == 1000


async def test_an_ordinary_answer_costs_what_it_is_large(egress: Egress) -> None:
    for body, headers in ((b"x" * 28, ()), (gzip.compress(b"x" * 5000), (("Content-Encoding", "gzip"),))):
        async with serving(answering(200, body, *headers)) as server:
            reply = await egress.send("GET", server.url)

        assert reply.cost == len(reply.body)


async def test_one_who_reads_slowly_is_sent_no_more_than_it_takes(egress: Egress) -> None:
    """Received bytes stay in the system's buffers while there is enough to parse."""
    written = 0

    async def fast(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 64 * KIB)
            written += 64 * KIB
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(fast) as server:
        await egress.turns.take(KIB)
        reply = await egress.send("GET", server.url, max_bytes=MIB, cut=True)

    assert len(reply.body) == MIB
    assert written < 32 * MIB  # the buffers of the system take so much, and ours do not


async def test_a_long_url_or_name_is_not_remembered() -> None:
    long = "a" * 30_000
    async with Egress(EgressPolicy()) as egress:
        assert await failure(egress, "http://127.0.0.1/warm", headers={"x-warm": "1"}) == Reason.BLOCKED_ADDRESS
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(200):
            assert await failure(egress, f"http://127.0.0.1/{number}{long}") == Reason.BLOCKED_ADDRESS
            named = {f"x{number}{long}": "1"}
            assert await failure(egress, "http://127.0.0.1/", headers=named) == Reason.BLOCKED_ADDRESS
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert after - before < 2 * MIB


async def test_a_small_answer_that_decompresses_to_much_is_refused_and_takes_no_memory(egress: Egress) -> None:
    bomb = gzip.compress(bytes(200 * MIB))
    async with serving(answering(200, bomb, ("Content-Encoding", "gzip"))) as server:
        tracemalloc.start()
        assert await failure(egress, server.url) == Reason.TOO_LARGE
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 12 * MIB


async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(64 * KIB) + b"\r\n")
        await writer.drain()


async def endless_nothing(_: Seen, writer: asyncio.StreamWriter) -> None:
    """Send a gzip stream of empty members without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
    while True:
        writer.write(gzip.compress(b"") * 1000)
        await writer.drain()


@pytest.mark.parametrize("answer", [endless, endless_nothing])
async def test_an_endless_answer_is_left(answer: Answer, egress: Egress) -> None:
    async with serving(answer) as server:
        assert await failure(egress, server.url, max_bytes=100 * KIB) == Reason.TOO_LARGE


async def test_an_answer_in_very_many_crumbs_counts_as_large(egress: Egress) -> None:
    def crumbs(count: int) -> Answer:
        return saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * count + b"0\r\n\r\n")

    async with serving(crumbs(1000)) as few, serving(crumbs(10_000)) as many:
        assert (await egress.send("GET", few.url, max_bytes=100 * KIB)).body == b"x" * 1000
        assert await failure(egress, many.url, max_bytes=100 * KIB) == Reason.TOO_LARGE


async def test_hints_before_an_answer_are_passed_over_but_not_for_ever(egress: Egress) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    async with serving(saying(hint * 3 + response(200, b"x"))) as few, serving(saying(hint * 100)) as many:
        assert (await egress.send("GET", few.url)).body == b"x"
        assert await failure(egress, many.url) == Reason.MALFORMED


async def test_endless_headers_are_left(egress: Egress) -> None:
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    written = 0

    async def endless_headers(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(line)
            written += len(line)
            await writer.drain()

    async with serving(endless_headers) as server:
        assert await failure(egress, server.url) == Reason.MALFORMED

    assert written < 16 * MIB  # the buffers of the system take so much, and ours do not


async def test_the_beginning_of_a_large_answer_is_enough_for_those_who_say_so(egress: Egress) -> None:
    async with serving(endless) as server:
        reply = await egress.send("GET", server.url, max_bytes=1000, cut=True)

        assert (reply.status, reply.body) == (200, bytes(1000))
        await egress.send("GET", server.url, max_bytes=1000, cut=True)
        assert server.connections == 2  # a new connection, because the rest of the first answer is not read


async def test_an_answer_of_exactly_the_largest_size_is_accepted(egress: Egress) -> None:
    async with serving(answering(200, b"x" * 1000)) as server:
        assert len((await egress.send("GET", server.url, max_bytes=1000)).body) == 1000
        assert await failure(egress, server.url, max_bytes=999) == Reason.TOO_LARGE


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
        b"HTTP/1.1 200 OK\r\n",
        b"",
        response(200, gzip.compress(b"x" * 1000, mtime=0)[:-9], ("Content-Encoding", "gzip")),
    ],
)
async def test_an_answer_that_ends_early_is_an_error(raw: bytes, egress: Egress) -> None:
    async with serving(saying(raw)) as server:
        assert await failure(egress, server.url) == Reason.TRUNCATED


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        response(200, b"not gzip", ("Content-Encoding", "gzip")),
        response(200, gzip.compress(b"x", mtime=0) + b"garbage", ("Content-Encoding", "gzip")),
    ],
)
async def test_what_is_not_an_http_answer_is_an_error(raw: bytes, egress: Egress) -> None:
    async with serving(saying(raw)) as server:
        assert await failure(egress, server.url) == Reason.MALFORMED


DEADLINE = timedelta(hours=1)  # the servers below let this time pass


async def silent(_: Seen, __: asyncio.StreamWriter) -> None:
    pass_time(DEADLINE)
    await asyncio.Event().wait()


async def trickling(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for passed in (0.4, 0.4, 0.4):
        writer.write(b"x")
        await writer.drain()
        pass_time(DEADLINE * passed)
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [silent, trickling])
async def test_the_deadline_spans_the_whole_call(answer: Answer, egress: Egress) -> None:
    async with serving(answer) as server:
        assert await failure(egress, server.url, timeout=DEADLINE) == Reason.TIMEOUT


async def message(egress: Egress, url: str, **options: object) -> str:
    with pytest.raises(EgressFailed) as failed:
        await egress.send("GET", url, **options)  # type: ignore[arg-type]
    assert failed.value.told == failed.value.message
    return failed.value.message


async def test_a_limit_that_ends_a_call_is_named(egress: Egress) -> None:
    async with serving(silent) as hanging, serving(answering(200, bytes(3 * MIB))) as large:
        late = await message(egress, hanging.url, timeout=DEADLINE)
        bytes_ = await message(egress, large.url, max_bytes=999)
        megabytes = await message(egress, large.url, max_bytes=2 * MIB)

    assert late == "The answer took longer than 3600 seconds."
    assert bytes_ == "The answer is larger than 999 bytes."
    assert megabytes == "The answer is larger than 2 MB."


async def test_a_reason_that_maps_our_network_is_not_told(egress: Egress) -> None:
    with pytest.raises(EgressFailed) as failed:
        await egress.send("GET", "http://10.0.0.1/")

    assert failed.value.told == ""


async def test_the_service_names_itself_and_a_caller_may_name_another() -> None:
    async with (
        serving(answering(200, b"")) as server,
        Egress(LOOPBACK, user_agent="ours/1 (+https://x.example)") as egress,
    ):
        await egress.send("GET", server.url)
        await egress.send("GET", server.url, headers={"User-Agent": "theirs/2"})

    assert [seen.header("user-agent") for seen in server.seen] == ["ours/1 (+https://x.example)", "theirs/2"]


async def test_the_deadline_spans_redirects_too(egress: Egress) -> None:
    async def slow_redirect(_: Seen, writer: asyncio.StreamWriter) -> None:
        pass_time(DEADLINE * 0.4)
        writer.write(response(302, b"", ("Location", "/again")))

    async with serving(slow_redirect) as server:
        reason = await failure(egress, server.url, timeout=DEADLINE, redirects="follow")
        assert reason == Reason.TIMEOUT
        assert len(server.seen) == 3


async def test_a_name_that_is_never_resolved_ends_at_the_deadline() -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()

    def hanging(_host: str, _port: int) -> Sequence[str]:
        loop.call_soon_threadsafe(pass_time, DEADLINE)
        stop.wait()
        return []

    try:
        async with Egress(LOOPBACK, resolve=hanging) as egress:
            assert await failure(egress, "http://hanging.test/", timeout=DEADLINE) == Reason.TIMEOUT
    finally:
        stop.set()


# Redirects


def by_path(answers: dict[str, Answer]) -> Answer:
    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answers[seen.path](seen, writer)

    return answer


SECRETS = {"Authorization": "Bearer 1", "Cookie": "a=1", "X-Api-Key": "1", "PRIVATE-TOKEN": "1", "Accept": "text/x"}


async def test_credentials_stay_with_their_origin(egress: Egress) -> None:
    async with serving(answering()) as other:
        elsewhere = answering(302, b"", ("Location", f"{other.url}/elsewhere"))
        here = answering(302, b"", ("Location", "/here"))
        async with serving(by_path({"/": here, "/here": elsewhere})) as server:
            reply = await egress.send("GET", f"{server.url}/", headers=SECRETS, redirects="follow")

            assert all(server.seen[1].header(name.lower()) == value for name, value in SECRETS.items())
            assert {name for name, _ in other.seen[0].headers} == {"host", "accept", "accept-encoding", "user-agent"}
            assert (reply.url, reply.redirected) == (f"{other.url}/elsewhere", True)


@pytest.mark.parametrize(
    ("status", "method", "then", "with_body"),
    [
        *((301, "POST", "GET", False), (302, "POST", "GET", False), (303, "POST", "GET", False)),
        *(
            (303, "PUT", "GET", False),
            (301, "PUT", "PUT", True),
            (307, "POST", "POST", True),
            (308, "POST", "POST", True),
        ),
        (303, "HEAD", "HEAD", True),
    ],
)
async def test_a_redirect_changes_the_method_as_fetch_does(
    status: int, method: str, then: str, with_body: bool, egress: Egress
) -> None:
    answers = {"/": answering(status, b"", ("Location", "/next")), "/next": answering()}
    async with serving(by_path(answers)) as server:
        await egress.send(method, f"{server.url}/", headers={"Content-Type": "text/x"}, body=b"abc", redirects="follow")
        seen = server.seen[1]

    assert seen.method == then
    assert (seen.body, seen.header("content-type")) == ((b"abc", "text/x") if with_body else (b"", None))


async def test_redirects_are_shown_refused_or_followed_as_asked(egress: Egress) -> None:
    async with serving(answering(302, b"", ("Location", "/loop"))) as server:
        assert (await egress.send("GET", server.url)).status == 302
        assert await failure(egress, server.url, redirects="error") == Reason.REDIRECTED
        assert len(server.seen) == 2
        assert await failure(egress, server.url, redirects="follow") == Reason.TOO_MANY_REDIRECTS
        assert len(server.seen) == 2 + 1 + 20


async def test_a_redirect_without_a_location_is_an_answer(egress: Egress) -> None:
    async with serving(answering(302)) as server:
        assert (await egress.send("GET", server.url, redirects="follow")).status == 302


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user@127.0.0.1/", "http://127.0.0.1:25/", "http://["]
)
async def test_a_redirect_to_what_can_not_be_called_is_refused(location: str, egress: Egress) -> None:
    async with serving(answering(302, b"", ("Location", location))) as server:
        assert await failure(egress, server.url, redirects="follow") == Reason.BAD_URL


# Connections


async def test_a_connection_is_used_again(egress: Egress) -> None:
    async with serving(answering(200, b"x")) as server:
        for _ in range(10):
            await egress.send("GET", server.url)

        assert server.connections == 1


async def test_words_nobody_asked_for_are_not_taken_for_the_next_answer(egress: Egress) -> None:
    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, seen.path.encode()) + response(408, b"You were too slow."))

    async with serving(answer) as server:
        for path in ("/1", "/2", "/3"):
            assert (await egress.send("GET", f"{server.url}{path}")).body == path.encode()


async def test_words_said_between_requests_end_a_connection(egress: Egress) -> None:
    let_go = asyncio.Event()

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(200, b"x"))
        await answered.wait()
        writer.write(response(408, b"You were too slow."))
        await reader.read()  # until the client has closed the connection
        writer.close()
        let_go.set()

    async with await asyncio.start_server(impatient, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for _ in range(3):
            answered = asyncio.Event()
            assert (await egress.send("GET", f"http://127.0.0.1:{port}/")).body == b"x"
            answered.set()
            await let_go.wait()
            let_go.clear()


async def test_a_connection_the_server_closed_is_replaced(egress: Egress) -> None:
    let_go = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(200, b"x"))
        writer.write_eof()
        await reader.read()  # until the client has closed the connection too
        writer.close()
        let_go.set()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for _ in range(3):
            assert (await egress.send("GET", f"http://127.0.0.1:{port}/")).body == b"x"
            await let_go.wait()
            let_go.clear()


async def test_a_cancelled_call_leaves_no_half_read_connection_behind(egress: Egress) -> None:
    arrived = asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.path == "/slow":
            arrived.set()
            await asyncio.Event().wait()
        writer.write(response(200, b"x"))

    async with serving(answer) as server:
        await egress.send("GET", f"{server.url}/")
        call = asyncio.create_task(egress.send("GET", f"{server.url}/slow"))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert (await egress.send("GET", f"{server.url}/")).body == b"x"
        assert server.connections == 2


async def test_many_calls_at_once_each_get_their_own_answer(egress: Egress) -> None:
    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, seen.body))

    async with serving(answer) as server, asyncio.TaskGroup() as calls:
        sent = [calls.create_task(egress.send("POST", server.url, body=b"%d" % number)) for number in range(700)]
        replies = await asyncio.gather(*sent)
        assert [reply.body for reply in replies] == [b"%d" % number for number in range(700)]
        assert server.connections <= 500


async def test_an_answer_that_comes_before_the_body_was_read_is_taken(egress: Egress) -> None:
    done = asyncio.Event()
    connections: list[asyncio.StreamWriter] = []

    async def hasty(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(response(413, b"too large"))
        await done.wait()
        writer.close()

    async with await asyncio.start_server(hasty, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for _ in range(2):
            reply = await egress.send("POST", f"http://127.0.0.1:{port}/", body=bytes(20 * MIB))
            assert (reply.status, reply.body) == (413, b"too large")
        assert len(connections) == 2  # the first connection still had a body to send
        done.set()


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a key and a self-signed certificate for localhost, and return their file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_nobody_vouches_for_is_refused(egress: Egress, server_tls: ssl.SSLContext) -> None:
    async with serving(answering(), tls=server_tls) as server:
        assert await failure(egress, f"https://localhost:{server.port}/") == Reason.TLS
        assert server.seen == []


async def test_tls_works_with_an_operators_own_authority_and_checks_the_name(
    certificate: Path, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(certificate))
    async with Egress(LOOPBACK) as egress, serving(answering(200, b"x" * MIB), tls=server_tls) as server:
        for _ in range(3):
            assert len((await egress.send("POST", f"https://localhost:{server.port}/", body=bytes(MIB))).body) == MIB
        assert server.connections == 1

        assert await failure(egress, f"https://127.0.0.1:{server.port}/") == Reason.TLS


async def test_a_server_that_speaks_no_tls_is_refused(egress: Egress) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(400))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert await failure(egress, f"https://127.0.0.1:{port}/") == Reason.TLS


# Tenants


ONE, OTHER = Tenant("one", "a"), Tenant("other", "b")


async def test_connections_are_never_shared_between_organisations(egress: Egress) -> None:
    async with serving(answering()) as server:
        for tenant in (ONE, OTHER, Tenant("one", "another project"), OTHER):
            await egress.of(tenant).send("GET", server.url)
        assert server.connections == 2


async def test_an_organisation_that_fills_the_connections_leaves_some_to_others(egress: Egress) -> None:
    """One organisation alone still gets 500 at a time."""
    come, many, go = 0, asyncio.Event(), asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal come
        if seen.path == "/slow":
            come += 1
            if come == 500:
                many.set()
            await go.wait()
        writer.write(response(200, b"x"))

    async with serving(answer) as server, asyncio.TaskGroup() as calls:
        hostile = egress.of(ONE)
        for _ in range(700):
            calls.create_task(hostile.send("GET", f"{server.url}/slow", timeout=DEADLINE))
        await many.wait()
        others = [egress.of(Tenant("one", "b")), *(egress.of(Tenant(f"other {number}")) for number in range(20))]
        replies = await asyncio.gather(*(other.send("GET", server.url, timeout=DEADLINE) for other in others))
        assert [reply.body for reply in replies] == [b"x"] * 21
        assert come == 500
        go.set()


async def test_names_that_hang_take_no_thread_of_another_organisation() -> None:
    """Calls of one organisation for the same name wait in one thread."""
    stop, hang = threading.Event(), threading.Semaphore(0)

    def resolve(host: str, _port: int) -> Sequence[str]:
        if host.startswith("hanging"):
            hang.release()
            stop.wait()
        return ["127.0.0.1"]

    async with serving(answering()) as server, Egress(LOOPBACK, resolve=resolve) as egress:
        hostile = egress.of(ONE)
        calls = [
            asyncio.create_task(hostile.send("GET", f"http://hanging-{number // 10}.test/", timeout=DEADLINE))
            for number in range(1000)
        ]
        try:
            await asyncio.gather(*(asyncio.to_thread(hang.acquire) for _ in range(32)))
            reply = await egress.of(OTHER).send("GET", f"http://quick.test:{server.port}/", timeout=DEADLINE)
            assert reply.status == 200
            assert not hang.acquire(blocking=False)
        finally:
            for call in calls:
                call.cancel()
            stop.set()
            await asyncio.gather(*calls, return_exceptions=True)


async def test_an_organisation_with_many_idle_connections_costs_no_other_its_own(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairtrigger.platform.connections._OPEN", 3)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving(answering())) for _ in range(5)]
        ours = servers[0]
        await egress.of(OTHER).send("GET", ours.url)
        for server in servers[1:]:
            await egress.of(ONE).send("GET", server.url)
        await egress.of(OTHER).send("GET", ours.url)
        assert ours.connections == 1


async def test_as_many_redirects_are_followed_as_the_standard_says(egress: Egress) -> None:
    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        left = int(seen.path.removeprefix("/"))
        writer.write(response(302, b"", ("Location", f"/{left - 1}")) if left else response(200, b"end"))

    async with serving(answer) as server:
        reply = await egress.send("GET", f"{server.url}/20", redirects="follow")
        assert (reply.body, reply.redirected) == (b"end", True)
        assert await failure(egress, f"{server.url}/21", redirects="follow") == Reason.TOO_MANY_REDIRECTS


# A server that ends an idle connection at the moment of the next request


@dataclass
class HangsUp:
    """A server that keeps a connection open for one answer, and ends it when the next request has come."""

    asked: list[str] = field(default_factory=list)
    first: bytes = b""
    """What it says before it ends the connection."""

    _answered: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.asked.append(seen.method)
        if writer not in self._answered:
            self._answered.add(writer)
            writer.write(response(200, b"" if seen.method == "HEAD" else b"x"))
        else:
            writer.write(self.first)
            writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_a_connection_that_ends_before_the_answer_is_replaced_once(method: str, egress: Egress) -> None:
    hangs_up = HangsUp()
    async with serving(hangs_up) as server:
        await egress.send("GET", server.url)
        assert (await egress.send(method, server.url)).status == 200

    assert hangs_up.asked == ["GET", method, method]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("method", "first"), [("POST", b""), ("PATCH", b""), ("GET", b"H"), ("GET", b"HTTP/1.1 200 OK\r\n")]
)
async def test_a_request_that_may_have_been_taken_is_not_repeated(method: str, first: bytes, egress: Egress) -> None:
    hangs_up = HangsUp(first=first)
    async with serving(hangs_up) as server:
        await egress.send("GET", server.url)
        assert await failure(egress, server.url, method=method) == Reason.TRUNCATED

    assert hangs_up.asked == ["GET", method]


async def test_a_new_connection_that_ends_before_the_answer_is_not_replaced(egress: Egress) -> None:
    async with serving(saying(b"")) as server:
        assert await failure(egress, server.url) == Reason.TRUNCATED
        assert server.connections == 1


# The truth about what can't be reached


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def unknown(host: str, port: int) -> Sequence[str]:
    del port
    if host == "unknown.test":
        raise socket.gaierror(-2, "Name or service not known")
    return ["10.1.2.3" if host == "private.test" else host]


async def operator(org: str) -> bool:
    return org == "operator"


@pytest.mark.parametrize(
    ("url", "reason", "said"),
    [
        (
            "http://private.test/",
            Reason.BLOCKED_ADDRESS,
            ["private.test leads to 10.1.2.3", "EGRESS_ALLOW=10.1.2.3/32"],
        ),
        ("http://127.0.0.1/", Reason.BLOCKED_ADDRESS, ["EGRESS_ALLOW=127.0.0.0/8"]),
        ("http://unknown.test/", Reason.DNS, ["The name unknown.test is not known"]),
        ("http://127.9.9.9:{port}/", Reason.CONNECT, ["127.9.9.9 did not take the connection at port {port}"]),
    ],
)
async def test_the_operator_is_told_why_an_address_can_not_be_reached_and_others_are_not(
    url: str, reason: Reason, said: list[str]
) -> None:
    port = closed_port()
    policy = EgressPolicy(allow=(ip_network("127.9.9.9/32"),))
    with structlog.testing.capture_logs() as logged:
        async with Egress(policy, resolve=unknown, is_operator=operator) as egress:
            failed = {}
            for org in ("operator", "other", ""):
                its = egress.of(Tenant(org, "project"))
                with pytest.raises(EgressFailed) as raised:
                    await its.send("GET", url.format(port=port))
                assert raised.value.reason is reason
                failed[org] = raised.value.message
                checked = await its.check(url.format(port=port), at_most=timedelta(seconds=60))
                if org != "operator" and reason is Reason.CONNECT:
                    assert checked is None, "others can't use the check to look for open ports"
                else:
                    assert checked == raised.value.message

    assert all(part.format(port=port) in failed["operator"] for part in said)
    assert failed["other"] == failed[""] == "The address could not be reached."
    assert [line["why"] for line in logged] == [failed["operator"]], "the log tells it once"


async def test_a_check_of_what_can_be_called_says_nothing() -> None:
    async with serving(answering()) as server, Egress(LOOPBACK, is_operator=operator) as egress:
        for org in ("operator", "other"):
            assert await egress.of(Tenant(org)).check(server.url, at_most=timedelta(seconds=60)) is None
        assert "no password" in str(await egress.check("http://u:p@x.test/", at_most=timedelta(seconds=60)))
    assert server.seen == []
