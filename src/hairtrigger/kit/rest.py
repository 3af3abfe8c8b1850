"""Lists and webhooks of providers with a REST API, described by data.

HOOKS = kit.Hooks("v2/hooks", lambda config, url, secret: {"url": url, "secret": secret}, items="/hooks")
ISSUES = kit.Listed("v2/issues", ISSUE, lambda since: {"since": since.isoformat()}, late=timedelta(minutes=2))

kit.Webhook(…, subscription=HOOKS)        kit.Polling(…, poll=ISSUES)
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from hairtrigger.domain.errors import MissingAtProvider, ProviderFailed
from hairtrigger.kit.config import Config
from hairtrigger.kit.cursor import LookBack
from hairtrigger.kit.fields import Fields
from hairtrigger.kit.http import Api
from hairtrigger.kit.places import at_pointer
from hairtrigger.kit.trigger import Page, Question, Registration

C = TypeVar("C", bound=Config)
Path = str | Callable[[Any], str]  # a path below the provider's address, or a function of the configuration

_MOST_PAGES = 1000  # of a list that is read whole


class Paging(Protocol):
    """The way in which a provider divides a list into pages."""

    @property
    def first(self) -> Mapping[str, Any]:
        """The parameters that ask for the first page."""
        ...

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | str | None:
        """Return what asks for the next page, as parameters or as an address, or None if this page is the last one."""
        ...


@dataclass(frozen=True)
class OnePage:
    """A list without pages."""

    @property
    def first(self) -> Mapping[str, Any]:
        return {}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class Numbered:
    """Pages with numbers. The last one is the first that is not full."""

    page: str = "page"
    size: str = "per_page"
    most: int = 100
    start: int = 1

    @property
    def first(self) -> Mapping[str, Any]:
        return {self.page: self.start, self.size: self.most}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        return {**asked, self.page: int(asked[self.page]) + 1} if len(items) >= self.most else None


@dataclass(frozen=True)
class Offset:
    """Pages by the number of things before them. The last one is the first that is not full."""

    offset: str = "offset"
    size: str = "limit"
    most: int = 100

    @property
    def first(self) -> Mapping[str, Any]:
        return {self.offset: 0, self.size: self.most}

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        return {**asked, self.offset: int(asked[self.offset]) + len(items)} if len(items) >= self.most else None


@dataclass(frozen=True)
class After:
    """Pages that follow the last thing of the page before. `more` is the place that says whether one follows."""

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
    """Pages by a token, which an answer holds at `place` and the next question sends as `param`."""

    param: str
    place: str
    first: Mapping[str, Any] = field(default_factory=dict)

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:  # noqa: ARG002
        token = at_pointer(answer, self.place)
        return {**asked, self.param: token} if token else None


@dataclass(frozen=True)
class NextUrl:
    """Pages by the address of the next one, which an answer holds at `place`."""

    place: str
    first: Mapping[str, Any] = field(default_factory=dict)

    def following(self, asked: Mapping[str, Any], answer: Any, items: Sequence[Any]) -> str | None:  # noqa: ARG002
        address = at_pointer(answer, self.place)
        return str(address) if address else None


async def page_of(
    api: Api, path: str, asked: Mapping[str, Any] | str, items: str, paging: Paging
) -> tuple[list[Any], Mapping[str, Any] | str | None]:
    """Return the things of a page, and what asks for the next one, or None. `items` is the place of the things.

    Raise `ProviderFailed` if the answer has no list there.
    """
    answer = await (api.get(asked) if isinstance(asked, str) else api.get(path, asked))
    found = at_pointer(answer, items)
    if not isinstance(found, list):
        where = items.removeprefix("/") or "the body"
        raise ProviderFailed(f"The provider's answer is not what we know: {where} is missing or of the wrong type.")
    return found, paging.following({} if isinstance(asked, str) else asked, answer, found)


async def listed(
    api: Api, path: str, params: Mapping[str, Any] | None = None, *, items: str = "", paging: Paging | None = None
) -> AsyncIterator[Any]:
    """Yield all things of a list, page by page. Raise `ProviderFailed` if the list does not end."""
    paging = paging or OnePage()
    asked: Mapping[str, Any] | str | None = {**(params or {}), **paging.first}
    for _ in range(_MOST_PAGES):
        if asked is None:
            return
        found, asked = await page_of(api, path, asked, items, paging)
        for one in found:
            yield one
    raise ProviderFailed(f"The provider's list has more than {_MOST_PAGES} pages.")


@dataclass(frozen=True)
class Hooks(Generic[C]):
    """The subscription to a provider that keeps its webhooks as a list: POST makes one, GET shows all, DELETE removes.

    `body` is called with the configuration, our URL and our secret, and returns the new webhook. `items` is the place
    of the webhooks in a list, `made` that of the new one in the answer to POST, and `signs_with` the place therein of
    the secret, if the provider chooses it. A webhook is found again by its `url`, and removed by its `id`.
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
    paging: Paging = field(default_factory=OnePage)

    async def create(self, question: Question[C], url: str, secret: str) -> Registration:
        await self.remove(question, url)  # the secret of an earlier one may be lost
        body, path = self.body(question.config, url, secret), path_of(self.path, question.config)
        send = question.api.post(path, body) if isinstance(body, Mapping) else question.api.post_form(path, body)
        made = at_pointer(await send, self.made)
        if self.signs_with:
            secret = _text_in(made, self.signs_with)
        return Registration({self.named: _text_in(made, self.id)}, secret)

    async def remove(self, question: Question[C], url: str) -> None:
        path, ours = path_of(self.path, question.config), []
        with suppress(MissingAtProvider):  # what the webhooks belonged to is gone, and they with it
            ours = [
                _text_in(one, self.id)
                async for one in listed(question.api, path, items=self.items, paging=self.paging)
                if at_pointer(one, self.url) == url
            ]
        for id_ in ours:
            with suppress(MissingAtProvider):
                await question.api.delete(f"{path}/{quote(id_, safe='')}")


@dataclass(frozen=True)
class Listed(Generic[C]):
    """The `poll` of a trigger whose provider lists things that are dated since a given time, the oldest first.

    `since` is called with that time, and returns the parameters that ask for things of that time or later. `fields`
    needs a time. `late` is how long after its time a thing may appear in the list; `LookBack` says more.
    """

    path: Path
    fields: Fields
    since: Callable[[datetime], Mapping[str, Any]]
    late: timedelta
    _: KW_ONLY
    items: str = ""
    paging: Paging = field(default_factory=OnePage)
    newest_first: bool = False

    async def __call__(self, question: Question[C]) -> Page:
        look = LookBack(self.late).look(question)
        asked = look.token or {**self.since(look.since), **self.paging.first}
        found, following = await page_of(
            question.api, path_of(self.path, question.config), asked, self.items, self.paging
        )
        things = [one for one in self.fields.drafts(found) if one.occurred_at and one.occurred_at >= look.since]
        if self.newest_first:
            following = following if len(things) == len(found) else None
            things.reverse()
        page = look.page(things, following)
        return replace(page, events=sorted(page.events, key=lambda one: one.occurred_at or look.since))


def path_of(path: Path, config: Config) -> str:
    return path if isinstance(path, str) else path(config)


def _text_in(value: Any, place: str) -> str:
    found = at_pointer(value, place)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        where = place.removeprefix("/")
        raise ProviderFailed(f"The provider's answer is not what we know: {where} is missing or of the wrong type.")
    return str(found)
