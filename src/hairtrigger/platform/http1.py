"""Turn a request into bytes, and bytes into an answer: the client's side of HTTP/1.1 (RFC 9112).

Node's parser, llhttp, parses the answers; uvicorn parses requests with it, too. Each answer has a parser of its own, so
that no byte of one answer can count as part of the next one. A head that llhttp refuses is mended, if RFC 9112 says
how, and parsed again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools

from hairtrigger.platform.heads import final_head, is_mendable, mend

Header = tuple[str, str]

_LARGEST_HEAD = 100 * 1024
_MOST_HEADERS = 1000
_MOST_HINTS = 20  # interim answers before the final one, such as 100 Continue and 103 Early Hints
_SWITCHING_PROTOCOLS, _FIRST_FINAL = 101, 200
_WITHOUT_BODY = frozenset({204, 304})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Malformed(Exception):
    """The bytes received are not a valid HTTP answer, or exceed a limit, such as that of the size of a head."""


class Unsendable(Exception):
    """The request has a character that HTTP can't carry: a control character, or one outside Latin-1."""


def head_of(method: str, target: str, headers: Sequence[Header]) -> bytes:
    """Return the head of a request as bytes, with the blank line at its end (RFC 9110, section 5.5).

    Raises `Unsendable`.
    """
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
    """The headers as received, with names in lower case."""


class Answer:
    """A server's answer to one request, parsed as its bytes arrive.

    `head` is set when the final head is complete; interim answers before it are dropped. `take` returns the pieces of
    the body that came since the last call, without the framing of chunks. `begun` is the head as far as it was read,
    from the status on, so the status is known even if the rest of the head is missing or malformed.
    """

    def __init__(self, method: str) -> None:
        self._to_head = method == "HEAD"
        self._parser: httptools.HttpResponseParser | None = self._new_parser()
        self._raw = bytearray()  # the bytes up to the end of the head
        self._mending = False
        self._reason = b""
        self._headers: list[Header] = []
        self._status = 0
        self._hints = 0
        self._pieces: list[bytes] = []
        self._without_use = 0  # bytes since the last piece of body or the end of the head
        self._to_the_end = False  # True if only the end of the TCP connection ends the body
        self._keeps_alive = False
        self.head: Head | None = None
        self.complete = False
        self.oddities: tuple[str, ...] = ()
        """What was mended in the head, as phrases that follow "The server"."""

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        # Browsers are as lenient. That is dangerous only if several servers' answers share a TCP connection. None do.
        parser.set_dangerous_leniencies(
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        return parser

    @property
    def untouched(self) -> bool:
        """True if no byte of the answer has come."""
        return self.head is None and not self._raw

    @property
    def begun(self) -> Head | None:
        """The head as far as it has been read, or None as long as its status has not come."""
        if self.head or self._status < _FIRST_FINAL:
            return self.head
        return Head(self._status, self._reason.decode("latin-1"), tuple(self._headers))

    @property
    def ended_alone(self) -> bool:
        """True if the answer is complete and permits another request on the same TCP connection."""
        return self.complete and self._keeps_alive and not self._mending

    def receive(self, data: bytes) -> None:
        """Parse more bytes of the answer. Raises `Malformed`."""
        self._without_use += len(data)
        if self.head is None:
            self._raw += data
        if self._mending and self.head is None:
            self._read_mended()
        else:
            self._feed(data)
        if self._without_use > _LARGEST_HEAD and not self.complete:
            raise Malformed

    def _feed(self, data: bytes) -> None:
        assert self._parser
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                refused = isinstance(error, httptools.HttpParserInvalidStatusError)
                self._status = 0 if refused else self._parser.get_status_code()
                if self.head or self._mending or not is_mendable(self._raw):
                    raise Malformed from error
                self._mending = True
                self._read_mended()
                return
            self._keeps_alive = False
        else:
            self._status = self._parser.get_status_code()

    def _read_mended(self) -> None:
        """Mend the head and parse it again, if all of it has come. Raises `Malformed`."""
        start, end, interim = final_head(self._raw)
        if interim > _MOST_HINTS:
            raise Malformed
        if end is None:
            return
        mended, self.oddities = mend(bytes(self._raw[start:end]))
        rest = bytes(self._raw[end:])
        self._parser = self._new_parser()
        self._reason, self._headers = b"", []
        self._feed(mended + rest)

    def end(self) -> None:
        """Handle the end of the TCP connection, which also ends a body of unknown length.

        Raises `EOFError` if the answer is incomplete.
        """
        if self._to_the_end:
            self.complete = True
        if not self.complete:
            raise EOFError

    def take(self) -> list[bytes]:
        """Return the pieces of the body that came since the last call. The list may be empty."""
        taken, self._pieces = self._pieces, []
        return taken

    def close(self) -> None:
        """Drop the parser. The parser and this answer refer to each other, so otherwise only a garbage collection frees
        them.
        """
        self._parser = None

    # The parser calls the methods below.

    def on_message_begin(self) -> None:
        self._refuse_more()

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # headers after the head are trailers, which are ignored
            if len(self._headers) == _MOST_HEADERS:
                raise Malformed
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        assert self._parser
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL and status != _SWITCHING_PROTOCOLS:
            self._pass_over()
            return
        self._without_use = 0
        encodings = [value.lower() for name, value in self._headers if name == "transfer-encoding"]
        has_length = any(name == "content-length" for name, _ in self._headers)
        if encodings not in ([], ["chunked"]):
            raise Malformed
        self.head = Head(status, self._reason.decode("latin-1"), tuple(self._headers))
        if status == _SWITCHING_PROTOCOLS:  # nothing after it is HTTP, and no request asked for it
            self.complete = True
            return
        if self._to_head:  # the parser can't see a forbidden body begin, so the TCP connection is not reused
            self.complete = True
            return
        self._keeps_alive = self._parser.should_keep_alive() and not (encodings and has_length)
        self._to_the_end = not (encodings or has_length or status in _WITHOUT_BODY)

    def _pass_over(self) -> None:
        self._hints += 1
        if self._hints > _MOST_HINTS:
            raise Malformed
        self._reason, self._headers = b"", []

    def on_body(self, piece: bytes) -> None:
        self._refuse_more()
        self._without_use = 0
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = self.head is not None

    def _refuse_more(self) -> None:
        """Raise `Malformed` if bytes follow the end of the answer, because there was no further request."""
        if self.complete:
            raise Malformed
