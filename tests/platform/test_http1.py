"""The parser reads an answer as h11, an independent parser, does, in whatever pieces the answer comes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.platform.http1 import Answer, Malformed, Unsendable, head_of
from tests.platform.odd_answers import READ, REFUSED, Odd, Refused


@dataclass(frozen=True)
class Read:
    """An answer as one of the two parsers understood it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    may_go_on: bool


def read(method: str, pieces: list[bytes]) -> Read | type[Exception]:
    answer = Answer(method)
    try:
        for piece in pieces:
            answer.receive(piece)
        if not answer.complete:
            answer.end()
    except (Malformed, EOFError) as error:
        return type(error)
    assert answer.head
    return Read(answer.head.status, answer.head.headers, b"".join(answer.take()), answer.ended_alone)


def read_by_h11(method: str, raw: bytes) -> Read | type[Exception]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    if raw:  # h11 takes empty data for the end of the connection
        connection.receive_data(raw)
    try:
        events = list(_events(connection))
    except h11.RemoteProtocolError:
        return Malformed
    except EOFError:
        return EOFError
    (head,) = [event for event in events if isinstance(event, h11.Response)]
    body = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
    may_go_on = connection.their_state is h11.DONE and connection.trailing_data == (b"", False)
    return Read(head.status_code, headers, body, may_go_on)


def _events(connection: h11.Connection) -> Iterator[object]:
    event: object = None
    while not isinstance(event, h11.EndOfMessage):
        event = connection.next_event()
        if event is h11.NEED_DATA:
            event = _at_the_end(connection)
        yield event


def _at_the_end(connection: h11.Connection) -> object:
    connection.receive_data(b"")
    try:
        return connection.next_event()
    except h11.RemoteProtocolError:
        raise EOFError from None


def in_pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return [raw[start:end] for start, end in pairwise(places) if start < end]


def chunked(body: bytes, size: int, extension: str, trailer: str) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(
        [
            *(b"%x%b\r\n%b\r\n" % (len(chunk), extension.encode(), chunk) for chunk in chunks),
            b"0\r\n%b\r\n" % trailer.encode(),
        ]
    )


values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"), min_size=1)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw an answer with any kind of length, whole or cut short, with or without hints before it and extra headers."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * draw(st.integers(0, 2))
    end = draw(st.sampled_from(["\r\n", "\n"]))
    status = draw(st.sampled_from([200, 201, 204, 205, 304, 404, 500]))
    lines = [f"HTTP/1.{draw(st.integers(0, 1))} {status} {draw(st.sampled_from(['OK', '', 'Not Found']))}"]
    lines += [f"X-{number}: {value}" for number, value in enumerate(draw(st.lists(values, max_size=3)))]
    body = draw(st.binary(max_size=100))
    match draw(st.sampled_from(["length", "chunks", "end"])):
        case "length":
            lines.append(f"content-LENGTH:{len(body) + draw(st.sampled_from([0, 0, 0, 5]))}  ")
        case "chunks":
            lines[0] = lines[0].replace("HTTP/1.0", "HTTP/1.1")
            lines.append("Transfer-Encoding: chunked")
            extension, trailer = draw(st.sampled_from(["", ";a=b"])), draw(st.sampled_from(["", "X-Sum: 1\r\n"]))
            body = chunked(body, draw(st.integers(1, 100)), extension, trailer)
    if draw(st.booleans()):
        keeps = [] if lines[0].startswith("HTTP/1.0") else ["keep-alive"]  # h11 ignores it in HTTP/1.0
        lines.append(f"Connection: {draw(st.sampled_from(['close', 'Close', *keeps]))}")
    raw = hint + end.join([*lines, "", ""]).encode("latin-1") + body
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


@given(answers(), st.sampled_from(["GET", "HEAD", "POST"]), st.lists(st.integers(0, 400), max_size=6))
def test_an_answer_is_what_h11_takes_it_for_in_whatever_pieces_it_comes(
    raw: bytes, method: str, cuts: list[int]
) -> None:
    expected = read_by_h11(method, raw)
    if method == "HEAD" and isinstance(expected, Read):
        expected = replace(expected, may_go_on=False)
    assert read(method, in_pieces(raw, cuts)) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_no_bytes_break_the_reader(raw: bytes, cuts: list[int]) -> None:
    read("GET", in_pieces(b"HTTP/1.1 200 OK\r\n" + raw, cuts))


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("more", [b"H", WHOLE, b"garbage", b"\x00"])
@pytest.mark.parametrize("apart", [False, True])
def test_words_behind_an_answer_do_not_change_it_and_end_the_connection(more: bytes, *, apart: bool) -> None:
    assert read("GET", [WHOLE, more] if apart else [WHOLE + more]) == Read(
        200, (("content-length", "2"),), b"hi", False
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(raw: bytes) -> None:
    assert read("GET", [raw]) is Malformed


def test_a_length_beside_chunks_is_passed_over_and_ends_the_connection() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    found = read("GET", [raw])
    assert isinstance(found, Read)
    assert (found.body, found.may_go_on) == (b"hi", False)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: 1\r\n"),
    ],
    ids=["head", "extension", "trailer"],
)
def test_nothing_that_is_not_body_goes_on_for_ever(start: bytes, more: bytes) -> None:
    assert read("GET", [start, *[more * 100] * 10_000]) is Malformed


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\rb", "\x00", "\x7f", "€"])
def test_a_request_holds_nothing_that_would_end_a_line(text: str) -> None:
    for arguments in ((text, "/", ()), ("GET", text, ()), ("GET", "/", [(text, "1")]), ("GET", "/", [("x", text)])):
        with pytest.raises(Unsendable):
            head_of(*arguments)


def test_a_request_is_as_the_rfc_has_it() -> None:
    assert (
        head_of("GET", "/a?b", [("host", "x"), ("x-a", "é\t1")])
        == b"GET /a?b HTTP/1.1\r\nhost: x\r\nx-a: \xe9\t1\r\n\r\n"
    )


# The corpus of odd answers


@pytest.mark.parametrize("step", [4096, 7, 1])
@pytest.mark.parametrize("odd", READ.values(), ids=READ)
def test_an_odd_but_readable_answer_is_read_in_whatever_pieces_it_comes(odd: Odd, step: int) -> None:
    if len(odd.raw) > 10_000:
        step *= 500
    answer = Answer(odd.method)
    for start in range(0, len(odd.raw), step):
        answer.receive(odd.raw[start : start + step])
    if not answer.complete:
        answer.end()

    assert answer.head
    assert answer.head.status == odd.status
    assert odd.header is None or odd.header in answer.head.headers
    assert answer.oddities == ((odd.said,) if odd.said else ())
    if "content-encoding" not in dict(answer.head.headers):
        assert b"".join(answer.take()) == odd.body


@pytest.mark.parametrize("step", [4096, 7, 1])
@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_refused_in_whatever_pieces_it_comes(refused: Refused, step: int) -> None:
    if len(refused.raw) > 10_000:
        step = min(500 * step, 4096)  # an answer is parsed in slices of that size
    pieces = [refused.raw[start : start + step] for start in range(0, len(refused.raw), step)]

    assert read("POST", pieces) is Malformed


folded = st.sampled_from(
    ["X-A: 1\r\n 2", "X-A: 1\r\n\t2\r\n  3", "X-A: a", "Content-Length: 2", "Content-Length: 2, 2"]
)


@given(st.lists(folded, max_size=5), st.binary(max_size=5), st.lists(st.integers(0, 200), max_size=6))
def test_a_mended_head_is_what_h11_takes_it_for(lines: list[str], body: bytes, cuts: list[int]) -> None:
    raw = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body

    ours, theirs = read("GET", in_pieces(raw, cuts)), read_by_h11("GET", raw)

    if isinstance(ours, Read) and isinstance(theirs, Read):
        # The connection of an answer that was mended is not used again.
        ours = replace(ours, headers=tuple(sorted(ours.headers)), may_go_on=False)
        theirs = replace(theirs, headers=tuple(sorted(theirs.headers)), may_go_on=False)
    assert ours == theirs
