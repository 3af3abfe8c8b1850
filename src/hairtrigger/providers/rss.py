"""RSS and Atom feeds, as they are found.

https://www.rssboard.org/rss-specification, https://www.rfc-editor.org/rfc/rfc4287
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from time import struct_time
from typing import Any

import feedparser
from pydantic import Field, HttpUrl
from pydantic_core import to_json

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.event import Draft, digest
from hairtrigger.kit.cursor import mark, still_seen
from hairtrigger.kit.http import Reply, header
from hairtrigger.kit.trigger import Cursor, Page, Polling, PollingConfig, Provider, Question

_NEVER_TEXT = re.compile("[\0\ud800-\udfff]")


class Feed(PollingConfig):
    url: HttpUrl = Field(title="Address", description="Of the feed itself, not of a page that links to it.")


@dataclass(frozen=True)
class Entry:
    key: str
    data: Mapping[str, Any]
    dated: datetime | None

    def draft(self) -> Draft:
        return Draft(key=self.key, data=to_json(self.data), occurred_at=self.dated)


async def _poll(question: Question[Feed]) -> Page:
    """What is new is what was never seen. Dates are only good for the order: people back-date entries."""
    cursor = question.cursor or {}
    url = str(question.config.url)
    reply = await question.api.send("GET", url, headers=_conditions(cursor))
    if reply.status == HTTPStatus.NOT_MODIFIED and question.cursor is not None:
        return Page((), question.cursor, note="The feed has not changed.")
    listed = await asyncio.to_thread(_entries, reply, url)
    seen = dict.fromkeys(cursor.get("seen", ()))
    new = {mark(entry.key): entry for entry in reversed(listed) if mark(entry.key) not in seen}
    return Page(
        events=[entry.draft() for entry in _oldest_first(list(new.values()))],
        cursor={
            "etag": header(reply, "etag"),
            "modified": header(reply, "last-modified"),
            "seen": still_seen([mark(entry.key) for entry in listed], seen),
        },
    )


def _conditions(cursor: Cursor) -> dict[str, str]:
    """https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests"""
    conditions = {"if-none-match": cursor.get("etag"), "if-modified-since": cursor.get("modified")}
    return {name: value for name, value in conditions.items() if value}


def _oldest_first(entries: Sequence[Entry]) -> Sequence[Entry]:
    """By their dates where all have one; else in the order of the feed, which begins with the newest."""
    if all(entry.dated for entry in entries):
        return sorted(entries, key=lambda entry: entry.dated or datetime.max.replace(tzinfo=UTC))
    return entries


def _entries(reply: Reply, url: str) -> list[Entry]:
    """In the order of the feed. Takes a second for a megabyte, so it is not for the loop."""
    headers = {"content-location": url, "content-type": header(reply, "content-type") or ""}
    try:
        # Not the bytes themselves, which feedparser would take for the name of a file.
        feed = feedparser.parse(BytesIO(reply.body), response_headers=headers)
    except (ValueError, OverflowError) as error:  # from references to characters that there are not
        raise ProviderFailed("The feed is too broken to be read.") from error
    if not feed.get("version"):  # that it is not well-formed, many good feeds are not
        raise ProviderFailed("What is at this address is not an RSS or Atom feed.")
    entries = [_entry(found) for found in feed.entries]
    return [entry for entry in entries if any(entry.data.values())]  # where a feed is cut off, there is an empty one


def _entry(found: Mapping[str, Any]) -> Entry:
    fields: dict[str, Any] = dict(found)  # feedparser's own dict answers for missing keys with others
    published, updated = _moment(fields.get("published_parsed")), _moment(fields.get("updated_parsed"))
    links = fields.get("links", ())
    data = _clean(
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
    return Entry(key=data["id"] or data["link"] or digest(to_json(data)), data=data, dated=published or updated)


def _moment(parsed: struct_time | None) -> datetime | None:
    """In UTC already. Years of which Python has no dates are none."""
    try:
        return datetime(*parsed[:5], min(parsed[5], 59), tzinfo=UTC) if parsed else None  # a leap second may be 60
    except (ValueError, OverflowError):
        return None


def _clean(value: Any) -> Any:
    """Without what is no text in JSON or in a database."""
    match value:
        case str():
            return _NEVER_TEXT.sub("", value)
        case dict():
            return {name: _clean(part) for name, part in value.items()}
        case list():
            return [_clean(part) for part in value]
        case _:
            return value


provider = Provider(
    id="rss",
    name="RSS",
    icon="📡",
    triggers=(
        Polling(
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
