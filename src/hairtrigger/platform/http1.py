"""HTTP/1.1 as a client speaks it (RFC 9112): a request to bytes, and an answer from bytes.

llhttp, Node's parser, reads the answers, as it reads requests for uvicorn. Each answer has a parser of its own, so that
nothing of one can be taken for the next.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools

Header = tuple[str, str]

_LARGEST_HEAD = 100 * 1024
_MOST_HEADERS = 1000
_MOST_HINTS = 20  # answers before the answer, such as 100 Continue and 103 Early Hints
_SWITCHING_PROTOCOLS, _FIRST_FINAL = 101, 200
_WITHOUT_BODY = frozenset({204, 304})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Malformed(Exception):
    """What came is not an HTTP answer."""


class Unsendable(Exception):
    """What can't stand in a request: a control character, or one that HTTP does not carry."""


def head_of(method: str, target: str, headers: Sequence[Header]) -> bytes:
    """The head of a request (RFC 9110, section 5.5). Raises Unsendable."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
    if _CONTROL.search("".join(lines)):
        raise Unsendable
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise Unsendable from None


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    reason: str
    headers: tuple[Header, ...] = field(repr=False)
    """As received, with names in lower case."""


class Answer:
    """What a server answers to one request, as it comes in.

    `head` is there once it is known; hints before it are passed over. `take` gives the body, without chunks. `begun`
    is the head as far as it was read, once the status is known: a head that breaks off or breaks the rules after its
    status has still told how the request ended.
    """

    def __init__(self, method: str) -> None:
        self._to_head = method == "HEAD"
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # What browsers accept, too. It is dangerous where strangers' answers share a connection, which they don't here.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._reason = b""
        self._headers: list[Header] = []
        self._status = 0
        self._hints = 0
        self._pieces: list[bytes] = []
        self._without_use = 0  # bytes in a row that were neither body nor the end of a head
        self._to_the_end = False  # of the connection: nothing else says how long the body is
        self._keeps_alive = False
        self.head: Head | None = None
        self.complete = False

    @property
    def begun(self) -> Head | None:
        """The head, or what came of it: its status at least."""
        if self.head or self._status < _FIRST_FINAL:
            return self.head
        return Head(self._status, self._reason.decode("latin-1"), tuple(self._headers))

    @property
    def ended_alone(self) -> bool:
        """Whether another request may follow on its connection, as far as the answer says."""
        return self.complete and self._keeps_alive

    def receive(self, data: bytes) -> None:
        """Raises Malformed."""
        assert self._parser
        self._without_use += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                refused = isinstance(error, httptools.HttpParserInvalidStatusError)
                self._status = 0 if refused else self._parser.get_status_code()
                raise Malformed from error
            self._keeps_alive = False
        self._status = self._parser.get_status_code()
        if self._without_use > _LARGEST_HEAD and not self.complete:
            raise Malformed

    def end(self) -> None:
        """The connection has ended. Raises EOFError if the answer has not."""
        if self._to_the_end:
            self.complete = True
        if not self.complete:
            raise EOFError

    def take(self) -> list[bytes]:
        """What has come of its body since the last time."""
        taken, self._pieces = self._pieces, []
        return taken

    def close(self) -> None:
        """It and its parser know each other, and would wait for the garbage collector."""
        self._parser = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._refuse_more()

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # others are trailers
            if len(self._headers) == _MOST_HEADERS:
                raise Malformed
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        assert self._parser
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            self._pass_over(status)
            return
        self._without_use = 0
        encodings = [value.lower() for name, value in self._headers if name == "transfer-encoding"]
        has_length = any(name == "content-length" for name, _ in self._headers)
        if encodings not in ([], ["chunked"]):
            raise Malformed
        self.head = Head(status, self._reason.decode("latin-1"), tuple(self._headers))
        if self._to_head:  # the parser does not know, and would not see the beginning of a body that there must not be
            self.complete = True
            return
        self._keeps_alive = self._parser.should_keep_alive() and not (encodings and has_length)
        self._to_the_end = not (encodings or has_length or status in _WITHOUT_BODY)

    def _pass_over(self, status: int) -> None:
        self._hints += 1
        if status == _SWITCHING_PROTOCOLS or self._hints > _MOST_HINTS:
            raise Malformed
        self._reason, self._headers = b"", []

    def on_body(self, piece: bytes) -> None:
        self._refuse_more()
        self._without_use = 0
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = self.head is not None

    def _refuse_more(self) -> None:
        """Words that nobody asked for."""
        if self.complete:
            raise Malformed
