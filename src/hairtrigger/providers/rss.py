"""RSS and Atom feeds, also those that are not well-formed.

https://www.rssboard.org/rss-specification, https://www.rfc-editor.org/rfc/rfc4287
"""

import re
import xml.sax.expatreader  # noqa: F401 feedparser imports it late, and the process that parses cannot load modules
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from time import struct_time
from typing import Any

import feedparser
from pydantic import AwareDatetime, Field, HttpUrl, TypeAdapter
from pydantic_core import to_json

from hairtrigger import kit

_NEVER_TEXT = re.compile("[\0\ud800-\udfff]")


class Feed(kit.PollingConfig):
    url: HttpUrl = Field(title="Address", description="Of the feed itself, not of a page that links to it.")


class Enclosure(kit.Payload):
    url: str | None
    type: str | None
    length: str | None


class Entry(kit.Payload):
    """An entry in the form that the target receives."""

    id: str | None
    title: str | None
    link: str | None
    summary: str | None
    content: str | None
    author: str | None
    published: str | None
    updated: str | None
    categories: list[str]
    enclosures: list[Enclosure]


class Found(kit.Payload):
    entry: Entry
    dated: AwareDatetime | None

    @property
    def key(self) -> str:
        return self.entry.id or self.entry.link or kit.digest(to_json(self.entry))

    def draft(self) -> kit.Draft:
        return kit.Draft(key=self.key, data=to_json(self.entry), occurred_at=self.dated)


async def _poll(question: kit.Question[Feed]) -> kit.Page:
    """Return the entries that were never seen. Dates only give the order, because authors back-date entries."""
    cursor = question.cursor or {}
    url = str(question.config.url)
    reply = await question.api.send("GET", url, headers=_conditions(cursor))
    if reply.status == HTTPStatus.NOT_MODIFIED and question.cursor is not None:
        return kit.Page((), question.cursor, note="The feed has not changed.")
    seen = dict.fromkeys(cursor.get("seen", ()))
    listed: list[str] = []
    new: dict[str, kit.Draft] = {}
    async for found in question.parse(
        _ENTRIES, reply.body, url=url, content_type=kit.header(reply, "content-type") or ""
    ):
        marked = kit.mark(found.key)
        listed.append(marked)
        if marked not in seen:
            # The same key may come twice: keep the content of the first entry, in the place of the last one.
            new[marked] = new.pop(marked) if marked in new else found.draft()
    return kit.Page(
        events=_oldest_first([*new.values()][::-1]),
        cursor={
            "etag": kit.header(reply, "etag"),
            "modified": kit.header(reply, "last-modified"),
            "seen": kit.still_seen(listed, seen),
        },
    )


def _conditions(cursor: kit.Cursor) -> dict[str, str]:
    """Return the headers of a conditional request: https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests"""
    conditions = {"if-none-match": cursor.get("etag"), "if-modified-since": cursor.get("modified")}
    return {name: value for name, value in conditions.items() if value}


def _oldest_first(drafts: Sequence[kit.Draft]) -> Sequence[kit.Draft]:
    """Sort by date if all entries have one. Else keep the order, which is that of the feed from its end.

    Feeds begin with the newest entry.
    """
    if all(draft.occurred_at for draft in drafts):
        return sorted(drafts, key=lambda draft: draft.occurred_at or datetime.max.replace(tzinfo=UTC))
    return drafts


def entries(data: bytes, url: str, content_type: str) -> Iterator[Mapping[str, Any]]:
    """Yield the entries in the form of `Found`, in the order of the feed.

    A megabyte takes three seconds of CPU time. A hostile feed takes much more, because some of feedparser's regular
    expressions are quadratic.
    """
    headers = {"content-location": url, "content-type": content_type}
    try:
        # Bytes are not passed directly, because feedparser would take them for the name of a file.
        feed = feedparser.parse(BytesIO(data), response_headers=headers)
    except (ValueError, OverflowError) as error:  # references to characters that do not exist
        raise kit.ProviderFailed("The feed is too broken to be read.") from error
    if not feed.get("version"):  # many good feeds are not well-formed, so that is not required
        raise kit.ProviderFailed("What is at this address is not an RSS or Atom feed.")
    for found in feed.entries:
        entry, dated = _entry(found)
        if any(entry.values()):  # a feed that is cut off has an empty one at its end
            yield {"entry": entry, "dated": dated}


def _entry(found: Mapping[str, Any]) -> tuple[Mapping[str, Any], datetime | None]:
    fields: dict[str, Any] = dict(found)  # feedparser's own dict returns other keys' values for missing keys
    published, updated = _moment(fields.get("published_parsed")), _moment(fields.get("updated_parsed"))
    links = fields.get("links", ())
    entry = _clean(
        {
            "id": fields.get("id"),
            "title": fields.get("title"),
            "link": fields.get("link"),
            "summary": fields.get("summary"),
            "content": next((part["value"] for part in fields.get("content", ())), None),
            "author": fields.get("author"),
            "published": published and published.isoformat(),
            "updated": updated and updated.isoformat(),
            "categories": [tag["term"] for tag in fields.get("tags", ()) if tag.get("term")],
            "enclosures": [
                {"url": link.get("href"), "type": link.get("type"), "length": link.get("length")}
                for link in links
                if link.get("rel") == "enclosure"
            ],
        }
    )
    return entry, published or updated


def _moment(parsed: struct_time | None) -> datetime | None:
    """Return the time, which is in UTC already. None for a year that Python's dates do not have."""
    try:
        return datetime(*parsed[:5], min(parsed[5], 59), tzinfo=UTC) if parsed else None  # a leap second is 60
    except (ValueError, OverflowError):
        return None


def _clean(value: Any) -> Any:
    """Return the value without characters that are not allowed in JSON or in a database."""
    match value:
        case str():
            return _NEVER_TEXT.sub("", value)
        case dict():
            return {name: _clean(part) for name, part in value.items()}
        case list():
            return [_clean(part) for part in value]
        case _:
            return value


_ENTRIES = kit.Parser(entries, TypeAdapter(Found))

provider = kit.Provider(
    id="rss",
    name="RSS",
    icon="📡",
    triggers=(
        kit.Polling(
            id="on_item_published",
            name="Item published",
            description="An entry appeared in an RSS or Atom feed.",
            config=Feed,
            poll=_poll,
            every=timedelta(minutes=5),
            needs_connection=False,
        ),
    ),
)
