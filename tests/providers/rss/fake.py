"""A site with one feed, at `/feed`."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hairtrigger.conformance import Fake as AnyFake


@dataclass(frozen=True)
class Item:
    guid: str
    title: str = ""
    published: str | None = None  # in the format of RFC 822

    def xml(self) -> str:
        published = f"<pubDate>{self.published}</pubDate>" if self.published else ""
        title = f"<title>{escape(self.title)}</title>"
        return f'<item><guid isPermaLink="false">{escape(self.guid)}</guid>{title}{published}</item>'


@dataclass
class Site:
    """A site whose feed lists `items`, or answers `raw` in their place. `full` counts the answers with a body."""

    items: list[Item] = field(default_factory=list)
    raw: bytes | None = None
    content_type: str = "application/rss+xml; charset=utf-8"
    status: int = 200
    full: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)  # the headers of the requests

    def feed(self) -> bytes:
        items = "".join(item.xml() for item in self.items)
        return f'<rss version="2.0"><channel><title>Site</title>{items}</channel></rss>'.encode()


def app(state: Site) -> Starlette:
    async def feed(request: Request) -> Response:
        body = state.feed() if state.raw is None else state.raw
        state.asked.append(dict(request.headers))
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        state.full += 1
        return Response(body, state.status, {"etag": etag}, media_type=state.content_type)

    async def moved(_: Request) -> Response:
        return RedirectResponse("/feed", 301)

    return Starlette(routes=[Route("/feed", feed), Route("/old", moved)])


class Fake(AnyFake):
    hosts = ("https://example.com",)
    configs = {"on_item_published": {"url": "https://example.com/feed"}}
    paged = False

    def __init__(self) -> None:
        super().__init__()
        self.site = Site()
        self.number = 0

    def server(self) -> ASGIApp:
        return app(self.site)

    async def happen(self, trigger: str, at: datetime) -> str:
        self.number += 1
        self.site.items.insert(0, Item(f"item-{self.number}", f"Item {self.number}", format_datetime(at)))
        return f"item-{self.number}"

    def remove(self, key: str) -> None:
        self.site.items = [one for one in self.site.items if one.guid != key]
