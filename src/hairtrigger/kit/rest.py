"""Describes lists and webhooks of providers with a REST API, so that provider files need not program them.

HOOKS = kit.Hooks("v2/hooks", lambda config, url, secret: {"url": url, "secret": secret}, items="/hooks")
ISSUES = kit.Listed("v2/issues", ISSUE, lambda since: {"since": since.isoformat()}, late=timedelta(minutes=2))

kit.Webhook(…, subscription=HOOKS)        kit.Polling(…, poll=ISSUES)
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from hairtrigger.domain.errors import CallRefused, MissingAtProvider, ProviderFailed
from hairtrigger.domain.instants import FIRST
from hairtrigger.kit.config import Config
from hairtrigger.kit.cursor import Look, LookBack
from hairtrigger.kit.fields import Fields
from hairtrigger.kit.http import Api
from hairtrigger.kit.places import at_pointer
from hairtrigger.kit.trigger import Page, Question, Registered, Registration

C = TypeVar("C", bound=Config)
Path = str | Callable[[Any], str]  # a path below the provider's address, or a function of the configuration

_MOST_PAGES = 1000  # of a list that is read whole


class Paging(Protocol):
    """The way in which a provider divides a list into pages."""

    @property
    def first(self) -> Mapping[str, Any]:
        """Return the parameters that ask for the first page."""
        ...

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | str | None:
        """Return the parameters or the URL that ask for the next page, or None if this page is the last one.

        `asked` are the parameters that asked for this page, `answer` is the provider's answer, and `items` are the
        things in it.
        """
        ...


@dataclass(frozen=True)
class OnePage:
    """The paging of a list that has only one page."""

    @property
    def first(self) -> Mapping[str, Any]:
        return {}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class Numbered:
    """The paging of a list whose pages have numbers, from `start` on. An empty page ends the list, because a provider
    may give shorter pages than are asked for.
    """

    page: str = "page"
    size: str = "per_page"
    most: int = 100
    start: int = 1

    @property
    def first(self) -> Mapping[str, Any]:
        return {self.page: self.start, self.size: self.most}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        return {**asked, self.page: int(asked[self.page]) + 1} if items else None


@dataclass(frozen=True)
class Offset:
    """The paging of a list whose pages are asked for by the number of things before them. An empty page ends
    the list.
    """

    offset: str = "offset"
    size: str = "limit"
    most: int = 100

    @property
    def first(self) -> Mapping[str, Any]:
        return {self.offset: 0, self.size: self.most}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        return {**asked, self.offset: int(asked[self.offset]) + len(items)} if items else None


@dataclass(frozen=True)
class After:
    """The paging of a list whose pages are asked for by the `id` of the last thing on the page before. `more` is the
    place in an answer that says whether a page follows.
    """

    param: str
    more: str
    id: str = "/id"
    size: str = "limit"
    most: int = 100

    @property
    def first(self) -> Mapping[str, Any]:
        return {self.size: self.most}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:
        if not items or not at_pointer(answer, self.more):
            return None
        return {**asked, self.param: at_pointer(items[-1], self.id)}


@dataclass(frozen=True)
class PageToken:
    """The paging of a list whose pages are asked for by a token. An answer holds the token of the next page at `place`
    (a JSON pointer), and the parameter `param` sends it.

    A missing or empty token ends the list. Each question also sends the parameters `first`.
    """

    param: str
    place: str
    first: Mapping[str, Any] = field(default_factory=dict)

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        token = at_pointer(answer, self.place)
        return {**asked, self.param: token} if token else None


@dataclass(frozen=True)
class NextUrl:
    """The paging of a list whose answers hold the URL of the next page at `place`."""

    place: str
    first: Mapping[str, Any] = field(default_factory=dict)

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> str | None:  # noqa: ARG002
        address = at_pointer(answer, self.place)
        return str(address) if address else None


def items_at(answer: Any, place: str) -> list[Any]:
    """Return the list at the place in an answer. Raise `ProviderFailed` if no list is there."""
    found = at_pointer(answer, place)
    if not isinstance(found, list):
        where = place.removeprefix("/") or "the body"
        raise ProviderFailed(f"The provider's answer is not what we know: {where} is missing or of the wrong type.")
    return found


async def page_of(
    api: Api, path: str, asked: Mapping[str, Any] | str, items: str, paging: Paging
) -> tuple[list[Any], Mapping[str, Any] | str | None]:
    """Return the things of one page, and the parameters or the URL that ask for the next page, or None if this page is
    the last one.

    `asked` are those that ask for this page, and `items` is the place of the things in the answer. Raise
    `ProviderFailed` if the answer has no list there.
    """
    answer = await (api.get(asked) if isinstance(asked, str) else api.get(path, asked))
    found = items_at(answer, items)
    return found, paging.following({} if isinstance(asked, str) else asked, answer, found)


async def listed(
    api: Api, path: str, params: Mapping[str, Any] | None = None, *, items: str = "", paging: Paging | None = None
) -> AsyncIterator[Any]:
    """Yield all things of a list, page by page. `items` is the place of the things in an answer. Raise `ProviderFailed`
    if the list has more than 1,000 pages.
    """
    paging = paging or OnePage()
    asked: Mapping[str, Any] | str | None = {**(params or {}), **paging.first}
    for _ in range(_MOST_PAGES):
        if asked is None:
            return
        found, asked = await page_of(api, path, asked, items, paging)
        for one in found:
            yield one
    raise ProviderFailed(f"The provider's list has more than {_MOST_PAGES} pages.")


async def nodes(api: Api, path: str, query: str, field: str, **variables: Any) -> AsyncIterator[Any]:
    """Yield all nodes of a connection in GraphQL, page by page. The connection is the field `field` of the data, and
    the query must have the variable `$after`. Raise `ProviderFailed` if the connection has more than 1,000 pages.

    https://graphql.org/learn/pagination/#complete-connection-model
    """
    after = None
    for _ in range(_MOST_PAGES):
        data = await api.graphql(path, query, after=after, **variables)
        for node in items_at(data, f"/{field}/nodes"):
            yield node
        after = at_pointer(data, f"/{field}/pageInfo/endCursor")
        if not at_pointer(data, f"/{field}/pageInfo/hasNextPage") or not after:
            return
    raise ProviderFailed(f"The provider's list has more than {_MOST_PAGES} pages.")


class ListedHooks(ABC, Generic[C]):
    """A subscription by a webhook at a provider that lists its webhooks with their URLs.

    The new webhook is made before an earlier one with the same URL is removed, so that no event falls between them.
    With `one_per_url`, the earlier one is removed first, because the provider refuses a second one.
    """

    one_per_url = False

    @abstractmethod
    async def make(self, question: Question[C], url: str, secret: str) -> tuple[str, Registration]:
        """Make a webhook at the provider. Return its id and the registration."""

    @abstractmethod
    def there(self, question: Question[C]) -> AsyncIterator[tuple[str, str]]:
        """Yield the id and the URL of each webhook that the provider has."""

    @abstractmethod
    async def drop(self, question: Question[C], id_: str) -> None:
        """Remove the webhook with this id at the provider. Raise `MissingAtProvider` if there is none."""

    async def create(self, question: Question[C], url: str, secret: str) -> Registration:
        if self.one_per_url:
            await self._remove(question, url)
        id_, made = await self.make(question, url, secret)
        if not self.one_per_url:
            await self._remove(question, url, but=id_)
        return made

    async def remove(self, question: Question[C], url: str) -> None:
        with suppress(MissingAtProvider):  # what the webhooks belonged to is gone, and they with it
            await self._remove(question, url)

    async def list(self, question: Question[C]) -> Sequence[Registered]:
        return [Registered(url) async for _, url in self.there(question)]

    async def _remove(self, question: Question[C], url: str, but: str | None = None) -> None:
        ours = [id_ async for id_, address in self.there(question) if address == url and id_ != but]
        for id_ in ours:
            with suppress(MissingAtProvider):
                await self.drop(question, id_)


@dataclass(frozen=True)
class Hooks(ListedHooks[C]):
    """The subscription to a provider that keeps its webhooks as a list, where POST makes one, GET returns all, and
    DELETE removes one.

    `body` is called with the configuration, our URL and our secret, and returns the new webhook. `items` is the place
    of the webhooks in the answer to GET, and `made` the place of the new webhook in the answer to POST. If the provider
    chooses the secret, `signs_with` is the place of the secret in the new webhook. `id` and `url` are the places of a
    webhook's id and URL.

    Paths may name fields of the configuration and of the connection in braces. `listing` is the path of the list, if it
    is not `path`, and `one` the path of one webhook, with `{id}`. `on` is the place at which the list says whether a
    webhook is switched on, and the value that it has there if so.
    """

    path: Path
    body: Callable[[C, str, str], Mapping[str, Any] | Sequence[tuple[str, str]]]
    _: KW_ONLY
    items: str = ""
    made: str = ""
    id: str = "/id"
    url: str = "/url"
    signs_with: str = ""
    named: str = "webhook_id"  # the name under which users see its id
    listing: str = ""
    one: str = ""
    on: tuple[str, Any] | None = None
    paging: Paging = field(default_factory=OnePage)
    one_per_url: bool = False

    async def scope(self, question: Question[C]) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the parameters of the GET that lists the webhooks. A subclass may ask the provider for them."""
        return {}

    async def wanted(
        self, question: Question[C], url: str, secret: str
    ) -> Mapping[str, Any] | Sequence[tuple[str, str]]:
        """Return the new webhook as it is sent to the provider, as JSON or as the fields of a form. A subclass may ask
        the provider for parts of it.
        """
        return self.body(question.config, url, secret)

    async def secret_of(self, question: Question[C], answer: Any, id_: str, secret: str) -> str:  # noqa: ARG002
        """Return the secret with which the requests of the new webhook are signed. `answer` is the answer to POST, and
        `secret` the secret that we chose.
        """
        return _text_in(at_pointer(answer, self.made), self.signs_with) if self.signs_with else secret

    async def make(self, question: Question[C], url: str, secret: str) -> tuple[str, Registration]:
        body, path = await self.wanted(question, url, secret), _filled(self.path, question)
        send = question.api.post(path, body) if isinstance(body, Mapping) else question.api.post_form(path, body)
        answer = await send
        id_ = _text_in(at_pointer(answer, self.made), self.id)
        return id_, Registration({self.named: id_}, await self.secret_of(question, answer, id_, secret))

    async def there(self, question: Question[C]) -> AsyncIterator[tuple[str, str]]:
        async for hook in self._hooks(question):
            yield _text_in(hook, self.id), str(at_pointer(hook, self.url))

    async def list(self, question: Question[C]) -> Sequence[Registered]:
        place, value = self.on or ("", None)
        return [
            Registered(str(at_pointer(one, self.url)), self.on is None or at_pointer(one, place) == value)
            async for one in self._hooks(question)
        ]

    async def _hooks(self, question: Question[C]) -> AsyncIterator[Any]:
        path, params = _filled(self.listing or self.path, question), await self.scope(question)
        async for hook in listed(question.api, path, params, items=self.items, paging=self.paging):
            yield hook

    async def drop(self, question: Question[C], id_: str) -> None:
        path = (
            _filled(self.one, question, id=id_) if self.one else f"{_filled(self.path, question)}/{quote(id_, safe='')}"
        )
        await question.api.delete(path)


@dataclass(frozen=True)
class Listed(Generic[C]):
    """The `poll` of a trigger whose provider lists things that are dated since a given time, the oldest first.

    `since` is called with that time, and returns the parameters that ask for things of that time or later. `fields`
    must have the place of the time. `late` is how long after its time a thing may appear in the list, as `LookBack`
    explains. If the provider lists the newest things first, `newest_first` must be true.
    """

    path: Path
    fields: Fields
    since: Callable[[datetime], Mapping[str, Any]]
    late: timedelta
    _: KW_ONLY
    items: str = ""
    paging: Paging = field(default_factory=OnePage)
    newest_first: bool = False
    wanted: Callable[[Any, C], bool] = lambda _, __: True  # whether a thing is an event, for its JSON

    @property
    def explained(self) -> str:
        return self.fields.explained

    async def __call__(self, question: Question[C]) -> Page:
        look = LookBack(self.late).look(question)
        asked = look.token or {**self.since(look.since), **self.paging.first}
        found, following = await page_of(question.api, _filled(self.path, question), asked, self.items, self.paging)
        dated = [(one.occurred_at or look.since) >= look.since for one in self.fields.drafts(found)]
        things = [one for one, new in zip(found, dated, strict=True) if new and self.wanted(one, question.config)]
        if self.newest_first and not all(dated):
            following = None
        return _in_order(look.page(self.fields.drafts(things), following))


@dataclass(frozen=True)
class Asked(Generic[C]):
    """The `poll` of a trigger whose provider lists dated things in another way than `Listed` knows.

    `ask` asks for the things dated `look.since` or later, from the page `look.token` on, and returns the answer.
    `following` is the place of the token of the next page, or a function that returns the token for the answer, its
    things and the look.

    A provider may forget a token between two polls. So, if it refuses a page, the list is asked for once more from its
    beginning. The things that were read before are then left out as known.
    """

    ask: Callable[[Question[C], Look], Awaitable[Any]]
    fields: Fields
    late: timedelta
    _: KW_ONLY
    items: str = ""
    following: str | Callable[[Any, list[Any], Look], Any] = ""
    wanted: Callable[[Any, C], bool] = lambda _, __: True

    @property
    def explained(self) -> str:
        return self.fields.explained

    async def __call__(self, question: Question[C]) -> Page:
        look = LookBack(self.late).look(question)
        try:
            answer = await self.ask(question, look)
        except (CallRefused, MissingAtProvider):
            if look.token is None:
                raise
            look = replace(look, token=None)
            answer = await self.ask(question, look)
        things = items_at(answer, self.items)
        drafts = self.fields.drafts([one for one in things if self.wanted(one, question.config)])
        wanted = [one for one in drafts if one.occurred_at and one.occurred_at >= look.since]
        return _in_order(look.page(wanted, self._following(answer, things, look)))

    def _following(self, answer: Any, things: list[Any], look: Look) -> Any:
        if callable(self.following):
            return self.following(answer, things, look)
        return (at_pointer(answer, self.following) or None) if self.following else None


def _in_order(page: Page) -> Page:
    return replace(page, events=sorted(page.events, key=lambda one: one.occurred_at or FIRST))


def _filled(path: Path, question: Question[Any], **more: str) -> str:
    """Return the path, in which the values of fields of the configuration and of the connection take the places of
    their names in braces.
    """
    if not isinstance(path, str):
        return path(question.config)
    known = {**question.secrets, **question.config.model_dump(), **more}
    return path.format_map({name: quote(str(value), safe="") for name, value in known.items()})


def _text_in(value: Any, place: str) -> str:
    found = at_pointer(value, place)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        where = place.removeprefix("/")
        raise ProviderFailed(f"The provider's answer is not what we know: {where} is missing or of the wrong type.")
    return str(found)
