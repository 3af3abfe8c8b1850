"""Make the calls to providers' APIs and to targets. All outgoing HTTP goes through the egress.

The URLs come from users, so the egress trusts none of them. It checks the address that it really connects to, limits
every size and time, and follows redirects itself, with the same checks. No credentials are sent to another origin after
a redirect.
"""

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Literal, Self

import httpx2
import structlog

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.platform.addresses import EgressPolicy
from hairtrigger.platform.codings import STEP, Coding, codings_of, undone
from hairtrigger.platform.connections import Connection, Connections, Origin
from hairtrigger.platform.dialing import BlockedAddress, Dialing
from hairtrigger.platform.http1 import Answer, Header, Malformed, Unsendable, head_of
from hairtrigger.platform.look_ups import Resolve, resolve
from hairtrigger.platform.proxy import Proxy
from hairtrigger.platform.shares import OURS, Tenant
from hairtrigger.platform.told import Told
from hairtrigger.platform.turns import Turns
from hairtrigger.platform.unreachable import why_unreachable

log = structlog.get_logger()

__all__ = ["Egress", "EgressFailed", "EgressPolicy", "Reason", "Reply"]

_MOST_REDIRECTS = 20  # https://fetch.spec.whatwg.org/#http-redirect-fetch
_DEFAULT_PORTS = {"http": 80, "https": 443}
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TOLD_AGAIN = 3600.0  # seconds after which the log is told again why an address can't be reached
_LAST_PORT = 65535
_LEAST_COUNTED = 64  # bytes that even a tiny piece of a body counts as: millions of pieces take much CPU time
_DEFAULT_HEADERS = (("accept", "*/*"),)
_MEBIBYTE = 1024 * 1024
_SHORT_URL, _SHORT_NAME = 256, 64  # longer texts are not cached: strangers can choose them and fill the memory
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Programs on these ports can take an HTTP request for their own protocol. https://fetch.spec.whatwg.org/#port-blocking
_BAD_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190}
    | {5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
)

# The caller must not decide how a request is framed, so these headers are left out.
_FRAMING = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)

# Every other header may hold a credential: providers use X-Api-Key, PRIVATE-TOKEN, X-Shopify-Access-Token …
_SENT_TO_ANY_ORIGIN = frozenset(
    {"accept", "accept-language", "content-encoding", "content-language", "content-type", "if-modified-since"}
    | {"if-none-match", "range", "user-agent"}
)


class Reason(StrEnum):
    """A reason why a call failed, or why its answer is incomplete."""

    BLOCKED_ADDRESS = "blocked_address"
    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    TLS = "tls"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    ENCODED = "encoded"
    REDIRECTED = "redirected"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_URL = "bad_url"
    BAD_REQUEST = "bad_request"


# There is no message for a blocked address, an unknown name or a closed port: with such messages, the user that chose
# the URL could map our network. The module `unreachable` has them, for the operator.
_MESSAGES = {
    Reason.TIMEOUT: "The server did not answer in time.",
    Reason.TLS: "No secure connection: the server's certificate was not accepted, or it speaks no TLS.",
    Reason.MALFORMED: "What came back is not an HTTP answer.",
    Reason.TOO_LARGE: "The answer is larger than this service accepts.",
    Reason.TRUNCATED: "The answer ended before it was complete.",
    Reason.ENCODED: "The answer is compressed in a way that can't be read here.",
    Reason.REDIRECTED: "The server sent a redirect, which is not followed here.",
    Reason.TOO_MANY_REDIRECTS: f"The server sent more than {_MOST_REDIRECTS} redirects.",
    Reason.BAD_URL: "The URL can't be called: it needs http or https, a host, and no password or unsafe port.",
    Reason.BAD_REQUEST: "The method or a header can't be sent.",
}


_UNREACHED = "The address could not be reached."  # the message for all other reasons


class EgressFailed(ProviderFailed):
    """A call failed. `reason` is for the operator's log, and `message` for the user that chose the URL."""

    def __init__(self, reason: Reason, cost: int = 0, message: str | None = None) -> None:
        super().__init__(message or _MESSAGES.get(reason, _UNREACHED))
        self.reason = reason
        self.cost = cost
        """The cost of the call up to its failure, in the unit of `Reply.cost`."""
        self.told = self.message if message or reason in _MESSAGES else ""
        """The message, or an empty text if the user that chose the URL must not know the reason."""


class _TooLarge(Exception):
    """The answer is larger than the caller accepts."""


# The order matters: the first class that fits an error decides its reason.
_REASONS: dict[type[Exception], Reason] = {
    BlockedAddress: Reason.BLOCKED_ADDRESS,
    socket.gaierror: Reason.DNS,
    ssl.SSLError: Reason.TLS,
    OSError: Reason.CONNECT,
    EOFError: Reason.TRUNCATED,
    _TooLarge: Reason.TOO_LARGE,
    zlib.error: Reason.MALFORMED,
    Unsendable: Reason.BAD_REQUEST,
    Malformed: Reason.MALFORMED,
}


def _reason_of(error: Exception) -> Reason:
    return next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))


async def _nobody(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Reply:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """The headers as received, with names in lower case."""
    body: bytes = field(repr=False)
    """The decompressed body."""
    url: str
    """The URL that the answer came from, after redirects."""
    redirected: bool
    flaw: Reason | None = None
    """The reason why the body is incomplete or was left as it was received. None for a whole body."""
    cost: int = 0
    """The number of bytes read, redirects included, or more for bytes that take much CPU time to read."""
    oddities: tuple[str, ...] = ()
    """What was mended in the head, as phrases that follow "The server"."""

    def header(self, name: str) -> str | None:
        """Return the value of the first header of this name, or None. The case of letters does not matter."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class Egress:
    """Makes the outgoing calls of one process. The end of its `async with` block closes the connections that it keeps.

    Calls for a tenant go through the `Egress` that `of` returns, and all others are the service's own. All of them
    share the connections and the CPU time of the process.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        resolve: Resolve = resolve,
        user_agent: str = "hairtrigger",
        is_operator: Callable[[str], Awaitable[bool]] = _nobody,
    ) -> None:
        """`is_operator` returns whether an organisation, given by its id, may know why an address can't be reached."""
        self.tenant = OURS
        self._is_operator = is_operator
        self._told = Told(_TOLD_AGAIN)
        self._user_agent = user_agent
        self.turns = Turns()
        self.dialing = Dialing(policy, resolve)
        self._connections = Connections(self.dialing, self.turns)
        self._readings: set[_Reading] = set()  # those under way

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connections.close()
        self.dialing.close()

    def of(self, tenant: Tenant) -> "Egress":
        """Return an egress for the calls of this tenant. It shares connections and CPU time with this one."""
        its = copy(self)
        its.tenant = tenant
        return its

    async def turn(self, cost: int) -> None:
        """Wait until the tenant may have CPU time for work that costs as much as parsing `cost` bytes.

        The caller does the work before its next `await`.
        """
        await self.turns.take(cost, self.tenant.org)

    def hurry(self) -> None:
        """End all calls that were sent with `cut` and whose status is already known, as if their time were over."""
        for reading in self._readings:
            if reading.is_enough and not reading.deadline.expired():
                reading.deadline.reschedule(0)

    async def check(self, url: str, *, at_most: timedelta) -> str | None:
        """Return a sentence on why a call to the URL would fail before its request is sent, or None if it would not.

        A check that takes longer than `at_most` counts as a failure. A connection is made only for the operator. For
        all others, the check ends with the addresses of the host, because a connection would show them open ports.
        """
        try:
            origin = _place(url).origin
        except EgressFailed as failed:
            return failed.message
        try:
            is_operator = await self._is_operator(self.tenant.org)
            async with asyncio.timeout(at_most.total_seconds()):
                await self._connections.check(self.tenant, origin, connect=is_operator)
        except TimeoutError:
            return _MESSAGES[Reason.TIMEOUT]
        except tuple(_REASONS) as error:
            return EgressFailed(_reason_of(error), message=await self.told_why(error, origin.host, origin.port)).message
        return None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: timedelta = timedelta(seconds=10),  # noqa: ASYNC109
        max_bytes: int = 2 * 1024 * 1024,
        cut: bool = False,
        redirects: Literal["follow", "error", "manual"] = "manual",
    ) -> Reply:
        """Send a request, and return the answer, whatever its status is.

        `timeout` covers the whole call with its redirects and its body. Raises `EgressFailed` if no answer can be had,
        or if it is larger than `max_bytes` (before or after decompression), incomplete, late or malformed. With `cut`,
        a fault raises nothing once the status is known. The part of the answer that came before the fault is then
        returned, and its `flaw` names the fault.

        `redirects` says what happens to a redirect: it is followed, raises `EgressFailed` ("error"), or is returned as
        the answer ("manual"). After a redirect to another origin, only headers that can't hold credentials are sent.
        """
        call = _Call(method, _place(url), self._with_user_agent(_headers(headers)), body)
        deadline = asyncio.timeout(timeout.total_seconds())
        reading = _Reading(call, deadline, max_bytes, cut=cut)
        try:
            async with deadline:
                for _ in range(_MOST_REDIRECTS + 1):
                    reply = await self._exchange(reading)
                    following = None if redirects == "manual" else reading.following(reply)
                    if following is None:
                        return reply
                    if redirects == "error":
                        raise EgressFailed(Reason.REDIRECTED, reading.cost)
                    reading = _Reading(following, deadline, max_bytes, cut=cut, cost_before=reading.cost)
                raise EgressFailed(Reason.TOO_MANY_REDIRECTS, reading.cost)
        except TimeoutError:
            if not reading.is_enough:
                late = f"The answer took longer than {timeout.total_seconds():g} seconds."
                raise EgressFailed(Reason.TIMEOUT, reading.cost, late) from None
            return reading.reply(Reason.TIMEOUT)

    def _with_user_agent(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        is_given = any(name == "user-agent" for name, _ in headers)
        return headers if is_given else (*headers, ("user-agent", self._user_agent))

    async def _exchange(self, reading: "_Reading") -> Reply:
        self._readings.add(reading)
        try:
            await self._attempt(reading)
        except tuple(_REASONS) as error:
            if not reading.is_enough:
                raise await self._failed(error, reading) from error
            return reading.reply(_reason_of(error))
        finally:
            self._readings.discard(reading)
        return reading.reply()

    async def _attempt(self, reading: "_Reading") -> None:
        """Make the call, and make it once more on a new connection if an idle one turns out to have ended.

        Only a call that may be repeated is made again. https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
        """
        tenant, origin = self.tenant, reading.call.place.origin
        async with self._connections.lent(tenant, origin) as connection:
            try:
                await self._ask(connection, reading)
            except EOFError:
                if not (connection.reused and reading.may_be_repeated):
                    raise
            else:
                return
        reading.begin_again()
        async with self._connections.lent(tenant, origin, fresh=True) as connection:
            await self._ask(connection, reading)

    async def _ask(self, connection: Connection, reading: "_Reading") -> None:
        await connection.ask(reading.answer, reading.call.request(connection.proxy))
        await self._read(connection, reading)

    async def _failed(self, error: Exception, reading: "_Reading") -> EgressFailed:
        reason = _reason_of(error)
        origin = reading.call.place.origin
        said = reading.too_large if reason is Reason.TOO_LARGE else await self.told_why(error, origin.host, origin.port)
        return EgressFailed(reason, reading.cost, said)

    async def told_why(self, error: Exception, host: str, port: int) -> str | None:
        """Return a sentence on why the address can't be reached. Return None for an error of another kind, and for a
        tenant that may not know the reason.

        An error of this kind is logged for the operator in both cases, at most once an hour for the same reason, host
        and port.
        """
        why = why_unreachable(error, host, port)
        if why is None:
            return None
        if self._told.is_new((_reason_of(error), host, port)):
            log.warning("an address can't be reached", host=host, port=port, why=why)
        return why if await self._is_operator(self.tenant.org) else None

    async def _read(self, connection: Connection, reading: "_Reading") -> None:
        reading.begin()
        while pieces := await connection.body():
            for _ in reading.steps(pieces):
                if not self.turns.taken(STEP, self.tenant.org):
                    await self.turn(STEP)
        reading.end()


@dataclass(frozen=True)
class _Place:
    """The parts of a URL that a call needs."""

    url: httpx2.URL
    origin: Origin
    netloc: str
    path: str
    address: str
    """The URL without its fragment."""

    @classmethod
    def of(cls, url: httpx2.URL) -> "_Place":
        origin = Origin(url.scheme, url.raw_host.decode(), url.port or _DEFAULT_PORTS[url.scheme])
        return cls(url, origin, url.netloc.decode(), url.raw_path.decode(), str(url).partition("#")[0])


@dataclass(frozen=True)
class _Call:
    method: str
    place: _Place
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    redirected: bool = False

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.method) or self.method.upper() in {"CONNECT", "TRACE", "TRACK"}:
            raise EgressFailed(Reason.BAD_REQUEST)

    def request(self, proxy: Proxy | None = None) -> bytes:
        """Return the bytes of the request, in the form for a proxy if one is given. Raises `Unsendable`."""
        given = {name for name, _ in self.headers}
        headers = [("host", self.place.netloc), ("accept-encoding", "gzip"), *self.headers]
        headers += [header for header in _DEFAULT_HEADERS if header[0] not in given]
        if self.body is not None or self.method in {"POST", "PUT", "PATCH"}:
            headers.append(("content-length", str(len(self.body or b""))))
        target = f"http://{self.place.netloc}{self.place.path}" if proxy else self.place.path
        return head_of(self.method, target, [*headers, *(proxy.headers if proxy else ())]) + (self.body or b"")

    def redirected_by(self, reply: Reply) -> "_Call | None":
        """Return the call that a redirect asks for, or None if the answer is no redirect.

        Raises `EgressFailed` if its URL can't be called. https://fetch.spec.whatwg.org/#http-redirect-fetch
        """
        location = reply.header("location")
        if reply.status not in {301, 302, 303, 307, 308} or location is None:
            return None
        place = _Place.of(_url(location, self.place.url))
        method, body, headers = self.method, self.body, self.headers
        if (reply.status, method) in {(301, "POST"), (302, "POST")} or (
            reply.status == 303 and method not in {"GET", "HEAD"}
        ):
            method, body = "GET", None
            headers = tuple(header for header in headers if not header[0].startswith("content-"))
        following = _Call(method, place, headers, body, redirected=True)
        if place.origin == self.place.origin:
            return following
        return replace(following, headers=tuple(header for header in headers if header[0] in _SENT_TO_ANY_ORIGIN))


class _Reading:
    """The answer of one call, with the part of its body that has been read so far."""

    def __init__(self, call: _Call, deadline: asyncio.Timeout, limit: int, *, cut: bool, cost_before: int = 0) -> None:
        self.call = call
        self.deadline = deadline
        self.answer = Answer(call.method)
        self._limit = limit
        self._cut = cut
        self._cost_before = cost_before
        self._received = self._pieces = 0
        self._codings: list[Coding] = []
        self._coded = bytearray()  # the bytes as received, until the first ones are decompressed
        self._body = bytearray()
        self._flaw: Reason | None = None

    @property
    def cost(self) -> int:
        return self._cost_before + self._cost

    @property
    def _cost(self) -> int:
        cost = max(self._received, _LEAST_COUNTED * (self._pieces - 1))
        if not self._codings:
            return cost
        return max(cost, len(self._body), *(coding.cost for coding in self._codings))

    def begin(self) -> None:
        assert self.answer.head
        codings = codings_of(self.answer.head.headers)
        if codings is None:
            self._flaw = Reason.ENCODED
        else:
            self._codings = codings

    def steps(self, pieces: Sequence[bytes]) -> Iterable[None]:
        """Add received pieces to the body, in steps between which the caller may let other tasks run.

        Raises `zlib.error`, `_TooLarge`, or `EOFError` if the body ends early because it can't be decompressed.
        """
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._received += len(piece)
        self._pieces += len(pieces)
        if self._codings:
            return self._decompressed(piece)
        self._body += piece
        self._check()
        return ()

    def _decompressed(self, piece: bytes) -> Iterator[None]:
        if not self._body:
            self._coded += piece
        try:
            for part in undone(self._codings, piece):
                self._body += part
                self._check()
                yield
        except zlib.error:
            if not self._cut:
                raise
            self._give_up_decompressing()
        self._check()

    def _give_up_decompressing(self) -> None:
        """Keep the body as received, because it is not compressed, although its headers say so.

        If a part of the body could be decompressed, that part stays the body, and `EOFError` is raised.
        """
        self._flaw = Reason.ENCODED
        if self._body:
            raise EOFError
        self._codings, self._body, self._coded = [], self._coded, bytearray()

    @property
    def too_large(self) -> str:
        limit = f"{self._limit / _MEBIBYTE:g} MB" if self._limit >= _MEBIBYTE else f"{self._limit} bytes"
        return f"The answer is larger than {limit}."

    def _check(self) -> None:
        if self._cost > self._limit:
            raise _TooLarge

    def end(self) -> None:
        """Finish the body. Raises `EOFError` if a compressed body ended too early."""
        if self._codings:
            if not all(coding.ended for coding in self._codings):
                raise EOFError
            self._coded.clear()

    @property
    def is_enough(self) -> bool:
        """True if the caller accepts an incomplete answer and the status is known."""
        return self._cut and self.answer.begun is not None

    @property
    def may_be_repeated(self) -> bool:
        """True if no byte of an answer has come, and the server may be asked twice."""
        return self.answer.untouched and self.call.method.upper() in _IDEMPOTENT

    def begin_again(self) -> None:
        self.answer = Answer(self.call.method)

    def following(self, reply: Reply) -> _Call | None:
        """Return the call that a redirect asks for, or None if the answer is no redirect.

        Raises `EgressFailed`, with the cost up to now, if the redirect's URL can't be called.
        """
        try:
            return self.call.redirected_by(reply)
        except EgressFailed as failed:
            raise EgressFailed(failed.reason, self.cost) from None

    def reply(self, broken_off: Reason | None = None) -> Reply:
        head, place = self.answer.begun, self.call.place
        assert head
        body = bytes(memoryview(self._body or self._coded)[: self._limit])
        flaw = self._flaw or broken_off
        return Reply(
            head.status,
            head.reason,
            head.headers,
            body,
            place.address,
            self.call.redirected,
            flaw,
            self.cost,
            self.answer.oddities,
        )


def _place(text: str) -> _Place:
    return _remembered_place(text) if len(text) <= _SHORT_URL else _Place.of(_url(text))


@lru_cache(1024)
def _remembered_place(text: str) -> _Place:
    """Return the parts of a URL, from a cache, because targets are called at the same URLs again and again."""
    return _Place.of(_url(text))


def _url(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        url = base.join(text) if base else httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise EgressFailed(Reason.BAD_URL) from None
    if url.scheme not in _DEFAULT_PORTS or url.userinfo or not url.raw_host or b"%" in url.raw_host:
        raise EgressFailed(Reason.BAD_URL)
    if url.port is not None and (url.port in _BAD_PORTS or url.port > _LAST_PORT):
        raise EgressFailed(Reason.BAD_URL)
    return url


def _headers(given: Mapping[str, str] | Sequence[Header]) -> tuple[Header, ...]:
    pairs = given.items() if isinstance(given, Mapping) else given
    return tuple((known, value.strip(" \t")) for name, value in pairs if (known := _name(name)))


def _name(given: str) -> str | None:
    """Return the name of a header in lower case, or None if the caller must not set this header.

    Raises `EgressFailed` if the text can't be the name of a header.
    """
    return _remembered_name(given) if len(given) <= _SHORT_NAME else _known_name(given)


def _known_name(given: str) -> str | None:
    if not _TOKEN.fullmatch(given):
        raise EgressFailed(Reason.BAD_REQUEST)
    name = given.lower()
    return None if name in _FRAMING else name


_remembered_name = lru_cache(1024)(_known_name)  # callers send the same few names again and again
