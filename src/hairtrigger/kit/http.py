"""Defines the object with which a provider file calls its provider. It is bound to a base address and credentials."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from pydantic import ValidationError
from pydantic_core import to_json

from hairtrigger.domain import rate_limits
from hairtrigger.domain.errors import (
    AccessDenied,
    CallRefused,
    CredentialsRefused,
    GoneAtProvider,
    MissingAtProvider,
    ProviderFailed,
)
from hairtrigger.domain.json_reader import TooManyParts, read_json
from hairtrigger.kit.auth import Carried
from hairtrigger.kit.config import Payload, wrong_part
from hairtrigger.kit.places import at_pointer

P = TypeVar("P", bound=Payload)


class Reply(Protocol):
    """An HTTP answer, read completely. Header names are lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def body(self) -> bytes: ...


class Http(Protocol):
    """The egress, which is the only door for outgoing HTTP. `send` raises `EgressFailed` if no answer came."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = ...,
        timeout: timedelta = ...,  # noqa: ASYNC109
        max_bytes: int = ...,
    ) -> Reply: ...


Watch = Callable[[str, str], Callable[[int | None], None]]
"""A function that is called with the method and the URL before a call to a provider. It returns a function that is
called after that, with the status of the answer, or with None if no answer came.
"""


def unwatched(_: str, __: str) -> Callable[[int | None], None]:
    return lambda _: None


@dataclass(frozen=True)
class WatchedHttp:
    """An HTTP client that tells `watch` of each call, before and after it."""

    http: Http
    watch: Watch

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = "manual",
        **limits: Any,
    ) -> Reply:
        ended, status = self.watch(method, url), None
        try:
            reply = await self.http.send(method, url, headers=headers or {}, body=body, redirects=redirects, **limits)
            status = reply.status
        finally:
            ended(status)
        return reply


@dataclass
class Quota:
    """The longest wait that a provider asked for in its answers to one `Question`. `wait` is None if it asked
    for none.
    """

    wait: timedelta | None = None

    def note(self, status: int, headers: Sequence[tuple[str, str]]) -> timedelta | None:
        """Return the wait that this answer asks for, or None if it asks for none, and keep the longest wait so far in
        `wait`. Header names must be lower case.
        """
        asked = rate_limits.wait(status, dict(headers), datetime.now(UTC))
        self.wait = max(filter(None, (self.wait, asked)), default=None)
        return asked


@dataclass(frozen=True)
class DocumentLimits:
    """The most bytes that a document may have, and the longest time that fetching it may take."""

    size: int = 16 * 1024 * 1024  # bytes
    time: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class Api:
    """The provider's API, called with the credentials of one connection.

    Answers outside 2xx raise errors. 401 raises `CredentialsRefused`, 403 its subclass `AccessDenied`, 404
    `MissingAtProvider`, 400, 412 and 422 `CallRefused`, 410 `GoneAtProvider`, which is both, and everything else
    `ProviderFailed`, with `retry_after` if the provider named a wait. A status that names a wait raises
    `ProviderFailed`, except 404, and so does a 401 or 403 that answers a call without credentials, because that is no
    refusal of credentials. 304 is returned as it is. An address on another server than `base_url` raises
    `ProviderFailed` if the calls have credentials.

    Redirects of a GET are followed, because feeds move and repositories are renamed. The service keeps to every rate
    limit that a provider states, with an error or without.
    """

    http: Http
    base_url: str = field(repr=False)
    carried: Carried = field(default_factory=Carried, repr=False)
    quota: Quota = field(default_factory=Quota, compare=False, repr=False)
    documents: DocumentLimits = field(default_factory=DocumentLimits)
    secrets: Sequence[str] = field(default=(), repr=False)  # the connection's, wherever calls carry them
    renewed: Callable[[], Sequence[str]] = field(
        default=tuple, repr=False
    )  # returns the secrets that are new meanwhile

    async def get(self, path: str, params: Mapping[str, Any] | None = None, **headers: str) -> Any:
        query = f"?{urlencode(params, doseq=True)}" if params else ""
        return _json(await self.send("GET", path + query, headers=headers))

    async def post(self, path: str, json: Any) -> Any:
        return _json(await self.send("POST", path, **_json_body(json)))

    async def post_form(self, path: str, form: Sequence[tuple[str, str]]) -> Any:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return _json(await self.send("POST", path, headers=headers, body=urlencode(form).encode()))

    async def put(self, path: str, json: Any) -> Any:
        return _json(await self.send("PUT", path, **_json_body(json)))

    async def graphql(self, path: str, query: str, **variables: Any) -> Mapping[str, Any]:
        """Return the data of the answer to a GraphQL query. Raises `ProviderFailed` for an answer with errors or
        without data, and `CredentialsRefused` if the first error refuses the credentials.
        """
        answer = await self.post(path, {"query": query, "variables": variables})
        errors, data = at_pointer(answer, "/errors"), at_pointer(answer, "/data")
        if errors or not isinstance(data, dict):
            words = _words(answer, self._hidden()) or ": there is no data"
            kind = " ".join(str(at_pointer(answer, f"/errors/0/extensions/{name}") or "") for name in ("code", "type"))
            if _REFUSED.search(kind):
                raise CredentialsRefused(f"The provider refused access{words}.")
            raise ProviderFailed(f"The provider's answer has an error{words}.", retry_after=_slow(kind))
        return data

    async def delete(self, path: str) -> None:
        await self.send("DELETE", path)

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        url, trusted = urljoin(self.base_url, path), bool(self.secrets) or self.carried != Carried()
        if trusted and _origin(url) != _origin(self.base_url):
            raise ProviderFailed("The provider named an address of another server, which is not given the credentials.")
        reply = await self.http.send(
            method,
            _with_params(url, self.carried.params),
            headers={**self.carried.headers, **(headers or {})},
            body=body,
            redirects="follow" if method == "GET" else "manual",
        )
        wait = self.quota.note(reply.status, reply.headers)
        _raise_for_status(reply, wait, trusted=trusted, said=_said(reply, self._hidden()))
        return reply

    def _hidden(self) -> Sequence[str]:
        """Return the texts that no message may show, which are the credentials and their parts."""
        carried = [*self.carried.headers.values(), *self.carried.params.values(), *self.secrets, *self.renewed()]
        return [part for value in carried for part in (value, *value.split()) if len(part) >= _SHORTEST]

    async def document(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Return a document that may be larger and slower than an API's answer.

        The request has the given headers and none of the connection's credentials. Raises `MissingAtProvider` for 404,
        and `ProviderFailed` for every other answer outside 2xx but 304. This includes 401 and 403, because servers in
        front of documents refuse whole networks and unknown programs for a while.
        """
        reply = await self.http.send(
            "GET",
            url,
            headers=headers,
            redirects="follow",
            timeout=self.documents.time,
            max_bytes=self.documents.size,
        )
        _raise_for_status(reply, self.quota.note(reply.status, reply.headers), trusted=False)
        return reply


def read(payload: type[P], answer: Any) -> P:
    """Return the answer as a payload of this type. Raises `ProviderFailed` if the answer has another shape."""
    try:
        return payload.model_validate(answer)
    except ValidationError as error:
        raise ProviderFailed(f"The provider's answer is not what we know: {wrong_part(error)}.") from error


def header(reply: Reply, name: str) -> str | None:
    """Return the value of the first header with this lower-case name, or None if there is none."""
    return next((value for key, value in reply.headers if key == name), None)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _with_params(url: str, params: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}" if params else url


def _json_body(value: Any) -> dict[str, Any]:
    return {"headers": {"content-type": "application/json"}, "body": to_json(value)}


def _json(reply: Reply) -> Any:
    if not reply.body:
        return None
    try:
        return read_json(reply.body)
    except TooManyParts as error:
        raise ProviderFailed(f"The provider's answer is not read: {error}.") from error
    except ValueError as error:
        raise ProviderFailed(f"The provider answered {reply.status} with something that is not JSON.") from error


# The places at which providers' answers say in words what is wrong.
_WORDS = (
    *("/message", "/error/message", "/errors/0/message", "/errors/0/detail", "/error_description", "/description"),
    *("/detail", "/errors/0/extensions/userPresentableMessage", "/error", "/errors/0", "/err", "/title"),
)
_MOST_SAID = 200  # characters of a provider's words in a message of ours
_MOST_READ = 65_536  # bytes of an answer with an error
_REFUSED_CALLS = frozenset({400, 412, 422})
_SHORTEST = 6  # characters of a credential that is looked for in messages


def _said(reply: Reply, hidden: Sequence[str]) -> str:
    """Return a colon and what the provider says of an error in words, or an empty text if it says nothing in a known
    place.

    Words that hold a credential are left out. `hidden` holds the credentials.
    """
    if 200 <= reply.status < 400 or not reply.body or len(reply.body) > _MOST_READ:
        return ""
    try:
        return _words(read_json(reply.body), hidden)
    except (TooManyParts, ValueError):
        return ""


# https://www.apollographql.com/docs/apollo-server/data/errors#built-in-error-codes and what Linear and Shopify say.
_REFUSED = re.compile("auth|forbidden|access.?denied", re.IGNORECASE)
_THROTTLED = re.compile("rate.?limit|throttled", re.IGNORECASE)
_REST = timedelta(seconds=30)


def _slow(kind: str) -> timedelta | None:
    return _REST if _THROTTLED.search(kind) else None


def _words(answer: Any, hidden: Sequence[str]) -> str:
    texts = (found.strip() for place in _WORDS if isinstance(found := at_pointer(answer, place), str))
    text = "".join(one for one in next(filter(None, texts), "") if one.isprintable())
    return f": {text[:_MOST_SAID].rstrip('.')}" if text and not any(one in text for one in hidden) else ""


def _raise_for_status(reply: Reply, wait: timedelta | None, *, trusted: bool, said: str = "") -> None:
    """Raise the error that an answer means, unless its status is 2xx or 304. `wait` is how long the answer asks us to
    wait, or None, and `said` a colon and what the answer says in words.

    `trusted` is true if the call had credentials.
    """
    if 200 <= reply.status < 300 or reply.status == 304:
        return
    match reply.status:
        case 401 | 403 if trusted and not wait:
            refused = CredentialsRefused if reply.status == 401 else AccessDenied
            raise refused(f"The provider refused access with {reply.status}{said}.")
        case 401 | 403:
            raise ProviderFailed(f"The address refused access with {reply.status}.", retry_after=wait)
        case 404:
            raise MissingAtProvider
        case 410 if not wait:
            raise GoneAtProvider(f"The provider answered 410{said}.")
        case status:
            kind = CallRefused if status in _REFUSED_CALLS and not wait else ProviderFailed
            raise kind(f"The provider answered {status}{said}.", retry_after=wait)
