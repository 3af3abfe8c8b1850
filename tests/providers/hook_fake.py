"""A base for fakes of providers that keep webhooks as a list, and signers for their requests.

The fake of a provider says in which JSON its documentation shows a webhook. The signers are those of `tests/kit`, which
the providers' own libraries accept.
"""

import base64
import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.conformance import Fake, Hook, Recorded
from hairtrigger.conformance.asking import URL
from hairtrigger.kit.senders import SENDERS
from hairtrigger.kit.trigger import Provider
from hairtrigger.kit.verify import Basic, Hmac, Token
from hairtrigger.kit.web_token import WebToken
from tests.kit import signing

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Kept:
    """A webhook at the provider, with what was sent to make it."""

    id: str
    url: str
    secret: str | None = field(repr=False)
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Refused(Exception):
    """The provider refuses a request with this status and these words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class HookFake(Fake):
    """A provider with a list of webhooks. `collection` is the path of POST and GET, and `single` that of DELETE."""

    collection = "/webhooks"
    listing = ""
    single = ""
    created, deleted = 201, 204
    one_per_url = False
    scheme: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Kept] = []
        self.numbers = count(1)

    @abstractmethod
    def authorized(self, request: Request) -> bool: ...

    @abstractmethod
    def taken(self, asked: Any) -> tuple[str, str | None]:
        """Return the URL and the secret in a request that makes a webhook. Raise `KeyError` if a part is missing."""

    @abstractmethod
    def shown(self, hook: Kept) -> Mapping[str, Any]:
        """Return a webhook as the list shows it."""

    def made(self, hook: Kept) -> Any:
        """Return the answer to a POST."""
        return self.shown(hook)

    def listed(self, shown: list[Any], request: Request) -> Any:
        """Return the answer to a GET."""
        return shown

    def more(self) -> Sequence[BaseRoute]:
        return ()

    def add(self, url: str, secret: str | None, asked: Mapping[str, Any] | None = None) -> Kept:
        if self.one_per_url and any(one.url == url for one in self.kept):
            raise Refused(409, "There is a webhook with this address already.")
        hook = Kept(str(next(self.numbers)), url, secret, asked or {})
        self.kept.append(hook)
        return hook

    def chosen_secret(self) -> str:
        """Return a new secret of the provider, in the form of its signing secrets."""
        return self.signing_secrets[0]

    def hooks(self) -> Sequence[Hook]:
        return [Hook(one.url, one.secret) for one in self.kept]

    def add_hook(self, trigger: str, url: str) -> None:
        self.add(url, None)

    def signed(self, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
        return signed(self.scheme, body, secret, at)

    def server(self) -> Starlette:
        async def answered(request: Request) -> Response:
            try:
                return await self._answer(request)
            except Refused as refused:
                return JSONResponse({"message": str(refused)}, refused.status)
            except (KeyError, TypeError, ValueError) as error:
                return JSONResponse({"message": f"{error} is missing"}, 400)

        single = self.single or f"{self.collection.rstrip('/')}/{{id}}"
        paths = {self.collection: ["POST"], single: ["DELETE"]}
        paths.setdefault(self.listing or self.collection, []).append("GET")
        routes = [Route(path, answered, methods=methods) for path, methods in paths.items()]
        return Starlette(routes=[*self.more(), *routes])

    async def _answer(self, request: Request) -> Response:
        if not self.authorized(request):
            raise Refused(401, "Unauthorized")
        match request.method:
            case "POST":
                asked = await request.json()
                hook = self.add(*self.taken(asked), asked)
                return JSONResponse(self.made(hook), self.created)
            case "DELETE":
                there = [one for one in self.kept if one.id == request.path_params["id"]]
                if not there:
                    raise Refused(404, "Not found")
                self.kept.remove(there[0])
                return Response(b"{}" if self.deleted == 200 else b"", self.deleted)
            case _:
                return JSONResponse(self.listed([self.shown(one) for one in self.kept], request))

    def numbered(self, things: list[Any], request: Request, size: str = "per_page") -> list[Any]:
        """Return the page with the number that the request asks for."""
        most = min(int(request.query_params.get(size, 20)), self.page)
        first = (int(request.query_params.get("page", 1)) - 1) * most
        return things[first : first + most]

    def after(self, things: list[Any], start: int, limit: int) -> tuple[list[Any], int | None]:
        """Return the page from `start` on, and where the next one starts, or None."""
        end = start + min(limit, self.page)
        return things[start:end], end if end < len(things) else None


def signed(scheme: Any, body: bytes, secret: str, at: datetime, url: str = URL) -> Mapping[str, str]:
    """Return the headers of a request that a sender with this scheme signs."""
    match scheme:
        case Token(header=str() as header):
            return {header: f"{scheme.prefix}{secret}"}
        case Basic():
            return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
        case Hmac():
            headers, elements = signing._times(scheme, at)
            request = signing._request(headers, body, at, url)
            message = signing._untimed(scheme)._signed_message(request, elements)
            signature = scheme._signature(scheme._key(secret), message).decode()
            return {**headers, scheme.header: signing._header(scheme, elements, signature)}
        case WebToken():
            raise NotImplementedError
        case _:
            raise NotImplementedError(scheme)


def scheme_of(sender: str) -> Any:
    return SENDERS[sender].verify


def for_all(provider: Provider, **config: Any) -> dict[str, Mapping[str, Any]]:
    """Return this configuration for each trigger of the provider."""
    return {one.id: config for one in provider.triggers}


def sample_of(provider: Provider, trigger: str) -> Any:
    """Return the example of a trigger."""
    definition = provider.trigger(trigger)
    assert definition
    assert definition.example is not None
    return definition.example


def sampled(provider: Provider, trigger: str, key: str, subject: str | None, **more: Any) -> Recorded:
    """Return the trigger's sample as a recorded request, which must become an event with this key and subject."""
    body = json.dumps(sample_of(provider, trigger), ensure_ascii=False).encode()
    return Recorded(trigger, key, subject, more.pop("at", NOON), body=body, **more)


def all_sampled(provider: Provider, keys: Iterable[tuple[str, str, str | None]], **more: Any) -> tuple[Recorded, ...]:
    return tuple(sampled(provider, trigger, key, subject, **dict(more)) for trigger, key, subject in keys)
